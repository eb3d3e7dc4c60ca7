from __future__ import annotations

import pytest

from opentrail.trails.names import (
    InvalidBucketName,
    InvalidPrefix,
    InvalidTrailArn,
    InvalidTrailName,
    TrailArn,
    check_bucket_name,
    check_prefix,
    check_trail_name,
    parse_trail_arn,
)


@pytest.mark.parametrize("name", ["abc", "a" * 128, "A-1_b.c", "192.168.5", "1.2.3.4.5", "000"])
def test_names_of_trails(name):
    check_trail_name(name)
    assert parse_trail_arn(f"arn:aws:cloudtrail:eu-west-1:111122223333:trail/{name}").name == name


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "ab",
            "Trail name too short. Minimum allowed length: 3 characters. Specified name length: 2 characters.",
        ),
        ("", "Trail name too short. Minimum allowed length: 3 characters. Specified name length: 0 characters."),
        (
            "a" * 129,
            "Trail name too long. Maximum allowed length: 128 characters. Specified name length: 129 characters.",
        ),
        ("-abc", "Trail name must starts with a letter or number."),
        ("éab", "Trail name must starts with a letter or number."),
        ("abc.", "Trail name must ends with a letter or number."),
        ("abc\n", "Trail name must ends with a letter or number."),
        (
            "a b",
            (
                "Trail name or ARN can only contain uppercase letters, lowercase letters, numbers, periods (.), "
                "hyphens (-), and underscores (_)."
            ),
        ),
        ("a--b", "Trail name cannot have adjacent periods, hyphens or underscores."),
        ("a-_b", "Trail name cannot have adjacent periods, hyphens or underscores."),
        ("192.168.5.4", "Trail name cannot be in the form of an IP address."),
    ],
)
def test_names_that_are_refused(name, message):
    with pytest.raises(InvalidTrailName) as refused:
        check_trail_name(name)
    assert str(refused.value) == message


def test_a_trails_arn():
    arn = "arn:aws-us-gov:cloudtrail:us-gov-west-1:111122223333:trail/main"
    assert parse_trail_arn(arn) == TrailArn("aws-us-gov", "us-gov-west-1", "111122223333", "main")


@pytest.mark.parametrize(
    "arn",
    [
        "main",
        "arn:aws:cloudtrail:us-east-1:1111222233:trail/main",
        "arn:aws:cloudtrail:us-east-1:111122223333:trail/",
        "arn:aws:cloudtrail:us-east-1:111122223333:trail/a/b",
        "arn:aws:cloudtrail:us-east-1:111122223333:channel/main",
        "arn:aws:s3:us-east-1:111122223333:trail/main",
        "arn:aws:cloudtrail::111122223333:trail/main",
        "arn:aws:cloudtrail:us-east-1:111122223333:trail/main\n",
        "arn:aws:cloudtrail:us-east-1:١١١١٢٢٢٢٣٣٣٣:trail/main",
    ],
)
def test_what_is_no_arn_of_a_trail(arn):
    with pytest.raises((InvalidTrailArn, InvalidTrailName)):
        parse_trail_arn(arn)


@pytest.mark.parametrize("name", ["abc", "a" * 63, "my.bucket-1", "a--b", "192.168.5"])
def test_names_of_buckets(name):
    check_bucket_name(name)


@pytest.mark.parametrize(
    "name", ["ab", "a" * 64, "Abc", "a_b", "-ab", "ab-", "a..b", "a.-b", "a-.b", "192.168.5.4", "abc\n", "äbc"]
)
def test_names_of_buckets_that_are_refused(name):
    with pytest.raises(InvalidBucketName):
        check_bucket_name(name)


@pytest.mark.parametrize("prefix", ["p", "a/b", "p" * 200, ".a", "a..b", "..."])
def test_prefixes(prefix):
    check_prefix(prefix)


@pytest.mark.parametrize("prefix", ["", "p" * 201, "p/", "/p", "a//b", "a\nb", ".", "..", "../b", "a/./b", "a/.."])
def test_prefixes_that_are_refused(prefix):
    with pytest.raises(InvalidPrefix):
        check_prefix(prefix)
