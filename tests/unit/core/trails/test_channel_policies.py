from __future__ import annotations

import json

import pytest

from opentrail.trails.caller import Caller
from opentrail.trails.channel import Channel, ResourcePolicy
from opentrail.trails.channel_policies import EventSender, may_put_events, new_policy, policy_of, resource_of
from opentrail.trails.configuration import Configuration
from opentrail.trails.refused import Refused

OWNER, PARTNER, STRANGER = "777788889999", "111122223333", "444455556666"
REGION = "us-east-1"
CHANNEL = Channel(id="80b505b0-40a7-4e65-9a01-6e099392355b", account_id=OWNER, region=REGION, name="c", source="Custom")
NOW = 1_767_323_045  # 2026-01-02T03:04:05Z


def statement(**changes):
    made = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{PARTNER}:root"},
        "Action": "cloudtrail-data:PutAuditEvents",
        "Resource": CHANNEL.arn,
        **changes,
    }
    return {key: value for key, value in made.items() if value is not None}


def text(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def sender(account_id, user_name="", external_id=None, organization_id=None, region=REGION):
    arn = f"arn:aws:iam::{account_id}:{f'user/{user_name}' if user_name else 'root'}"
    return EventSender(Caller(account_id, region), arn, user_name, organization_id, external_id)


def may(who, *statements):
    policies = {} if not statements else {CHANNEL.arn: new_policy(CHANNEL, text(*statements))}
    return may_put_events(Configuration(resource_policies=policies), CHANNEL, who, NOW)


def refusal(function, *args):
    with pytest.raises(Refused) as refused:
        function(*args)
    return refused.value.code, refused.value.message


def test_without_a_policy_only_the_owner_may_put_events():
    assert may(sender(OWNER))
    assert may(sender(OWNER, "alice"))
    assert not may(sender(PARTNER))


def test_a_policy_lets_others_in():
    assert may(sender(PARTNER), statement())
    assert may(sender(PARTNER, "alice"), statement())
    assert may(sender(OWNER), statement())
    assert not may(sender(STRANGER), statement())


def test_a_policy_may_name_one_user():
    only_alice = statement(Principal={"AWS": f"arn:aws:iam::{PARTNER}:user/alice"})
    assert may(sender(PARTNER, "alice"), only_alice)
    assert not may(sender(PARTNER, "bob"), only_alice)
    assert not may(sender(PARTNER), only_alice)


def test_a_policy_may_deny_the_owner():
    deny = statement(Effect="Deny", Principal={"AWS": OWNER})
    assert not may(sender(OWNER), statement(), deny)
    assert may(sender(PARTNER), statement(), deny)


@pytest.mark.parametrize(
    ("condition", "who", "allowed"),
    [
        ({"StringEquals": {"cloudtrail:ExternalId": "secret"}}, sender(PARTNER, external_id="secret"), True),
        ({"StringEquals": {"CloudTrail:externalID": "secret"}}, sender(PARTNER, external_id="secret"), True),
        ({"StringEquals": {"cloudtrail:ExternalId": "secret"}}, sender(PARTNER, external_id="Secret"), False),
        ({"StringEquals": {"cloudtrail:ExternalId": "secret"}}, sender(PARTNER), False),
        ({"Null": {"cloudtrail:ExternalId": "true"}}, sender(PARTNER), True),
        ({"StringEquals": {"aws:PrincipalOrgID": "o-1"}}, sender(PARTNER, organization_id="o-1"), True),
        ({"StringEquals": {"aws:PrincipalOrgID": "o-1"}}, sender(PARTNER), False),
        ({"StringEquals": {"aws:PrincipalAccount": PARTNER}}, sender(PARTNER), True),
        ({"ArnLike": {"aws:PrincipalArn": f"arn:aws:iam::{PARTNER}:user/a*"}}, sender(PARTNER, "alice"), True),
        ({"ArnLike": {"aws:PrincipalArn": f"arn:aws:iam::{PARTNER}:user/a*"}}, sender(PARTNER, "bob"), False),
        ({"StringEquals": {"aws:username": "alice"}}, sender(PARTNER, "alice"), True),
        ({"StringEquals": {"aws:username": ""}}, sender(PARTNER), False),
        ({"StringEquals": {"aws:PrincipalType": "User"}}, sender(PARTNER, "alice"), True),
        ({"StringEquals": {"aws:PrincipalType": "Account"}}, sender(PARTNER), True),
        ({"StringEquals": {"aws:RequestedRegion": REGION}}, sender(PARTNER), True),
        ({"DateLessThan": {"aws:CurrentTime": "2026-01-02T03:04:06Z"}}, sender(PARTNER), True),
        ({"DateLessThan": {"aws:CurrentTime": "2026-01-02T03:04:05Z"}}, sender(PARTNER), False),
        ({"NumericGreaterThanEquals": {"aws:EpochTime": NOW}}, sender(PARTNER), True),
        ({"Bool": {"aws:PrincipalIsAWSService": "true"}}, sender(PARTNER), False),
        ({"StringEquals": {"aws:SourceAccount": PARTNER}}, sender(PARTNER), False),
        ({"ArnLike": {"aws:SourceArn": "arn:aws:*:*:*:*"}}, sender(PARTNER), False),
    ],
)
def test_conditions_ask_about_the_call(condition, who, allowed):
    assert may(who, statement(Condition=condition)) is allowed


def test_a_policy_is_kept_as_it_was_put():
    policy = new_policy(CHANNEL, f" {text(statement())} ")
    assert policy == ResourcePolicy(id=CHANNEL.arn, account_id=OWNER, policy=f" {text(statement())} ")
    assert policy_of(Configuration(resource_policies={CHANNEL.arn: policy}), CHANNEL) == policy
    assert refusal(policy_of, Configuration(), CHANNEL)[0] == "ResourcePolicyNotFoundException"


@pytest.mark.parametrize(
    ("statements", "reason"),
    [
        ((), "Statement is not an object or a list of at least one."),
        ([statement()] * 21, "The policy has 21 statements; at most 20 are allowed."),
        (
            [statement(Principal={"AWS": [f"{number:012}" for number in range(51)]})],
            "A statement has 51 principals; at most 50 are allowed.",
        ),
        (
            [statement(Principal={"Service": "s3.amazonaws.com"})],
            "The principal Service:s3.amazonaws.com is no account, user or role.",
        ),
        (
            [statement(Principal=None, NotPrincipal={"AWS": STRANGER})],
            "A statement with NotPrincipal can only deny.",
        ),
        ([statement(Action="*")], "Action must be cloudtrail-data:PutAuditEvents."),
        (
            [statement(Action=["cloudtrail-data:PutAuditEvents", "cloudtrail:GetChannel"])],
            "Action must be cloudtrail-data:PutAuditEvents.",
        ),
        (
            [statement(Action=None, NotAction="cloudtrail-data:PutAuditEvents")],
            "Action must be cloudtrail-data:PutAuditEvents.",
        ),
        ([statement(Resource="*")], f"Resource must be the channel's ARN, {CHANNEL.arn}."),
        ([statement(Resource=f"{CHANNEL.arn}0")], f"Resource must be the channel's ARN, {CHANNEL.arn}."),
        (
            [statement(Resource=None, NotResource=CHANNEL.arn)],
            f"Resource must be the channel's ARN, {CHANNEL.arn}.",
        ),
        (
            [statement(Condition={"StringIs": {"cloudtrail:ExternalId": "x"}})],
            "There is no condition operator 'StringIs'.",
        ),
        (
            [statement(Condition={"StringEquals": {"cloudtrail:ExternalId": "${aws:username}"}})],
            "Policy variables are not supported.",
        ),
    ],
)
def test_policies_that_are_refused(statements, reason):
    assert refusal(new_policy, CHANNEL, text(*statements)) == ("ResourcePolicyNotValidException", reason)


def test_a_condition_key_that_is_not_known_is_refused_with_those_that_are():
    code, message = refusal(
        new_policy, CHANNEL, text(statement(Condition={"StringEquals": {"aws:SourceVpc": "vpc-1"}}))
    )
    assert code == "ResourcePolicyNotValidException"
    assert "'aws:sourcevpc' is not known here" in message
    assert "cloudtrail:ExternalId" in message


@pytest.mark.parametrize(
    "allowed",
    [
        [statement()] * 20,
        [statement(Principal={"AWS": [f"{number:012}" for number in range(50)]})],
        [statement(Principal="*")],
        [statement(Action=["CLOUDTRAIL-DATA:putauditevents"])],
        [statement(Principal=None, NotPrincipal={"AWS": PARTNER}, Effect="Deny")],
        [
            statement(
                Condition={
                    "ForAnyValue:StringEqualsIfExists": {"cloudtrail:ExternalId": "x"},
                    "Null": {"aws:username": "false"},
                }
            )
        ],
    ],
)
def test_policies_that_are_taken(allowed):
    assert new_policy(CHANNEL, text(*allowed)).policy == text(*allowed)


@pytest.mark.parametrize(
    ("arn", "code"),
    [
        ("channel", "ResourceARNNotValidException"),
        (CHANNEL.id, "ResourceARNNotValidException"),
        (f"arn:aws:s3:::{CHANNEL.id}", "ResourceARNNotValidException"),
        (CHANNEL.arn.replace("channel/", "queue/"), "ResourceARNNotValidException"),
        (f"{CHANNEL.arn}/x", "ResourceARNNotValidException"),
        (CHANNEL.arn.replace("channel/", "eventdatastore/"), "ResourceTypeNotSupportedException"),
        (CHANNEL.arn.replace("channel/", "dashboard/"), "ResourceTypeNotSupportedException"),
        (CHANNEL.arn.replace("channel/", "trail/"), "ResourceTypeNotSupportedException"),
        (CHANNEL.arn.replace("80b5", "90b5"), "ResourceNotFoundException"),
        (CHANNEL.arn.replace(REGION, "eu-west-1"), "ResourceNotFoundException"),
        (CHANNEL.arn.replace(OWNER, PARTNER), "ResourceNotFoundException"),
    ],
)
def test_resources_that_have_no_policy(arn, code):
    known = Configuration(channels={CHANNEL.id: CHANNEL})
    assert refusal(resource_of, known, Caller(OWNER, REGION), arn)[0] == code


def test_a_channel_is_its_owners_in_its_region():
    known = Configuration(channels={CHANNEL.id: CHANNEL})
    assert resource_of(known, Caller(OWNER, REGION), CHANNEL.arn) == CHANNEL
    for other in (Caller(PARTNER, REGION), Caller(OWNER, "eu-west-1")):
        assert refusal(resource_of, known, other, CHANNEL.arn)[0] == "ResourceNotFoundException"
