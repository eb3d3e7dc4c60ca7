from __future__ import annotations

from pathlib import Path

import pytest

from opentrail_cli.errors import Mistakes
from opentrail_cli.settings import STANDARD_REGIONS, read_settings, split_address


def mistakes(environment: dict[str, str], config_file: Path | None = None) -> tuple[str, ...]:
    with pytest.raises(Mistakes) as refused:
        read_settings(config_file, environment)
    return refused.value.mistakes


def test_defaults_suit_one_machine(tmp_path: Path) -> None:
    settings = read_settings(None, {}, data_directory=tmp_path)
    assert settings.url_of("state") == f"sqlite:///{tmp_path}/state.db"
    assert settings.url_of("event_bus") == f"embedded://{tmp_path}/event-bus.db"
    assert settings.url_of("object_store") == f"file://{tmp_path}/buckets"
    assert settings.url_of("keys") == f"file://{tmp_path}/keys"
    assert settings.regions == STANDARD_REGIONS
    assert settings.producer_address.startswith("127.0.0.1:")


def test_options_win_over_the_environment_and_it_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "opentrail.toml"
    file.write_text('window_seconds = 1\ndigest_seconds = 2\nmemory_bytes = 300_000_000\nregions = ["eu-west-1"]\n')
    environment = {"OPENTRAIL_WINDOW_SECONDS": "3", "OPENTRAIL_DIGEST_SECONDS": "4", "HOME": "/"}
    settings = read_settings(file, environment, digest_seconds=5, producer_address=None)
    assert (settings.window_seconds, settings.digest_seconds, settings.memory_bytes) == (3, 5, 300_000_000)
    assert settings.regions == ("eu-west-1",)


def test_regions_are_a_list_with_commas_in_the_environment() -> None:
    settings = read_settings(None, {"OPENTRAIL_REGIONS": "us-east-1, eu-central-1,us-east-1"})
    assert settings.regions == ("us-east-1", "eu-central-1")


def test_all_mistakes_are_told_together_with_their_places(tmp_path: Path) -> None:
    file = tmp_path / "opentrail.toml"
    file.write_text('window_second = 60\nevent_bus = "amqp://x"\ndigest_seconds = 0\n')
    told = mistakes(
        {"OPENTRAIL_PRODUCER_ADDRES": "x", "OPENTRAIL_PRODUCER_ADDRESS": "nowhere", "OPENTRAIL_WINDOW_SECONDS": "soon"},
        file,
    )
    joined = "\n".join(told)
    assert len(told) == 6
    assert "OPENTRAIL_PRODUCER_ADDRES: there is no such setting" in told
    assert f"window_second (in {file}): there is no such setting" in told
    assert f"event_bus (in {file}): must begin with embedded:/// or kafka://" in told
    assert "OPENTRAIL_PRODUCER_ADDRESS: must be an address such as" in joined
    assert "OPENTRAIL_WINDOW_SECONDS: " in joined
    assert f"digest_seconds (in {file}): " in joined


def test_an_url_with_a_password_is_not_repeated_in_the_message() -> None:
    told = mistakes({"OPENTRAIL_STATE": "mysql://user:hunter2@host/db"})
    assert "hunter2" not in "".join(told)
    assert "postgresql+psycopg://" in told[0]


@pytest.mark.parametrize(
    ("content", "said"), [("a = ", "is not TOML"), ("\ufeffa = 1", "is not TOML"), (None, "cannot be read")]
)
def test_a_file_that_cannot_be_read(tmp_path: Path, content: str | None, said: str) -> None:
    file = tmp_path / "opentrail.toml"
    if content is not None:
        file.write_text(content)
    assert said in mistakes({}, file)[0]


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"OPENTRAIL_TLS_CERTIFICATE_FILE": "a.pem"}, "given together"),
        ({"OPENTRAIL_TLS_CLIENT_AUTHORITIES_FILE": "a.pem"}, "needs tls_certificate_file"),
        ({"OPENTRAIL_WINDOW_BYTES": "2000000"}, "file_bytes must not be larger than window_bytes"),
        ({"OPENTRAIL_MEMORY_BYTES": "60000000"}, "window_bytes must not be larger than memory_bytes"),
        ({"OPENTRAIL_SPOOL_BYTES": "1000"}, "spool_share_bytes must not be larger than spool_bytes"),
        (
            {"OPENTRAIL_PRODUCER_ADDRESS": "0.0.0.0:1"},
            "producer_address: 0.0.0.0:1 without TLS",
        ),
        ({"OPENTRAIL_CONTROL_PLANE_ADDRESS": "[::]:1"}, "control_plane_address: [::]:1 without TLS"),
        ({"OPENTRAIL_REGIONS": ""}, "at least one region"),
        ({"OPENTRAIL_REGIONS": "mars"}, "OPENTRAIL_REGIONS"),
    ],
)
def test_settings_that_do_not_fit_together(environment: dict[str, str], said: str) -> None:
    assert said in "\n".join(mistakes(environment))


def test_what_does_not_fit_together_is_told_together_too() -> None:
    told = mistakes({"OPENTRAIL_PRODUCER_ADDRESS": "audit.example.com:1", "OPENTRAIL_TLS_CLIENT_AUTHORITIES_FILE": "a"})
    assert len(told) == 2


def test_plaintext_elsewhere_is_allowed_when_asked_for_and_with_tls() -> None:
    read_settings(None, {"OPENTRAIL_PRODUCER_ADDRESS": "0.0.0.0:1", "OPENTRAIL_PLAINTEXT_ALLOWED": "true"})
    tls = {"OPENTRAIL_TLS_CERTIFICATE_FILE": "c", "OPENTRAIL_TLS_PRIVATE_KEY_FILE": "k"}
    read_settings(None, {"OPENTRAIL_PRODUCER_ADDRESS": "0.0.0.0:1", **tls})


def test_variables_of_commands_and_tests_are_no_settings() -> None:
    read_settings(None, {"OPENTRAIL_TOKEN": "x", "OPENTRAIL_TEST_KAFKA": "y"})


@pytest.mark.parametrize("address", ["", "host", ":1", "host:", "host:x", "host:70000", "host:-1"])
def test_what_is_no_address(address: str) -> None:
    with pytest.raises(ValueError, match="must be an address"):
        split_address(address)


def test_addresses() -> None:
    assert split_address("127.0.0.1:0") == ("127.0.0.1", 0)
    assert split_address("[::1]:7317") == ("::1", 7317)


@pytest.mark.parametrize("place", ["heads", "heads/of/chains"])
def test_the_second_place_of_heads_is_a_bucket_with_or_without_a_prefix(place: str) -> None:
    assert read_settings(None, {"OPENTRAIL_HEADS_BUCKET": place}).heads_bucket == place
    assert read_settings(None, {}).heads_bucket is None


@pytest.mark.parametrize("place", ["", "/", "s3://heads", "/heads", "heads/", "heads//chains"])
def test_what_is_no_place_of_heads(place: str) -> None:
    (told,) = mistakes({"OPENTRAIL_HEADS_BUCKET": place})
    assert told == "OPENTRAIL_HEADS_BUCKET: must be BUCKET or BUCKET/PREFIX"


def test_the_documentation_names_every_setting_and_no_other() -> None:
    import re

    from opentrail_cli.settings import Settings

    text = (Path(__file__).parents[3] / "docs" / "configuration.md").read_text(encoding="utf-8")
    table = text[text.index("<!-- settings -->") : text.index("<!-- end -->")]
    named = [
        name for row in re.findall(r"^\| (`[^|]+) \|", table, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)
    ]
    assert sorted(named) == sorted(Settings.model_fields), "each once"
