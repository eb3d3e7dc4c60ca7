from __future__ import annotations

from pathlib import Path

import pytest

from opentrail_cli.declared import parse_declaration, read_declaration
from opentrail_cli.errors import Mistakes
from tests.unit.cli.declarations import TRAIL, WHOLE, mistakes


def test_the_form_is_checked_with_every_mistake_and_its_place() -> None:
    with pytest.raises(Mistakes) as refused:
        parse_declaration(
            '[[accounts]]\nid = 111122223333\n\n[[accounts]]\nid = "12"\n[[trails]]\nname = "x"\nhome = "y"\n'
            '[[tokens]]\naccount_id = "111122223333"\nname = "n"\nsha256 = "XY"\n',
            "trails.toml",
        )
    told = refused.value.mistakes
    assert "line 1, accounts[0].id: Input should be a valid string" in told
    assert "line 4, accounts[1].id: must be an account id: 12 digits in quotes" in told
    assert "line 6, trails[0].s3_bucket_name: is missing" in told
    assert "line 6, trails[0].account_id: is missing" in told
    assert "line 6, trails[0].home: there is no such key" in told
    assert "line 9, tokens[0].sha256: must be a SHA-256 in 64 hexadecimal digits" in told
    assert str(refused.value).startswith("trails.toml cannot be applied:")


@pytest.mark.parametrize("limit", ["0", "-1", "inf", "nan"])
def test_a_limit_is_a_positive_number(limit: str) -> None:
    """JSON has no infinity: it would be kept as no limit of the account's own, which is the service's."""
    with pytest.raises(Mistakes, match=r"accounts\[0\].bytes_per_second: Input should be"):
        parse_declaration(f'[[accounts]]\nid = "111122223333"\nbytes_per_second = {limit}\n', "t")


def test_an_unknown_table_and_what_is_no_toml() -> None:
    with pytest.raises(Mistakes, match="trail: there is no such key"):
        parse_declaration("[[trail]]\n", "t")
    with pytest.raises(Mistakes, match="is not TOML"):
        parse_declaration("[[trails\n", "t")


def test_a_file_that_is_missing_or_no_utf8(tmp_path: Path) -> None:
    with pytest.raises(Mistakes, match="No such file"):
        read_declaration(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_bytes(b"\xff")
    with pytest.raises(Mistakes, match="not UTF-8"):
        read_declaration(tmp_path / "bad.toml")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('kms_key_id = "alias/mine"', "kms_key_id: must be a full ARN"),
        ('sns_topic_arn = "topic"', "sns_topic_arn: must be a full ARN"),
        ('s3_key_prefix = "ends/"', "s3_key_prefix: "),
        ('cloud_watch_logs_role_arn = "arn:aws:iam::111122223333:role/x"', "given together"),
        ("is_multi_region_trail = true\ninclude_global_service_events = false", "must include global service events"),
        ('organization_id = "o-unknownorgid"', "there is no organization o-unknownorgid"),
        ('event_selectors = [{ReadWriteType = "Sometimes"}]', "event_selectors: "),
        ("event_selectors = []", "event_selectors: "),
        ("advanced_event_selectors = [{Name = 'x', FieldSelectors = []}]", "advanced_event_selectors: "),
    ],
)
def test_what_cloudtrail_refuses_of_a_trail(line: str, said: str) -> None:
    (told,) = mistakes(f"{TRAIL}{line}\n")
    assert told.startswith("line 4, trails[0].")
    assert said in told


def test_names_are_checked_by_cloudtrails_rules() -> None:
    told = mistakes(TRAIL.replace('"everything"', '"-x-"').replace("example-logs", "Bad_Bucket"))
    assert len(told) == 2
    assert "trails[0].name: Trail name must starts with a letter or number." in told[0]
    assert "trails[0].s3_bucket_name: Bucket name Bad_Bucket is invalid" in told[1]


def test_unknown_accounts_are_named_wherever_they_stand() -> None:
    told = mistakes(WHOLE.replace('[[accounts]]\nid = "444455556666"', ""))
    assert len(told) == 2
    assert all("there is no account 444455556666" in mistake for mistake in told)


def test_what_is_declared_twice() -> None:
    told = mistakes(TRAIL + TRAIL)
    assert "line 9, accounts[1]: is declared twice (see accounts[0])" in told
    assert "line 11, trails[1]: is declared twice (see trails[0])" in told
