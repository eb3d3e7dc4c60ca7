from __future__ import annotations

import json
from typing import ClassVar

import pytest

from opentrail.policies.patterns import matches
from opentrail.policies.resource_policy import PolicyRequest, Principal, parse_policy
from tests.unit.core.policies.policy_samples import (
    ALICE,
    ALLOWED,
    CHANNEL,
    CLOUDTRAIL,
    DENIED,
    DEPLOY,
    NOT_MENTIONED,
    TRAIL,
    decides,
    put,
    statement,
)


class TestThePolicyOfATrailsBucket:
    """As CloudTrail documents it (reference §9.4)."""

    POLICY = (
        statement(
            Sid="AWSCloudTrailAclCheck20150319",
            Principal={"Service": "cloudtrail.amazonaws.com"},
            Action="s3:GetBucketAcl",
            Resource="arn:aws:s3:::logs",
            Condition={"StringEquals": {"aws:SourceArn": TRAIL}},
        ),
        statement(
            Sid="AWSCloudTrailWrite20150319",
            Principal={"Service": "cloudtrail.amazonaws.com"},
            Action="s3:PutObject",
            Resource="arn:aws:s3:::logs/p/AWSLogs/111122223333/*",
            Condition={"StringEquals": {"s3:x-amz-acl": "bucket-owner-full-control", "aws:SourceArn": TRAIL}},
        ),
    )
    KEY = "arn:aws:s3:::logs/p/AWSLogs/111122223333/CloudTrail/us-east-1/2026/01/02/f.json.gz"
    CONTEXT: ClassVar = {"aws:SourceArn": TRAIL, "s3:x-amz-acl": "bucket-owner-full-control"}

    @pytest.mark.parametrize(
        ("changes", "decision"),
        [
            ({}, ALLOWED),
            ({"action": "s3:GetBucketAcl", "resource": "arn:aws:s3:::logs"}, ALLOWED),
            ({"action": "s3:GetBucketAcl"}, NOT_MENTIONED),
            ({"resource": KEY.replace("/p/", "/q/")}, NOT_MENTIONED),
            ({"resource": KEY.replace("111122223333", "444455556666")}, NOT_MENTIONED),
            ({"principal": Principal(service="s3.amazonaws.com")}, NOT_MENTIONED),
            ({"principal": ALICE}, NOT_MENTIONED),
            ({"context": {**CONTEXT, "aws:SourceArn": f"{TRAIL}2"}}, NOT_MENTIONED),
            ({"context": {**CONTEXT, "s3:x-amz-acl": "private"}}, NOT_MENTIONED),
            ({"context": {"aws:SourceArn": TRAIL}}, NOT_MENTIONED),
            ({"context": {key.upper(): value for key, value in CONTEXT.items()}}, ALLOWED),
        ],
    )
    def test_lets_cloudtrail_write_for_its_trail_only(self, changes, decision):
        asked = {"principal": CLOUDTRAIL, "action": "s3:PutObject", "resource": self.KEY, "context": self.CONTEXT}
        assert decides(PolicyRequest(**{**asked, **changes}), *self.POLICY) is decision

    def test_a_deny_for_other_connections_does_not_hit_one_that_is_known_to_be_secure(self):
        insecure = statement(Effect="Deny", Condition={"Bool": {"aws:SecureTransport": "false"}})
        asked = {"principal": CLOUDTRAIL, "action": "s3:PutObject", "resource": self.KEY}
        for secure, decision in (("true", ALLOWED), ("false", DENIED)):
            context = {**self.CONTEXT, "aws:SecureTransport": secure}
            assert decides(PolicyRequest(**asked, context=context), *self.POLICY, insecure) is decision
        assert decides(PolicyRequest(**asked, context=self.CONTEXT), *self.POLICY, insecure) is DENIED


class TestThePolicyOfATrailsKey:
    """As CloudTrail documents it (reference §9.5)."""

    POLICY = (
        statement(
            Principal={"Service": "cloudtrail.amazonaws.com"},
            Action="kms:GenerateDataKey*",
            Condition={
                "StringEquals": {"aws:SourceArn": TRAIL},
                "StringLike": {"kms:EncryptionContext:aws:cloudtrail:arn": "arn:aws:cloudtrail:*:111122223333:trail/*"},
            },
        ),
        statement(
            Principal={"AWS": "arn:aws:iam::111122223333:root"},
            Action="kms:Decrypt",
            Condition={"Null": {"kms:EncryptionContext:aws:cloudtrail:arn": "false"}},
        ),
    )

    @pytest.mark.parametrize(
        ("principal", "action", "arn", "decision"),
        [
            (CLOUDTRAIL, "kms:GenerateDataKey", TRAIL, ALLOWED),
            (CLOUDTRAIL, "kms:GenerateDataKeyWithoutPlaintext", TRAIL, ALLOWED),
            (CLOUDTRAIL, "kms:GenerateDataKey", TRAIL.replace("1111", "4444"), NOT_MENTIONED),
            (CLOUDTRAIL, "kms:Decrypt", TRAIL, NOT_MENTIONED),
            (ALICE, "kms:Decrypt", TRAIL, ALLOWED),
            (ALICE, "kms:Decrypt", None, NOT_MENTIONED),
        ],
    )
    def test_lets_cloudtrail_encrypt_and_users_decrypt(self, principal, action, arn, decision):
        context = {"aws:SourceArn": TRAIL, "kms:EncryptionContext:aws:cloudtrail:arn": arn}
        asked = PolicyRequest(principal=principal, action=action, resource="arn:aws:kms:x:1:key/k", context=context)
        assert decides(asked, *self.POLICY) is decision


@pytest.mark.parametrize(
    ("external_id", "decision"), [("uniqueId", ALLOWED), ("another", NOT_MENTIONED), (None, NOT_MENTIONED)]
)
def test_the_policy_of_a_channel_asks_for_an_external_id(external_id, decision):
    policy = statement(
        Principal={"AWS": ["arn:aws:iam::111122223333:root", "444455556666"]},
        Action="cloudtrail-data:PutAuditEvents",
        Resource=CHANNEL,
        Condition={"StringEquals": {"cloudtrail:ExternalId": "uniqueId"}},
    )
    asked = PolicyRequest(
        principal=ALICE,
        action="cloudtrail-data:PutAuditEvents",
        resource=CHANNEL,
        context={"cloudtrail:ExternalId": external_id},
    )
    assert decides(asked, policy) is decision


@pytest.mark.parametrize(
    ("wanted", "who", "applies"),
    [
        ("*", CLOUDTRAIL, True),
        ({"AWS": "*"}, CLOUDTRAIL, True),
        ({"AWS": "111122223333"}, ALICE, True),
        ({"AWS": "arn:aws:iam::111122223333:root"}, DEPLOY, True),
        ({"AWS": "arn:aws:iam::444455556666:root"}, ALICE, False),
        ({"AWS": "111122223333"}, CLOUDTRAIL, False),
        ({"AWS": ALICE.arn}, ALICE, True),
        ({"AWS": ALICE.arn}, DEPLOY, False),
        ({"AWS": ALICE.arn.upper().replace("ARN:AWS:IAM", "arn:aws:iam").replace("USER", "user")}, ALICE, False),
        ({"AWS": "arn:aws:iam::111122223333:role/deploy"}, DEPLOY, True),
        ({"AWS": "arn:aws:iam::111122223333:role/some/path/deploy"}, DEPLOY, True),
        ({"AWS": "arn:aws:iam::111122223333:role/deploy/s-1"}, DEPLOY, False),
        ({"AWS": "arn:aws:iam::444455556666:role/deploy"}, DEPLOY, False),
        ({"AWS": "AIDAEXAMPLE1234567890"}, ALICE, False),
        ({"AWS": ["444455556666", "111122223333"]}, ALICE, True),
        ({"Service": "cloudtrail.amazonaws.com"}, CLOUDTRAIL, True),
        ({"Service": "cloudtrail.amazonaws.com"}, ALICE, False),
        ({"Federated": "cognito-identity.amazonaws.com"}, ALICE, False),
        ({"CanonicalUser": "79a59df900b949e5"}, ALICE, False),
    ],
)
def test_principals(wanted, who, applies):
    assert (decides(put(who), statement(Principal=wanted)) is ALLOWED) is applies
    excepted = statement(Principal=None, NotPrincipal=wanted, Effect="Deny")
    assert (decides(put(who), excepted) is NOT_MENTIONED) is applies


@pytest.mark.parametrize(
    ("wanted", "applies"),
    [("s3:PutObject", True), ("S3:pUTobject", True), ("s3:Put*", True), ("*", True), ("s3:PutObject?", False)],
)
def test_actions_have_no_case(wanted, applies):
    assert (decides(put(), statement(Action=["x:Y", wanted])) is ALLOWED) is applies
    assert (decides(put(), statement(Action=None, NotAction=wanted)) is NOT_MENTIONED) is applies


@pytest.mark.parametrize(
    ("wanted", "applies"),
    [("arn:aws:s3:::b/*", True), ("arn:aws:s3:::B/*", False), ("arn:aws:s3:::?/k", True), ("arn:aws:s3:::b", False)],
)
def test_resources_have_one(wanted, applies):
    assert (decides(put(), statement(Resource=["arn:aws:s3:::x", wanted])) is ALLOWED) is applies
    assert (decides(put(), statement(Resource=None, NotResource=wanted)) is NOT_MENTIONED) is applies


def test_variables_are_plain_text_before_version_2012_10_17():
    literal = statement(Resource="arn:aws:s3:::b/${aws:username}")
    assert decides(put(resource="arn:aws:s3:::b/${aws:username}"), literal, version="2008-10-17") is ALLOWED
    without = parse_policy(json.dumps({"Statement": literal}))
    assert without.decides(put(resource="arn:aws:s3:::b/${aws:username}")) is ALLOWED
    assert decides(put(resource="arn:aws:s3:::b/${aws:username}"), literal) is NOT_MENTIONED


def test_a_deny_wins_wherever_it_stands():
    allow, deny = statement(), statement(Effect="Deny")
    assert decides(put(), allow, deny) is DENIED
    assert decides(put(), deny, allow) is DENIED
    assert decides(put(), allow, statement(Effect="Deny", Action="s3:GetObject")) is ALLOWED


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("*a" * 10_000 + "b", "a" * 20_000),
        ("*" * 20_000 + "b", "a" * 20_000),
        ("*" + "a" * 5_000 + "b*", "a" * 10_000),
        ("*" + "a?" * 2_500 + "b*", "a" * 10_000),
        ("*?" * 10_000 + "b", "a" * 20_000),
    ],
)
@pytest.mark.timeout(5)
def test_hostile_patterns_take_bounded_work(pattern, text):
    assert not matches(pattern, text)
