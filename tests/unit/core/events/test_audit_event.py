from __future__ import annotations

import base64
import json
from hashlib import sha256
from uuid import UUID

import pytest

from opentrail.events.audit_event import Ingestion, InvalidAuditEvent, failure_of, is_aws_service, record_of
from opentrail.events.record import CheckedRecord, Rejection, RejectionCode, check_record

ACCOUNT, REGION = "111122223333", "eu-west-1"
CHANNEL = f"arn:aws:cloudtrail:{REGION}:{ACCOUNT}:channel/80b505b0-40a7-4e65-9a01-6e099392355b"
NOW = 1_767_323_045  # 2026-01-02T03:04:05Z
INGESTION = Ingestion(ACCOUNT, REGION, CHANNEL, NOW)


def data(**changes) -> dict:
    made = {
        "version": "0.1",
        "userIdentity": {"type": "CustomUser", "principalId": "name@example.com", "details": {"team": {"id": 7}}},
        "eventSource": "com.example.app",
        "eventName": "Rule.Created",
        "eventTime": "2026-01-02T03:00:00Z",
        "UID": "uid-1",
        "recipientAccountId": ACCOUNT,
        **changes,
    }
    return {key: value for key, value in made.items() if value is not ...}


def event(text: str | None = None, **changes) -> dict[str, str]:
    return {"id": "1", "eventData": json.dumps(data(**changes)) if text is None else text}


def record(**changes) -> dict:
    return json.loads(record_of(event(**changes), INGESTION))


def failure(audit_event) -> tuple[str, str]:
    with pytest.raises(InvalidAuditEvent) as invalid:
        record_of(audit_event, INGESTION)
    return str(invalid.value.code), invalid.value.message


def checked(raw: bytes) -> CheckedRecord | Rejection:
    """What the producer makes of it."""
    return check_record(raw, account_id=ACCOUNT, regions={REGION}, default_region="", now=NOW, new_event_id=pytest.fail)


def test_a_record_as_trails_and_event_history_take_it():
    whole = record(
        userAgent="app/1",
        errorCode="Denied",
        errorMessage="not yours",
        sourceIPAddress="2001:db8::1",
        requestParameters={"rule": "r"},
        responseElements={"id": 1},
        additionalEventData={"x": [1, 2]},
    )
    event_id = whole.pop("eventID")
    assert UUID(event_id).version == 5
    assert whole == {
        "eventVersion": "1.11",
        "userIdentity": {"type": "CustomUser", "principalId": "name@example.com", "details": {"team": {"id": 7}}},
        "eventTime": "2026-01-02T03:00:00Z",
        "eventSource": "com.example.app",
        "eventName": "Rule.Created",
        "awsRegion": REGION,
        "sourceIPAddress": "2001:db8::1",
        "userAgent": "app/1",
        "errorCode": "Denied",
        "errorMessage": "not yours",
        "requestParameters": {"rule": "r"},
        "responseElements": {"id": 1},
        "additionalEventData": {"x": [1, 2]},
        "eventType": "ActivityLog",
        "managementEvent": True,
        "recipientAccountId": ACCOUNT,
        "eventCategory": "Management",
        "eventData": {"version": "0.1", "UID": "uid-1"},
        "metadata": {"ingestionTime": "2026-01-02T03:04:05Z", "channelARN": CHANNEL},
    }


def test_what_every_record_has_is_there_and_null():
    smallest = record()
    assert (smallest["sourceIPAddress"], smallest["requestParameters"], smallest["responseElements"]) == (None,) * 3
    assert not {"userAgent", "errorCode", "errorMessage", "additionalEventData", "readOnly"} & smallest.keys()


def test_the_producer_takes_it_as_a_management_event():
    raw = record_of(event(), INGESTION)
    accepted = checked(raw)
    assert isinstance(accepted, CheckedRecord)
    assert accepted.raw == raw
    assert accepted.region == REGION
    assert accepted.event_id == json.loads(raw)["eventID"]
    assert accepted.selector_class.event_category == "Management"
    assert accepted.selector_class.event_source == "com.example.app"
    assert accepted.selector_class.read_only is None


def test_what_the_event_says_is_kept_byte_by_byte():
    parameters = '{"big": 123456789012345678901234567890, "exact": 1.10,  "text": "\\u00e9"}'
    text = json.dumps(data(requestParameters="HERE")).replace('"HERE"', parameters)
    assert parameters.encode() in record_of(event(text), INGESTION)


def test_the_same_event_has_the_same_id_and_another_one_another():
    def event_id(audit_event, ingestion=INGESTION):
        return json.loads(record_of(audit_event, ingestion))["eventID"]

    first = event_id(event())
    assert event_id(event(), INGESTION._replace(now=NOW + 60)) == first
    others = [
        event_id({**event(), "id": "2"}),
        event_id(event(UID="uid-2")),
        event_id(event(), INGESTION._replace(channel_arn=CHANNEL + "0")),
    ]
    assert len({first, *others}) == 4


@pytest.mark.parametrize("time", ["2026-01-02T03:00:00", "2026-01-02T03:00:00Z"])
def test_times_are_utc_with_or_without_saying_so(time):
    assert record(eventTime=time)["eventTime"] == "2026-01-02T03:00:00Z"


def test_the_checksum_is_of_the_text():
    right = event()
    digest = sha256(right["eventData"].encode()).digest()
    assert record_of({**right, "eventDataChecksum": base64.b64encode(digest).decode()}, INGESTION)
    for wrong in (digest.hex(), base64.b64encode(sha256(b"x").digest()).decode(), "", "é"):
        assert failure({**right, "eventDataChecksum": wrong})[0] == "InvalidChecksum"


REQUIRED = ["version", "userIdentity", "eventSource", "eventName", "eventTime", "UID", "recipientAccountId"]


@pytest.mark.parametrize("name", REQUIRED)
@pytest.mark.parametrize("value", [..., None, ""])
def test_fields_that_are_required(name, value):
    assert failure(event(**{name: value})) == ("FieldNotFound", f"eventData has no {name}, or an empty one.")


@pytest.mark.parametrize("name", ["type", "principalId"])
def test_members_of_the_identity_that_are_required(name):
    identity = {"type": "x", "principalId": "y"}
    assert record(userIdentity=identity)["userIdentity"] == identity
    del identity[name]
    assert failure(event(userIdentity=identity)) == ("FieldNotFound", f"userIdentity has no {name}, or an empty one.")
    identity[name] = None
    assert failure(event(userIdentity=identity))[0] == "FieldNotFound"


OPTIONAL = ["userAgent", "errorCode", "errorMessage", "sourceIPAddress", "requestParameters", "responseElements"]


@pytest.mark.parametrize("name", [*OPTIONAL, "additionalEventData"])
def test_null_is_as_if_it_were_not_there(name):
    assert record(**{name: None}) == {**record(), "eventID": record(**{name: None})["eventID"]}


LENGTHS = {
    "version": 256,
    "eventSource": 1024,
    "eventName": 1024,
    "UID": 1024,
    "userAgent": 1024,
    "errorCode": 256,
    "errorMessage": 256,
}


@pytest.mark.parametrize(("name", "most"), LENGTHS.items())
def test_lengths_are_in_characters(name, most):
    assert record(**{name: "é" * most})
    assert failure(event(**{name: "é" * (most + 1)})) == (
        "FieldTooLong",
        f"{name} has {most + 1} characters; at most {most} are taken.",
    )


@pytest.mark.parametrize(("name", "most"), [("type", 128), ("principalId", 1024)])
def test_lengths_in_the_identity(name, most):
    identity = {"type": "x", "principalId": "y"}
    assert record(userIdentity={**identity, name: "a" * most})
    assert failure(event(userIdentity={**identity, name: "a" * (most + 1)})) == (
        "FieldTooLong",
        f"userIdentity.{name} has {most + 1} characters; at most {most} are taken.",
    )


@pytest.mark.parametrize(
    ("name", "most"), [("requestParameters", 102_400), ("responseElements", 102_400), ("additionalEventData", 28_672)]
)
def test_sizes_are_in_bytes(name, most):
    def sized(size: int) -> dict[str, str]:
        return event(json.dumps(data(**{name: "HERE"})).replace('"HERE"', f'{{"k":"{"a" * (size - 8)}"}}'))

    assert record_of(sized(most), INGESTION)
    assert failure(sized(most + 1)) == ("FieldTooLong", f"{name} has {most + 1} bytes; at most {most} are taken.")


def test_an_event_of_the_greatest_fields_is_one_that_the_producer_takes():
    big = {name: {"k": "a" * (102_400 - 9)} for name in ("requestParameters", "responseElements")}
    texts = {name: "a" * most for name, most in LENGTHS.items()}
    extra = {"k": "a" * (28_672 - 9)}
    assert isinstance(checked(record_of(event(**texts, **big, additionalEventData=extra), INGESTION)), CheckedRecord)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"version": 1}, "version is not a string."),
        ({"eventName": ["x"]}, "eventName is not a string."),
        ({"userIdentity": "root"}, "userIdentity is not a JSON object."),
        ({"userIdentity": {"type": 1, "principalId": "y"}}, "userIdentity.type is not a string."),
        (
            {"userIdentity": {"type": "x", "principalId": "y", "details": "z"}},
            "userIdentity.details is not a JSON object.",
        ),
        (
            {"userIdentity": {"type": "x", "principalId": "y", "arn": "z"}},
            "userIdentity has no field 'arn'; what is your own belongs into userIdentity.details.",
        ),
        ({"eventID": "x"}, "eventData has no field 'eventID'; what is your own belongs into additionalEventData."),
        ({"requestParameters": "x"}, "requestParameters is not a JSON object."),
        ({"additionalEventData": []}, "additionalEventData is not a JSON object."),
        ({"sourceIPAddress": "10.0.0.256"}, "sourceIPAddress is no IPv4 or IPv6 address."),
        ({"sourceIPAddress": ""}, "sourceIPAddress is no IPv4 or IPv6 address."),
        ({"eventTime": "2026-01-02T03:00:00.5Z"}, "eventTime is not yyyy-MM-DDTHH:mm:ss in UTC, or no such time."),
        ({"eventTime": "2026-02-30T03:00:00"}, "eventTime is not yyyy-MM-DDTHH:mm:ss in UTC, or no such time."),
        ({"eventTime": "2026-01-02T03:00+01:00"}, "eventTime is not yyyy-MM-DDTHH:mm:ss in UTC, or no such time."),
    ],
)
def test_data_that_is_invalid(changes, reason):
    assert failure(event(**changes)) == ("InvalidData", reason)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        '"x"',
        "{",
        '{"version": "1"} {}',
        json.dumps(data()).replace('"version"', '"UID": "x", "version"'),
        json.dumps(data()).replace('"type"', '"principalId": "x", "type"'),
        json.dumps(data(requestParameters="HERE")).replace('"HERE"', "[" * 200 + "]" * 200),
        json.dumps(data(requestParameters="HERE")).replace('"HERE"', '{"a": "\\ud800"}'),
        json.dumps(data(requestParameters="HERE")).replace('"HERE"', '{"a": 1, "a": 2}'),
        "[" * 100_000,
    ],
)
def test_texts_that_are_no_event(text):
    assert failure(event(text))[0] == "InvalidData"


def test_events_are_for_the_owner_of_the_channel():
    assert failure(event(recipientAccountId="444455556666"))[0] == "InvalidRecipient"


@pytest.mark.parametrize(
    "source", ["s3.amazonaws.com", "amazonaws.com", "S3.AMAZONAWS.COM", " iam.amazonaws.com. ", "x.amazonaws.com.cn"]
)
def test_an_event_does_not_pass_for_one_of_an_aws_service(source):
    assert is_aws_service(source)
    assert failure(event(eventSource=source))[0] == "InvalidEventSource"


@pytest.mark.parametrize("source", ["notamazonaws.com", "amazonaws.com.example.com", "aws", "com.amazonaws.s3"])
def test_sources_outside_aws(source):
    assert not is_aws_service(source)
    assert record(eventSource=source)["eventSource"] == source


def test_what_the_producer_rejects_has_an_error_code():
    assert failure_of(RejectionCode.EVENT_TOO_LARGE) == "FieldTooLong"
    assert failure_of(RejectionCode.ACCOUNT_MISMATCH) == "InvalidRecipient"
    assert failure_of(RejectionCode.MISSING_FIELD) == "FieldNotFound"
    assert failure_of(RejectionCode.INVALID_EVENT_TIME) == "InvalidData"
    future = checked(record_of(event(eventTime="2026-01-02T03:19:06Z"), INGESTION))
    assert isinstance(future, Rejection)
    assert future.code is RejectionCode.INVALID_EVENT_TIME
    details = {"type": "x", "principalId": "y", "details": {"k": "a" * 262_144}}
    large = checked(record_of(event(userIdentity=details), INGESTION))
    assert isinstance(large, Rejection)
    assert large.code is RejectionCode.EVENT_TOO_LARGE
