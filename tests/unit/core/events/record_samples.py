"""A whole record, variants of it, and their check."""

from __future__ import annotations

import json
import re

from opentrail.events.record import CheckedRecord, Rejection, RejectionCode, check_record

NOW = 1_700_000_000  # 2023-11-14T22:13:20Z
ACCOUNT = "111122223333"
NEW_ID = "00000000-0000-4000-8000-000000000000"
FULL = {
    "eventVersion": "1.08",
    "userIdentity": {"type": "IAMUser", "arn": "arn:aws:iam::111122223333:user/alice", "sessionContext": {}},
    "eventTime": "2023-11-14T22:13:20Z",
    "eventSource": "ec2.amazonaws.com",
    "eventName": "RunInstances",
    "awsRegion": "eu-west-1",
    "sourceIPAddress": "2001:db8::1",
    "requestParameters": {"name": "Größe"},
    "responseElements": None,
    "eventID": "12345678-1234-1234-1234-123456789ABC",
    "readOnly": False,
    "eventType": "AwsApiCall",
    "managementEvent": True,
    "recipientAccountId": ACCOUNT,
    "eventCategory": "Management",
}
OWNED = ["eventVersion", "eventTime", "awsRegion", "eventID", "managementEvent", "recipientAccountId", "eventCategory"]


def text(record: object, **dumps) -> bytes:
    return json.dumps(record, ensure_ascii=False, **{"separators": (",", ":"), **dumps}).encode()


def checked(raw: bytes) -> CheckedRecord | Rejection:
    return check_record(
        raw,
        account_id=ACCOUNT,
        regions=frozenset({"eu-west-1", "us-east-1"}),
        default_region="us-east-1",
        now=NOW,
        new_event_id=lambda: NEW_ID,
    )


def accepted(**changes) -> CheckedRecord:
    result = checked(text({**FULL, **changes}))
    assert isinstance(result, CheckedRecord), result
    return result


def code(raw: bytes) -> RejectionCode:
    result = checked(raw)
    assert isinstance(result, Rejection), result
    assert re.fullmatch(r"[A-Za-z].*\.", result.message, re.DOTALL), result.message
    return result.code


def without(*names: str) -> dict:
    return {name: value for name, value in FULL.items() if name not in names}
