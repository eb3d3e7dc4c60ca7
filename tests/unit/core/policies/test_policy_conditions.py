from __future__ import annotations

import pytest

from opentrail.policies.resource_policy import Principal
from tests.unit.core.policies.policy_samples import (
    ALICE,
    ALLOWED,
    DENIED,
    NOT_MENTIONED,
    TRAIL,
    decides,
    put,
    statement,
)


@pytest.mark.parametrize(
    ("operator", "wanted", "actual", "holds"),
    [
        ("StringEquals", ["a", "b"], "b", True),
        ("StringNotEquals", ["a", "b"], "b", False),
        ("StringNotEquals", ["a", "b"], "c", True),
        ("StringEquals", "a*", "ab", False),
        ("StringLike", "a*", "ab", True),
        ("StringNotLike", "a*", "ab", False),
        ("StringEqualsIgnoreCase", "AB", "ab", True),
        ("ArnLike", "arn:aws:cloudtrail:*:111122223333:trail/*", TRAIL, True),
        ("ArnEquals", "arn:aws:cloudtrail:*:111122223333:trail/*", TRAIL, True),
        ("ArnLike", "arn:aws:cloudtrail:*:*:trail/t", "arn:aws:cloudtrail:x:1:y:trail/t", False),
        ("ArnNotLike", "arn:aws:cloudtrail:*:444455556666:trail/*", TRAIL, True),
        ("Bool", True, "true", True),
        ("Bool", "True", "true", True),
        ("Bool", False, "true", False),
        ("NumericLessThan", 10, "9", True),
        ("NumericLessThanEquals", "10", "10", True),
        ("NumericGreaterThan", 9.5, "10", True),
        ("NumericNotEquals", 10, "10.0", False),
        ("DateGreaterThan", "2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z", True),
        ("DateLessThan", "2026-01-01", "2025-12-31T23:59:59Z", True),
        ("DateLessThan", "1767225600", "2025-12-31T23:59:59Z", True),
        ("IpAddress", "10.0.0.0/8", "10.9.8.7", True),
        ("IpAddress", "10.0.0.1", "10.0.0.1", True),
        ("IpAddress", "2001:db8::/32", "10.0.0.1", False),
        ("NotIpAddress", "10.0.0.0/8", "11.0.0.0", True),
        ("Null", "true", None, True),
        ("Null", False, None, False),
        ("Null", "true", "", False),
        ("StringEquals", "a", None, False),
        ("StringNotEquals", "a", None, True),
        ("StringEqualsIfExists", "a", None, True),
        ("StringEqualsIfExists", "a", "b", False),
        ("ForAllValues:StringEquals", "a", None, True),
        ("ForAllValues:StringEquals", "a", "b", False),
        ("ForAnyValue:StringEquals", "a", None, False),
        ("ForAnyValue:StringNotEquals", "a", None, False),
        ("ForAnyValue:StringLike", "a*", "ab", True),
    ],
)
def test_conditions(operator, wanted, actual, holds):
    condition = {operator: {"aws:Key": wanted}}
    asked = put(aws_Key=actual)
    assert decides(asked, statement(Condition=condition)) is (ALLOWED if holds else NOT_MENTIONED)
    assert decides(asked, statement(Condition=condition, Effect="Deny")) is (DENIED if holds else NOT_MENTIONED)


def test_all_conditions_must_hold():
    condition = {"StringEquals": {"aws:a": "1", "aws:b": "2"}, "StringLike": {"aws:c": "3*"}}
    assert decides(put(aws_a="1", aws_b="2", aws_c="33"), statement(Condition=condition)) is ALLOWED
    assert decides(put(aws_a="1", aws_b="x", aws_c="33"), statement(Condition=condition)) is NOT_MENTIONED
    assert decides(put(aws_a="1", aws_b="2", aws_c="x"), statement(Condition=condition)) is NOT_MENTIONED


@pytest.mark.parametrize(
    "unknown",
    [
        {"Condition": {"StringResembles": {"aws:SourceArn": TRAIL}}},
        {"Condition": {"StringEquals": {"aws:SourceVpce": "vpce-1"}}},
        {"Condition": {"StringNotEquals": {"aws:SourceVpce": "vpce-1"}}},
        {"Condition": {"StringEqualsIfExists": {"aws:SourceVpce": "vpce-1"}}},
        {"Condition": {"Null": {"aws:SourceVpce": "true"}}},
        {"Condition": {"StringEquals": {"aws:SourceArn": "${aws:SourceArn}"}}},
        {"Condition": {"ArnLike": {"aws:SourceArn": "trail"}}},
        {"Condition": {"NumericEquals": {"aws:SourceArn": "1"}}},
        {"Resource": "arn:aws:s3:::b/${aws:username}"},
        {"Principal": {"Service": "*"}},
        {"Principal": {"AWS": ALICE.arn}},
    ],
)
def test_what_cannot_be_judged_never_allows_and_always_denies(unknown):
    somebody = Principal(account_id="111122223333")
    asked = put(somebody, aws_SourceArn=TRAIL)
    assert decides(asked, statement(**unknown)) is NOT_MENTIONED
    assert decides(asked, statement(), statement(**unknown, Effect="Deny")) is DENIED
    # What is certain about another part of the statement settles it all the same.
    assert decides(asked, statement(), statement(**unknown, Effect="Deny", Action="s3:GetObject")) is ALLOWED
