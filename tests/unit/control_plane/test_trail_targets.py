"""A trail's bucket, key and topic are checked when they are set, and only then (reference §5.4 to §5.6)."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from opentrail_backends.state.port import StateStore
from opentrail_control_plane.control_plane import ControlPlane
from opentrail_control_plane.operations.context import Ports
from opentrail_control_plane.rates import NO_LIMITS
from opentrail_control_plane.targets import VALIDATION_MESSAGE
from tests.trail_policies import bucket_statements, policy, topic_statement
from tests.unit.control_plane.conftest import MANAGEMENT, MEMBER, ORGANIZATION, REGIONS, TRAILS, Api
from tests.unit.control_plane.targets_in_memory import Keys, TargetsInMemory

ARN = f"arn:aws:cloudtrail:us-east-1:{MANAGEMENT}:trail/audit"
BUCKET, OTHER = "audit-logs", "other-logs"
AUDIT = {"Name": "audit", "S3BucketName": BUCKET}
KEY, CLOSED, DISABLED = (f"arn:aws:kms:us-east-1:{MANAGEMENT}:key/{n * 8}-2222-3333-4444-{n * 12}" for n in "123")
TOPIC, CLOSED_TOPIC = (f"arn:aws:sns:us-east-1:{MANAGEMENT}:{name}" for name in ("told", "closed"))
REFUSED_BUCKET = f"Incorrect S3 bucket policy is detected for bucket: {OTHER}"


@pytest.fixture
def targets() -> TargetsInMemory:
    targets = TargetsInMemory(Keys([KEY, CLOSED, DISABLED], {"alias/audit": KEY}))
    targets.buckets.give(BUCKET, policy(*bucket_statements(BUCKET, ARN)))
    targets.buckets.give(OTHER, policy())
    targets.keys.disabled.add(DISABLED)
    targets.keys.closed.add(CLOSED)
    targets.topics.policies |= {TOPIC: policy(topic_statement(TOPIC, ARN)), CLOSED_TOPIC: policy()}
    return targets


@pytest.fixture
def api(state: StateStore, targets: TargetsInMemory) -> Api:
    ports = Ports(targets=targets, intake=None, regions=REGIONS, token_key=bytes(32))
    return Api(ControlPlane(state, time.time, ports, limits=NO_LIMITS))


def created(api: Api, **members: Any) -> dict[str, Any]:
    return api("CreateTrail", {**AUDIT, **members})


@pytest.mark.parametrize("name", ["alias/audit", KEY, KEY.rpartition("/")[2]])
def test_a_key_by_any_name_is_answered_by_its_full_arn(api: Api, name: str) -> None:
    assert created(api, KmsKeyId=name)["KmsKeyId"] == KEY
    assert api("GetTrail", {"Name": "audit"})["Trail"]["KmsKeyId"] == KEY


@pytest.mark.parametrize("name", ["told", TOPIC])
def test_a_topic_by_name_or_arn_is_answered_by_both(api: Api, targets: TargetsInMemory, name: str) -> None:
    answer = created(api, SnsTopicName=name)
    assert (answer["SnsTopicName"], answer["SnsTopicARN"]) == ("told", TOPIC)
    assert targets.topics.published == [(TOPIC, VALIDATION_MESSAGE)]


CANNOT_BE_SET: list[tuple[dict[str, Any], str]] = [
    ({"S3BucketName": "not-there"}, "S3BucketDoesNotExistException"),
    ({"S3BucketName": OTHER}, "InsufficientS3BucketPolicyException"),
    ({"S3KeyPrefix": "outside-the-policy"}, "InsufficientS3BucketPolicyException"),
    ({"KmsKeyId": "not a key"}, "InvalidKmsKeyIdException"),
    ({"KmsKeyId": "alias/unknown"}, "KmsKeyNotFoundException"),
    ({"KmsKeyId": CLOSED}, "InsufficientEncryptionPolicyException"),
    ({"KmsKeyId": DISABLED}, "KmsException"),
    ({"SnsTopicName": "no topic!"}, "InvalidSnsTopicNameException"),
    ({"SnsTopicName": "not-there"}, "InsufficientSnsTopicPolicyException"),
    ({"SnsTopicName": "closed"}, "InsufficientSnsTopicPolicyException"),
]


@pytest.mark.parametrize(("members", "code"), CANNOT_BE_SET)
def test_what_a_new_trail_cannot_write_to(api: Api, members: dict[str, Any], code: str) -> None:
    assert api.refused("CreateTrail", {**AUDIT, **members})[:2] == (400, code)
    assert api.refused("GetTrail", {"Name": "audit"})[1] == "TrailNotFoundException"


@pytest.mark.parametrize(("members", "code"), CANNOT_BE_SET)
def test_what_an_update_cannot_set(api: Api, members: dict[str, Any], code: str) -> None:
    before = created(api)
    assert api.refused("UpdateTrail", {"Name": "audit", **members})[:2] == (400, code)
    assert api("UpdateTrail", {"Name": "audit"}) == before


def test_the_messages_that_clients_know(api: Api) -> None:
    def message(**members: Any) -> str:
        return api.refused("CreateTrail", {**AUDIT, **members})[2]

    assert message(S3BucketName="not-there") == "S3 bucket not-there does not exist!"
    assert message(S3BucketName=OTHER) == REFUSED_BUCKET
    insufficient = f"Insufficient permissions to access S3 bucket {BUCKET} or KMS key {CLOSED}."
    assert message(KmsKeyId=CLOSED) == insufficient
    assert message(SnsTopicName="closed") == "SNS Topic does not exist or the topic policy is incorrect!"


def test_a_mistake_in_the_request_is_told_before_anything_is_asked(api: Api, targets: TargetsInMemory) -> None:
    members = {"Name": "home-only", "S3BucketName": "not-there", "KmsKeyId": "alias/unknown"}
    assert api.refused("CreateTrail", members)[1] == "TrailAlreadyExistsException"
    assert targets.keys.asked == 0


def close(targets: TargetsInMemory) -> None:
    targets.buckets.give(BUCKET, policy())
    targets.keys.closed.add(KEY)
    targets.topics.policies[TOPIC] = policy()


def test_what_does_not_change_is_not_asked_again(api: Api, targets: TargetsInMemory) -> None:
    """A bucket whose policy went wrong is GetTrailStatus' to tell: it must not keep a trail from being stopped."""
    before = created(api, KmsKeyId="alias/audit", SnsTopicName="told")
    api("StartLogging", {"Name": "audit"})
    close(targets)
    asked = targets.keys.asked
    answer = api("UpdateTrail", {"Name": "audit", "EnableLogFileValidation": True, "KmsKeyId": KEY})
    assert answer == {**before, "LogFileValidationEnabled": True}
    api("StopLogging", {"Name": "audit"})
    assert targets.keys.asked == asked
    assert targets.topics.published == [(TOPIC, VALIDATION_MESSAGE)]


def test_a_declared_topic_of_a_form_that_the_api_does_not_take_is_left_alone(
    api: Api, change: Callable[..., None]
) -> None:
    (trail,) = (trail for trail in TRAILS if trail.name == "home-only")
    change(trail, sns_topic_arn=f"{TOPIC}.fifo")
    answer = api("UpdateTrail", {"Name": "home-only", "EnableLogFileValidation": False})
    assert answer["SnsTopicARN"] == f"{TOPIC}.fifo"


@pytest.mark.parametrize("cleared", ["KmsKeyId", "SnsTopicName"])
def test_clearing_asks_nobody(api: Api, targets: TargetsInMemory, cleared: str) -> None:
    created(api, KmsKeyId=KEY, SnsTopicName="told")
    close(targets)
    assert cleared not in api("UpdateTrail", {"Name": "audit", cleared: ""})


def test_a_trail_that_becomes_the_organizations_writes_elsewhere(api: Api, targets: TargetsInMemory) -> None:
    created(api)
    to_organization = {"Name": "audit", "IsOrganizationTrail": True}
    assert api.refused("UpdateTrail", to_organization)[1] == "InsufficientS3BucketPolicyException"
    statements = bucket_statements(BUCKET, ARN, organization_id=ORGANIZATION.id)
    targets.buckets.give(BUCKET, policy(*statements))
    assert api("UpdateTrail", to_organization)["IsOrganizationTrail"] is True


def test_names_of_a_delegated_administrator_are_of_its_own_account(api: Api, targets: TargetsInMemory) -> None:
    api("RegisterOrganizationDelegatedAdmin", {"MemberAccountId": MEMBER})
    targets.buckets.give(BUCKET, policy(*bucket_statements(BUCKET, ARN, organization_id=ORGANIZATION.id)))
    topic = TOPIC.replace(MANAGEMENT, MEMBER)
    targets.topics.policies[topic] = policy(topic_statement(topic, ARN))
    trail = {**AUDIT, "IsOrganizationTrail": True, "SnsTopicName": "told"}
    assert api("CreateTrail", trail, account_id=MEMBER)["SnsTopicARN"] == topic


INSIGHTS = {"TrailName": "audit", "InsightSelectors": [{"InsightType": "ApiCallRateInsight"}]}


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda targets: targets.buckets.give(BUCKET, policy()), "InsufficientS3BucketPolicyException"),
        (lambda targets: targets.keys.closed.add(KEY), "InsufficientEncryptionPolicyException"),
        (lambda targets: targets.keys.disabled.add(KEY), "KmsException"),
    ],
)
def test_insights_are_switched_on_where_their_events_can_go(
    api: Api, targets: TargetsInMemory, spoil: Callable[[TargetsInMemory], None], code: str
) -> None:
    created(api, KmsKeyId=KEY)
    spoil(targets)
    assert api.refused("PutInsightSelectors", INSIGHTS)[:2] == (400, code)
    assert api("PutInsightSelectors", {**INSIGHTS, "InsightSelectors": []})["InsightSelectors"] == []


def test_a_bucket_that_does_not_answer_is_no_refusal(api: Api, targets: TargetsInMemory) -> None:
    """AWS's clients try again by themselves, as they do after any 503."""
    targets.buckets.is_silent = True
    assert api.refused("CreateTrail", AUDIT)[:2] == (503, "ServiceUnavailable")
    targets.buckets.is_silent = False
    assert created(api)["S3BucketName"] == BUCKET
