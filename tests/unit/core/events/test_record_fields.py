"""Members that are missing, wrong, or another's."""

from __future__ import annotations

import pytest

from opentrail.events.record import Rejection, RejectionCode, check_record
from tests.unit.core.events.record_samples import ACCOUNT, FULL, NOW, checked, code, text, without


@pytest.mark.parametrize("name", ["userIdentity", "eventSource", "eventName", "eventType"])
def test_required_members(name):
    result = checked(text(without(name)))
    assert result == Rejection(RejectionCode.MISSING_FIELD, f"The record has no {name}.")


@pytest.mark.parametrize(
    "changes",
    [
        {"eventSource": None},
        {"eventName": 1},
        {"eventType": ["AwsApiCall"]},
        {"readOnly": "true"},
        {"readOnly": 0},
        {"managementEvent": "true"},
        {"managementEvent": None},
        {"eventID": None},
        {"eventID": "1"},
        {"eventID": "EXAMPLE-1234-5678-9012-EXAMPLE"},
        {"eventID": FULL["eventID"] + "\n"},
        {"eventID": "١٢٣٤٥٦٧٨-1234-1234-1234-123456789012"},
        {"eventVersion": None},
        {"eventVersion": "1"},
        {"eventVersion": 1.08},
        {"eventCategory": None},
        {"eventCategory": "Aggregated"},
        {"eventCategory": "data"},
        {"awsRegion": None},
        {"recipientAccountId": None},
        {"recipientAccountId": int(ACCOUNT)},
        {"resources": {}},
        {"resources": "[]"},
        {"resources": ["arn"]},
        {"resources": [None]},
        {"resources": [{"type": 1}]},
        {"resources": [{"ARN": ["a"]}]},
        {"userIdentity": "alice"},
        {"userIdentity": []},
        {"userIdentity": {"arn": 1}},
        {"userIdentity": {"invokedBy": {}}},
        {"userIdentity": {"sessionContext": None}},
        {"userIdentity": {"sessionContext": {"attributes": None}}},
        {"userIdentity": {"sessionContext": {"sessionIssuer": None}}},
        {"userIdentity": {"sessionContext": {"webIdFederationData": None}}},
        {"userIdentity": {"onBehalfOf": None}},
        {"userIdentity": {"invokedByDelegate": None}},
        {"userIdentity": {"inScopeOf": []}},
        {"tlsDetails": "TLSv1.2"},
        {"addendum": []},
        {"edgeDeviceDetails": True},
        {"insightDetails": 1},
        {"errorCode": 404},
        {"vpcEndpointId": {}},
        {"sessionCredentialFromConsole": 1},
    ],
    ids=str,
)
def test_members_of_the_wrong_type_or_form(changes):
    assert code(text({**FULL, **changes})) is RejectionCode.INVALID_FIELD


@pytest.mark.parametrize(
    "time",
    [
        "2023-11-14T22:13:20.000Z",
        "2023-11-14T22:13:20+00:00",
        "2023-11-14T22:13:20",
        "2023-11-14 22:13:20Z",
        "2023-11-14T22:13:20z",
        "2023-11-14T22:13:20Z ",
        "2023-11-14T22:13:20Z\n",
        "2023-02-29T00:00:00Z",
        "2023-13-01T00:00:00Z",
        "2023-11-14T24:00:00Z",
        "2016-12-31T23:59:60Z",
        "0000-01-01T00:00:00Z",
        "२०२३-11-14T22:13:20Z",
        "9999-12-31T23:59:59Z",
        "",
        1_700_000_000,
        None,
    ],
)
def test_times_that_cloudtrail_does_not_write(time):
    assert code(text({**FULL, "eventTime": time})) is RejectionCode.INVALID_EVENT_TIME


def test_another_account_and_an_unknown_region():
    assert code(text({**FULL, "recipientAccountId": "444455556666"})) is RejectionCode.ACCOUNT_MISMATCH
    assert code(text({**FULL, "awsRegion": "eu-west-9"})) is RejectionCode.UNKNOWN_REGION
    result = check_record(
        text(without("awsRegion")),
        account_id=ACCOUNT,
        regions={"us-east-1"},
        default_region='x","y":"',
        now=NOW,
        new_event_id=str,
    )
    assert result.code is RejectionCode.UNKNOWN_REGION


def test_a_region_is_needed_from_the_record_or_the_request():
    result = check_record(
        text(without("awsRegion")), account_id=ACCOUNT, regions={""}, default_region="", now=NOW, new_event_id=str
    )
    expected = "The record has no awsRegion, and the request names no region."
    assert result == Rejection(RejectionCode.MISSING_FIELD, expected)
