"""PutAuditEvents with an intake that answers as it is told."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from opentrail.trails.caller import Caller
from opentrail.trails.channel import Channel
from opentrail.trails.channel_policies import new_policy
from opentrail.trails.configuration import (
    Change,
    ConfigurationHistory,
    Kind,
    channel_body,
    resource_policy_body,
)
from opentrail.trails.refused import Refused
from opentrail_backends.state.port import StateStore
from opentrail_control_plane.event_intake import EventNumbers, IntakeThrottled, IntakeUnavailable, RejectedEvent
from opentrail_control_plane.operations.context import Context, Identity, Ports
from opentrail_control_plane.operations.put_audit_events import put_audit_events

OWNER, PARTNER, STRANGER = "111122223333", "444455556666", "777788889999"
REGION = "us-east-1"
CHANNEL = Channel(id="80b505b0-40a7-4e65-9a01-6e099392355b", account_id=OWNER, region=REGION, name="c", source="Custom")
POLICY = {
    "Effect": "Allow",
    "Principal": {"AWS": PARTNER},
    "Action": "cloudtrail-data:PutAuditEvents",
    "Resource": CHANNEL.arn,
    "Condition": {"StringEquals": {"cloudtrail:ExternalId": "secret"}},
}
NOW = 1_767_323_045


class ToldIntake:
    """Takes everything, or does what a test tells it."""

    def __init__(self) -> None:
        self.batches: list[tuple[str, str, list[dict[str, Any]]]] = []
        self.instead: Exception | None = None
        self.rejections: dict[int, RejectedEvent] = {}

    def accept(
        self,
        account_id: str,
        events: Sequence[bytes],
        region: str,
        numbers: EventNumbers | None = None,
        accepted_at: int = 0,
    ) -> Sequence[str | RejectedEvent]:
        assert numbers is None
        assert accepted_at == 0
        if self.instead is not None:
            raise self.instead
        records = [json.loads(event) for event in events]
        self.batches.append((account_id, region, records))
        return [self.rejections.get(place, record["eventID"]) for place, record in enumerate(records)]


@pytest.fixture
def intake() -> ToldIntake:
    return ToldIntake()


@pytest.fixture
def put(intake: ToldIntake, state: StateStore):
    policy = new_policy(CHANNEL, json.dumps({"Version": "2012-10-17", "Statement": POLICY}))
    changes = [
        Change(1, 1, Kind.CHANNEL, CHANNEL.id, channel_body(CHANNEL)),
        Change(2, 2, Kind.RESOURCE_POLICY, CHANNEL.arn, resource_policy_body(policy)),
    ]

    def call(*events: dict[str, str], account_id: str = OWNER, region: str = REGION, ports=None, **members: str):
        context = Context(
            caller=Caller(account_id, region),
            identity=Identity("AKIAEXAMPLE", "alice", "admin"),
            history=ConfigurationHistory(changes),
            state=state,
            now=NOW,
            ports=ports or Ports(None, intake, (REGION,), bytes(32)),
            request_id="request",
        )
        reply = put_audit_events(context, {"channelArn": CHANNEL.arn, "auditEvents": list(events), **members})
        assert not reply.changes
        return reply.output

    return call


def event(event_id: str = "1", **changes: Any) -> dict[str, str]:
    data = {
        "version": "0.1",
        "userIdentity": {"type": "CustomUser", "principalId": "name@example.com"},
        "eventSource": "com.example.app",
        "eventName": "Rule.Created",
        "eventTime": "2026-01-02T03:00:00Z",
        "UID": f"uid-{event_id}",
        "recipientAccountId": OWNER,
        **changes,
    }
    return {"id": event_id, "eventData": json.dumps(data)}


def refusal(put, *events: dict[str, str], **call: str) -> str:
    with pytest.raises(Refused) as refused:
        put(*events, **call)
    return refused.value.code


def test_each_event_has_its_answer(put, intake):
    intake.rejections[1] = RejectedEvent("EVENT_TOO_LARGE", "too large")
    bad_sum = {**event("3"), "eventDataChecksum": "x"}
    answer = put(event("1"), event("2", eventName=""), bad_sum, event("4"), event("5"))
    ((account_id, region, records),) = intake.batches
    assert (account_id, region) == (OWNER, REGION)
    assert [record["eventData"]["UID"] for record in records] == ["uid-1", "uid-4", "uid-5"]
    assert answer == {
        "successful": [{"id": "1", "eventID": records[0]["eventID"]}, {"id": "5", "eventID": records[2]["eventID"]}],
        "failed": [
            {
                "id": "2",
                "errorCode": "FieldNotFound",
                "errorMessage": "eventData has no eventName, or an empty one.",
            },
            {"id": "3", "errorCode": "InvalidChecksum", "errorMessage": "eventDataChecksum is not that of eventData."},
            {"id": "4", "errorCode": "FieldTooLong", "errorMessage": "too large"},
        ],
    }
    assert records[0]["metadata"] == {"ingestionTime": "2026-01-02T03:04:05Z", "channelARN": CHANNEL.arn}


def test_events_that_are_all_invalid_need_no_bus(put, intake):
    assert [failed["id"] for failed in put(event("1", UID=None), event("2", UID=None))["failed"]] == ["1", "2"]
    assert intake.batches == []


@pytest.mark.parametrize(
    ("instead", "code"),
    [
        (IntakeThrottled("slower", 1.5), "Throttling"),
        (IntakeUnavailable("the bus did not confirm"), "InternalFailure"),
        (ValueError("the batch has 2 events; at most 1 are taken"), "InternalFailure"),
    ],
)
def test_what_the_bus_did_not_take_has_failed(put, intake, instead, code):
    intake.instead = instead
    answer = put(event("1"), event("2"), event("3", UID=None))
    assert answer["successful"] == []
    assert [(failed["id"], failed["errorCode"]) for failed in answer["failed"]] == [
        ("1", code),
        ("2", code),
        ("3", "FieldNotFound"),
    ]
    assert answer["failed"][0]["errorMessage"] == str(instead)


def test_a_message_is_no_longer_than_the_model_allows(put, intake):
    intake.rejections[0] = RejectedEvent("INVALID_FIELD", "x" * 2000)
    assert len(put(event())["failed"][0]["errorMessage"]) == 1024


def test_a_channel_by_its_id(put):
    assert put(event(), channelArn=CHANNEL.id)["successful"]


@pytest.mark.parametrize(
    ("name", "region", "code"),
    [
        (CHANNEL.arn.replace("80b5", "90b5"), REGION, "ChannelNotFound"),
        (CHANNEL.id.replace("80b5", "90b5"), REGION, "ChannelNotFound"),
        (CHANNEL.arn, "eu-west-1", "ChannelNotFound"),
        (CHANNEL.id, "eu-west-1", "ChannelNotFound"),
        (CHANNEL.arn.replace(OWNER, PARTNER), REGION, "ChannelNotFound"),
        (CHANNEL.arn.replace("channel", "trail"), REGION, "InvalidChannelARN"),
        ("arn:", REGION, "InvalidChannelARN"),
        ("channel", REGION, "InvalidChannelARN"),
    ],
)
def test_channels_that_are_not_there(put, intake, name, region, code):
    assert refusal(put, event(), channelArn=name, region=region) == code
    assert intake.batches == []


def test_another_account_may_if_the_policy_says_so(put, intake):
    answer = put(event(), account_id=PARTNER, externalId="secret")
    assert len(answer["successful"]) == 1
    ((account_id, _, (record,)),) = intake.batches
    assert account_id == record["recipientAccountId"] == OWNER


@pytest.mark.parametrize(
    "caller",
    [
        {"account_id": PARTNER},
        {"account_id": PARTNER, "externalId": "Secret"},
        {"account_id": STRANGER, "externalId": "secret"},
    ],
)
def test_others_may_not(put, intake, caller):
    assert refusal(put, event(), **caller) == "ChannelInsufficientPermission"
    assert intake.batches == []


def test_events_are_for_the_channels_owner_whoever_puts_them(put, intake):
    answer = put(event(recipientAccountId=PARTNER), account_id=PARTNER, externalId="secret")
    assert [failed["errorCode"] for failed in answer["failed"]] == ["InvalidRecipient"]
    assert intake.batches == []


def test_an_id_comes_once_in_a_request(put, intake):
    assert refusal(put, event("1"), event("2"), event("1", UID="other")) == "DuplicatedAuditEventId"
    assert intake.batches == []


def test_without_a_way_onto_the_bus_nothing_is_taken(put):
    ports = Ports(None, None, (REGION,), bytes(32))
    assert refusal(put, event(), ports=ports) == "UnsupportedOperationException"
