"""Which policies of a bucket and of a topic let CloudTrail in for a trail, and for no other account's."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from opentrail.policies.resource_policy import parse_policy
from opentrail.trails.target_policies import bucket_lets_in, topic_lets_in
from opentrail.trails.trail import Trail
from tests.trail_policies import CLOUDTRAIL, bucket_statements, policy, topic_statement

ACCOUNT, STRANGER = "111122223333", "444455556666"
ORGANIZATION = "o-exampleorgid"
TRAIL = Trail(
    incarnation="i", name="audit", account_id=ACCOUNT, home_region="eu-central-1", s3_bucket_name="trail-logs"
)
ACL, WRITE = bucket_statements("trail-logs", TRAIL.arn)
ALIKE = f"arn:aws:cloudtrail:eu-central-1:{STRANGER}:trail/audit"
DENY_PLAIN_HTTP = {
    "Effect": "Deny",
    "Principal": "*",
    "Action": "s3:*",
    "Resource": ["arn:aws:s3:::trail-logs", "arn:aws:s3:::trail-logs/*"],
    "Condition": {"Bool": {"aws:SecureTransport": "false"}},
}


def deny_put(**condition: Any) -> dict[str, Any]:
    return {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:PutObject",
        "Resource": "arn:aws:s3:::trail-logs/*",
        "Condition": condition,
    }


def when(statement: dict[str, Any], **operators: Any) -> dict[str, Any]:
    """The statement with other conditions on who it is; that of the ACL stays."""
    condition = dict(operators)
    if statement["Action"] == "s3:PutObject":
        condition.setdefault("StringEquals", {})
        condition["StringEquals"] = {**condition["StringEquals"], "s3:x-amz-acl": "bucket-owner-full-control"}
    return {**statement, "Condition": condition}


def both(**operators: Any) -> list[dict[str, Any]]:
    return [when(ACL, **operators), when(WRITE, **operators)]


LET_IN = {
    "as AWS documents it": [ACL, WRITE],
    "by ArnLike": both(ArnLike={"aws:SourceArn": "arn:aws:cloudtrail:*:111122223333:trail/*"}),
    "by the account alone": both(StringEquals={"aws:SourceAccount": ACCOUNT}),
    "one of several trails": both(StringEquals={"aws:SourceArn": [ALIKE.replace("audit", "other"), TRAIL.arn]}),
    "one statement for all": [
        {**when(WRITE, StringEquals={"aws:SourceArn": TRAIL.arn}), "Action": "s3:PutObject"},
        {**ACL, "Action": ["s3:GetBucketAcl", "s3:ListBucket"]},
    ],
    "among denials that do not mean it": [
        ACL,
        WRITE,
        DENY_PLAIN_HTTP,
        deny_put(StringNotEquals={"s3:x-amz-server-side-encryption": ["AES256", "aws:kms"]}),
        deny_put(
            StringNotEqualsIfExists={"aws:SourceVpc": "vpc-1"}, BoolIfExists={"aws:PrincipalIsAWSService": "false"}
        ),
    ],
}
KEEP_OUT = {
    "of nobody": [DENY_PLAIN_HTTP],
    "without the ACL": [WRITE],
    "without the objects": [ACL],
    "of another trail": bucket_statements("trail-logs", TRAIL.arn.replace("audit", "other")),
    "of the like-named trail of another account": bucket_statements("trail-logs", ALIKE),
    "of another bucket": bucket_statements("other-logs", TRAIL.arn),
    "of another folder": bucket_statements("trail-logs", TRAIL.arn, prefix="audit/"),
    "of log files without digests": [ACL, {**WRITE, "Resource": f"{WRITE['Resource'][:-1]}CloudTrail/*"}],
    "for another ACL": [
        ACL,
        {**WRITE, "Condition": {"StringEquals": {"aws:SourceArn": TRAIL.arn, "s3:x-amz-acl": "private"}}},
    ],
    "for another service": [{**one, "Principal": {"Service": "config.amazonaws.com"}} for one in (ACL, WRITE)],
    "open to every account's trail": both(),
    "open to the objects of every account's trail": [ACL, when(WRITE)],
    "open to the like-named trail of every account": both(
        ArnLike={"aws:SourceArn": "arn:aws:cloudtrail:*:*:trail/audit"}
    ),
    "open to everybody": [{**statement, "Principal": "*"} for statement in both()],
    "with a denial": [ACL, WRITE, {**WRITE, "Effect": "Deny"}],
    "with a denial that cannot be judged": [ACL, WRITE, deny_put(StringEquals={"aws:Somebody": "knows"})],
    "that demands a key": [
        ACL, WRITE, deny_put(StringNotEquals={"s3:x-amz-server-side-encryption": "aws:kms"}),
    ],
}  # fmt: skip


@pytest.mark.parametrize("statements", LET_IN.values(), ids=LET_IN)
def test_a_bucket_lets_in_a_trail_that_its_policy_names(statements: list[dict[str, Any]]) -> None:
    assert bucket_lets_in(parse_policy(policy(*statements)), TRAIL)


@pytest.mark.parametrize("statements", KEEP_OUT.values(), ids=KEEP_OUT)
def test_a_bucket_keeps_out_whom_its_policy_does_not_name(statements: list[dict[str, Any]]) -> None:
    assert not bucket_lets_in(parse_policy(policy(*statements)), TRAIL)


def test_a_policy_that_demands_a_key_lets_in_a_trail_with_that_key() -> None:
    arn = f"arn:aws:kms:eu-central-1:{ACCOUNT}:key/k"
    demanding = deny_put(StringNotEquals={"s3:x-amz-server-side-encryption-aws-kms-key-id": arn})
    text = policy(ACL, WRITE, demanding)
    assert bucket_lets_in(parse_policy(text), replace(TRAIL, kms_key_id=arn))
    assert not bucket_lets_in(parse_policy(text), replace(TRAIL, kms_key_id=f"{arn}2"))


def test_a_prefix_is_part_of_the_folder() -> None:
    prefixed = replace(TRAIL, s3_key_prefix="audit")
    assert bucket_lets_in(parse_policy(policy(*bucket_statements("trail-logs", TRAIL.arn, prefix="audit/"))), prefixed)
    assert not bucket_lets_in(parse_policy(policy(ACL, WRITE)), prefixed)


def test_a_prefix_that_looks_like_another_accounts_folder_opens_nothing() -> None:
    """Why the folder in the resource is not enough: without a condition this would be let in."""
    cunning = replace(TRAIL, account_id=STRANGER, s3_key_prefix=f"AWSLogs/{ACCOUNT}")
    assert not bucket_lets_in(parse_policy(policy(ACL, WRITE)), cunning)
    assert not bucket_lets_in(parse_policy(policy(*both())), cunning)


def test_an_organizations_trail_needs_the_organizations_folder_too() -> None:
    trail = replace(TRAIL, organization_id=ORGANIZATION)
    statements = bucket_statements("trail-logs", TRAIL.arn, organization_id=ORGANIZATION)
    assert bucket_lets_in(parse_policy(policy(*statements)), trail)
    for left_out in range(3):
        some = [statement for index, statement in enumerate(statements) if index != left_out]
        assert not bucket_lets_in(parse_policy(policy(*some)), trail)


# --- topics

TOPIC = f"arn:aws:sns:eu-central-1:{ACCOUNT}:told"
STRANGERS_TOPIC = f"arn:aws:sns:eu-central-1:{STRANGER}:told"


def lets_publish(topic: str, *statements: dict[str, Any]) -> bool:
    return topic_lets_in(parse_policy(policy(*statements)), topic, TRAIL.arn)


@pytest.mark.parametrize("topic", [TOPIC, STRANGERS_TOPIC])
def test_a_topic_lets_in_a_trail_that_its_policy_names(topic: str) -> None:
    named = topic_statement(topic, TRAIL.arn)
    assert lets_publish(topic, named)
    assert lets_publish(topic, {**named, "Action": "sns:*", "Resource": "*"})
    assert lets_publish(topic, {**named, "Condition": {"StringEquals": {"aws:SourceAccount": ACCOUNT}}})
    assert not lets_publish(topic, topic_statement(topic, ALIKE))
    assert not lets_publish(topic, topic_statement(f"{topic}-2", TRAIL.arn))
    assert not lets_publish(topic, {**named, "Action": "SNS:Subscribe"})
    assert not lets_publish(topic, named, {**named, "Effect": "Deny"})


def test_only_a_topic_of_the_trails_own_account_may_be_open_to_others() -> None:
    for topic in (TOPIC, STRANGERS_TOPIC):
        open_to_all = {name: value for name, value in topic_statement(topic, TRAIL.arn).items() if name != "Condition"}
        assert open_to_all["Principal"] == CLOUDTRAIL
        assert lets_publish(topic, open_to_all) is (topic == TOPIC)


def test_a_new_topics_own_policy_lets_nobody_in_but_its_owner() -> None:
    default = {
        "Effect": "Allow",
        "Principal": {"AWS": "*"},
        "Action": ["SNS:Publish"],
        "Resource": TOPIC,
        "Condition": {"StringEquals": {"AWS:SourceOwner": ACCOUNT}},
    }
    assert not lets_publish(TOPIC, default)
    assert lets_publish(TOPIC, default, topic_statement(TOPIC, TRAIL.arn))
