from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from opentrail_backends.event_bus import open_event_bus
from opentrail_backends.event_bus.embedded.settings import EmbeddedSettings, parse_embedded_url
from opentrail_backends.event_bus.kafka.settings import KafkaSettings, parse_kafka_url

SECRET = "correct horse"


def test_an_embedded_url_names_a_file() -> None:
    assert parse_embedded_url("embedded:///var/lib/opentrail/bus.db") == EmbeddedSettings(
        Path("/var/lib/opentrail/bus.db")
    )
    assert parse_embedded_url("embedded:///a%20b.db?lease=5&max_message_bytes=2000") == EmbeddedSettings(
        Path("/a b.db"), lease=5.0, max_message_bytes=2000
    )


def test_a_kafka_url_names_servers_and_has_safe_defaults() -> None:
    settings = parse_kafka_url("kafka://a.example:9092,[::1]:9093")
    assert settings == KafkaSettings(("a.example:9092", "[::1]:9093"))
    assert (settings.prefix, settings.replication, settings.min_insync) == ("opentrail.events.", 3, 2)
    assert settings.producer().items() >= {"acks": "all", "enable_idempotence": True, "compression_type": None}.items()
    reading = {"enable_auto_commit": False, "auto_offset_reset": "none"}
    assert settings.consumer("delivery").items() >= reading.items()
    assert settings.topic()["min.insync.replicas"] == "2"


def test_installations_with_prefixes_of_their_own_share_no_group() -> None:
    """A join waits for all members of a group, also for those that read other topics."""
    groups = {
        parse_kafka_url(f"kafka://a:1{options}").consumer("delivery")["group_id"]
        for options in ("", "?prefix=opentrail.events.", "?prefix=one.", "?prefix=two.")
    }
    assert groups == {"delivery", "one.delivery", "two.delivery"}


@pytest.mark.parametrize("size", [10_000, 8 * 1024 * 1024, 50 * 1024 * 1024])
def test_sizes_fit_together(size: int) -> None:
    settings = parse_kafka_url(f"kafka://a:1?max_message_bytes={size}")
    producer, consumer, topic = settings.producer(), settings.consumer("g"), settings.topic()
    assert size < producer["max_request_size"] <= int(topic["max.message.bytes"])
    assert consumer["max_partition_fetch_bytes"] >= int(topic["max.message.bytes"])
    assert producer["batch_size"] <= producer["max_request_size"]


def test_tls_and_sasl_reach_the_client(tmp_path: Path) -> None:
    (tmp_path / "password").write_text(SECRET + "\n")
    settings = parse_kafka_url(
        f"kafka://a:1?security=sasl_tls&ca_file=/ca.pem&username=trail&password_file={tmp_path}/password"
        "&sasl_mechanism=SCRAM-SHA-256&check_hostname=false"
    )
    assert (
        settings.client().items()
        >= {
            "security_protocol": "SASL_SSL",
            "ssl_cafile": "/ca.pem",
            "ssl_check_hostname": False,
            "sasl_mechanism": "SCRAM-SHA-256",
            "sasl_plain_username": "trail",
            "sasl_plain_password": SECRET,
        }.items()
    )
    assert parse_kafka_url("kafka://a:1?security=sasl_tls&username=u", SECRET).sasl_password == SECRET


def test_a_secret_is_in_no_text_about_the_settings() -> None:
    settings = parse_kafka_url("kafka://a:1?security=sasl_plaintext&username=trail", SECRET)
    assert SECRET not in repr(settings)
    assert SECRET not in str(settings)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("redis://localhost", "allowed are embedded:///PATH.* and kafka://HOST"),
        ("", "allowed are embedded:///"),
        ("/var/lib/bus.db", "allowed are embedded:///"),
        ("embedded://bus.db", "absolute path"),
        ("embedded:///", "absolute path"),
        ("embedded:///folder/", "absolute path"),
        ("embedded:///bus.db#x", "absolute path"),
        ("embedded:///bus.db?leese=1", "unknown option 'leese'.*lease, max_message_bytes"),
        ("embedded:///bus.db?lease=0", "'lease'.*number of seconds from 1"),
        ("embedded:///bus.db?lease=nan", "'lease'.*number of seconds"),
        ("embedded:///bus.db?lease=1&lease=2", "'lease' is given twice"),
        ("kafka://", "kafka://HOST:PORT"),
        ("kafka://host", "kafka://HOST:PORT"),
        ("kafka://host:9092,", "kafka://HOST:PORT"),
        ("kafka://host:9092/topic", "kafka://HOST:PORT"),
        ("kafka://host:9092?replicas=3", "unknown option 'replicas'.*replication, min_insync"),
        ("kafka://host:9092?replication=0", "'replication'.*whole number from 1"),
        ("kafka://host:9092?replication=three", "whole number"),
        ("kafka://host:9092?replication=1", "min_insync=2 is above replication=1"),
        ("kafka://host:9092?prefix=a/b", "letters, digits"),
        ("kafka://host:9092?prefix=", "letters, digits"),
        ("kafka://host:9092?security=ssl", "one of plaintext, tls, sasl_plaintext, sasl_tls"),
        ("kafka://host:9092?ca_file=/ca.pem", "need security=tls"),
        ("kafka://host:9092?username=u", "need security=sasl_tls"),
        ("kafka://host:9092?security=sasl_tls", "needs username and a password"),
        ("kafka://host:9092?security=sasl_tls&username=u", "needs username and a password"),
        ("kafka://host:9092?security=sasl_tls&username=u&password_file=/no/such", "/no/such .* cannot be read"),
        ("kafka://host:9092?security=tls&check_hostname=no", "true or false"),
    ],
)
def test_a_wrong_url_is_told_with_what_is_allowed(url: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        open_event_bus(url)


def test_a_secret_in_a_url_is_refused_and_not_repeated() -> None:
    with pytest.raises(ValueError, match="password_file") as raised:
        open_event_bus("kafka://trail:correcthorse@host:9092")
    assert "correcthorse" not in str(raised.value)


def test_without_its_library_kafka_says_what_to_install() -> None:
    program = (
        "import sys; sys.modules['kafka'] = None\n"
        "from opentrail_backends.event_bus import open_event_bus\n"
        "from opentrail_backends.event_bus.port import EventBusError\n"
        "try: open_event_bus('kafka://localhost:9092')\n"
        "except EventBusError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("Kafka needs kafka: install opentrail[kafka]\n", "")
