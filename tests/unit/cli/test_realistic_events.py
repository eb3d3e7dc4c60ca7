from __future__ import annotations

import re
from collections import Counter
from hashlib import sha256
from typing import Any
from uuid import UUID

import msgspec
import pytest

from opentrail_cli.realistic_events import ACCOUNTS, REGIONS, GeneratedEvent, realistic_events
from opentrail_cli.realistic_events.incident import INTRUDER_ADDRESS, STOLEN_BUCKET

START = 1_767_225_600

REQUIRED = {
    "eventVersion", "userIdentity", "eventTime", "eventSource", "eventName", "awsRegion", "sourceIPAddress",
    "requestParameters", "responseElements", "eventID", "eventType", "eventCategory", "recipientAccountId",
}  # fmt: skip
ORDER = [
    "eventVersion", "userIdentity", "eventTime", "eventSource", "eventName", "awsRegion", "sourceIPAddress",
    "userAgent", "errorCode", "errorMessage", "requestParameters", "responseElements", "additionalEventData",
    "requestID", "eventID", "readOnly", "resources", "eventType", "managementEvent", "recipientAccountId",
    "sharedEventID", "serviceEventDetails", "eventCategory", "sessionCredentialFromConsole", "tlsDetails",
]  # fmt: skip


@pytest.fixture(scope="module")
def events() -> list[GeneratedEvent]:
    return realistic_events(7, START)


@pytest.fixture(scope="module")
def records(events: list[GeneratedEvent]) -> list[dict[str, Any]]:
    return [msgspec.json.decode(event.record) for event in events]


def test_the_same_seed_gives_the_same_bytes_on_every_machine() -> None:
    joined = b"\n".join(event.record for event in realistic_events(1, START, events=300))
    assert sha256(joined).hexdigest() == "8dff5f974a13208deacf2ea766c6d0ab53790323dc3159092b79766fb6a58a4f"


def test_another_seed_or_start_gives_others() -> None:
    first = realistic_events(1, START, events=50)
    assert {e.record for e in first}.isdisjoint(e.record for e in realistic_events(2, START, events=50))
    moved = realistic_events(1, START + 60, events=50)
    assert [e.time - 60 for e in moved] == [e.time for e in first]


def test_events_lie_in_the_asked_time_and_are_ordered(events: list[GeneratedEvent]) -> None:
    times = [event.time for event in events]
    assert times == sorted(times)
    assert times[0] >= START
    assert times[-1] < START + 6 * 3600


@pytest.mark.parametrize("seconds", [60, 600, 86_400])
def test_the_incident_fits_into_any_length(seconds: int) -> None:
    events = realistic_events(3, START, events=10, seconds=seconds)
    assert events[0].time >= START
    assert events[-1].time < START + seconds


def test_members_are_there_in_cloudtrails_order(records: list[dict[str, Any]]) -> None:
    for record in records:
        assert set(record) >= REQUIRED
        assert list(record) == [member for member in ORDER if member in record]
        UUID(record["eventID"])
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", record["eventTime"])
        assert record["managementEvent"] is (record["eventCategory"] == "Management")


def test_what_is_said_beside_a_record_is_what_it_says(
    events: list[GeneratedEvent], records: list[dict[str, Any]]
) -> None:
    for event, record in zip(events, records, strict=True):
        assert (event.account_id, event.region) == (record["recipientAccountId"], record["awsRegion"])
    assert {event.account_id for event in events} == set(ACCOUNTS)
    assert {event.region for event in events} == set(REGIONS)


def test_shares_are_like_those_of_real_records(events: list[GeneratedEvent], records: list[dict[str, Any]]) -> None:
    count = len(records)
    assert 0.72 < sum(record["readOnly"] for record in records) / count < 0.85
    assert 0.05 < sum("errorCode" in record for record in records) / count < 0.12
    sizes = sorted(len(event.record) for event in events)
    assert sizes[0] > 500
    assert 1_000 < sizes[count // 2] < 1_600
    assert 2_000 < sizes[-1] < 8_000
    assert {record["eventVersion"] for record in records} == {"1.08", "1.09", "1.10", "1.11"}
    sources = [source for source, _ in Counter(record["eventSource"] for record in records).most_common(8)]
    assert {"ec2.amazonaws.com", "s3.amazonaws.com", "ssm.amazonaws.com", "kms.amazonaws.com"} <= set(sources)


def test_everything_a_reader_may_meet_occurs(events: list[GeneratedEvent], records: list[dict[str, Any]]) -> None:
    assert {record["userIdentity"].get("type") for record in records} >= {
        "IAMUser", "AssumedRole", "AWSService", "AWSAccount", "IdentityCenterUser", "Root",
    }  # fmt: skip
    assert {record["eventType"] for record in records} == {"AwsApiCall", "AwsConsoleSignIn", "AwsServiceEvent"}
    data = {r["type"] for record in records if record["eventCategory"] == "Data" for r in record["resources"]}
    assert data >= {"AWS::S3::Object", "AWS::Lambda::Function", "AWS::DynamoDB::Table"}
    assert {r["additionalEventData"]["MFAUsed"] for r in records if r["eventName"] == "ConsoleLogin"} == {"Yes", "No"}
    assert any(":" in record["sourceIPAddress"] for record in records)
    assert any(not event.record.isascii() for event in events)
    assert {r["responseElements"]["ConsoleLogin"] for r in records if r["eventName"] == "ConsoleLogin"} == {
        "Success", "Failure",
    }  # fmt: skip


def test_a_call_across_accounts_is_in_both(records: list[dict[str, Any]]) -> None:
    shared: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        if "sharedEventID" in record:
            shared.setdefault(record["sharedEventID"], []).append(record)
    pairs = [pair for pair in shared.values() if len(pair) == 2]
    assert pairs
    for one, other in pairs:
        assert one["eventID"] != other["eventID"]
        assert one["recipientAccountId"] != other["recipientAccountId"]


def test_event_ids_are_unique(records: list[dict[str, Any]]) -> None:
    assert len({record["eventID"] for record in records}) == len(records)


def test_only_addresses_and_accounts_of_documentation_occur(records: list[dict[str, Any]]) -> None:
    documentation = re.compile(r"192\.0\.2\.|198\.51\.100\.|203\.0\.113\.|2001:db8:|10\.|[a-z0-9-]+\.amazonaws\.com$")
    for record in records:
        assert documentation.match(record["sourceIPAddress"]), record["sourceIPAddress"]


def test_the_incident_tells_its_story_in_order(records: list[dict[str, Any]]) -> None:
    intruder = [record for record in records if record["sourceIPAddress"] == INTRUDER_ADDRESS]
    names = [record["eventName"] for record in intruder]
    story = [
        "GetCallerIdentity",
        "ListUsers",
        "CreateAccessKey",
        "CreateUser",
        "StopLogging",
        "GetSecretValue",
        "GetObject",
    ]
    assert [names.index(name) for name in story] == sorted(names.index(name) for name in story)
    denied = [record["eventName"] for record in intruder if record.get("errorCode") == "AccessDenied"]
    assert len(denied) > 15
    assert denied.count("StopLogging") == 2
    taken = [r for r in intruder if r["eventName"] == "GetObject"]
    assert len(taken) == 60
    assert all(r["requestParameters"]["bucketName"] == STOLEN_BUCKET for r in taken)
    keys = {record["userIdentity"]["accessKeyId"] for record in intruder}
    assert len(keys) == 1
    disabled = next(r for r in records if r["eventName"] == "UpdateAccessKey")
    assert disabled["requestParameters"]["accessKeyId"] in keys
    assert disabled["eventTime"] > taken[-1]["eventTime"]
    middle = START + 3 * 3600
    times = [record["eventTime"] for record in intruder]
    assert times[0] < _text(middle) < _text(middle + 1200)
    assert times[-1] < _text(middle + 1800)


def _text(seconds: int) -> str:
    from opentrail_cli.realistic_events.record import timestamp

    return timestamp(seconds)
