"""Members to the wire, and to records."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from datetime import UTC, datetime, timedelta, timezone

import pytest

from opentrail_control_plane.model import (
    Operation,
    find_operation,
    recorded_input,
    recorded_output,
    services,
    write_output,
    write_xml,
)
from opentrail_control_plane.model.writing import xml_text


def the(service: str, name: str) -> Operation:
    operation = find_operation(service, name)
    assert operation is not None
    return operation


def test_names_of_no_operation_are_not_remembered() -> None:
    """Anybody may send them, without a key: they must not fill the memory."""
    before = services._operation.cache_info().currsize
    assert [find_operation("cloudtrail", f"Nothing{number}") for number in range(100)] == [None] * 100
    assert services._operation.cache_info().currsize == before


def test_what_is_none_is_left_out_at_every_depth() -> None:
    output = {"Trail": {"Name": "a", "S3KeyPrefix": None, "IsMultiRegionTrail": False}}
    assert write_output(the("cloudtrail", "GetTrail"), output) == {"Trail": {"Name": "a", "IsMultiRegionTrail": False}}
    assert write_output(the("cloudtrail", "GetTrail"), {"Trail": None}) == {}


def test_times_are_epoch_seconds_with_milliseconds_if_there_are_some() -> None:
    status = the("cloudtrail", "GetTrailStatus")
    at = datetime(2015, 9, 1, 20, 35, 57, tzinfo=UTC)
    berlin = at.astimezone(timezone(timedelta(hours=2)))
    written = write_output(
        status,
        {
            "StartLoggingTime": at,
            "StopLoggingTime": berlin,
            "LatestDeliveryTime": at + timedelta(milliseconds=497, microseconds=49),
        },
    )
    assert written == {
        "StartLoggingTime": 1441139757,
        "StopLoggingTime": 1441139757,
        "LatestDeliveryTime": 1441139757.497,
    }
    assert isinstance(written["StartLoggingTime"], int)


def test_blobs_are_base64() -> None:
    keys = {"PublicKeyList": [{"Value": b"\x00\xff", "Fingerprint": "f"}]}
    written = write_output(the("cloudtrail", "ListPublicKeys"), keys)
    assert written == {"PublicKeyList": [{"Value": "AP8=", "Fingerprint": "f"}]}


def test_a_member_that_is_not_the_models_is_a_fault_of_ours() -> None:
    with pytest.raises(KeyError):
        write_output(the("cloudtrail", "GetTrail"), {"Trail": {"Nmae": "a"}})


def test_xml_of_sts_is_well_formed_whatever_a_text_holds() -> None:
    operation = the("sts", "GetCallerIdentity")
    written = write_xml(operation, {"Arn": "a<b>&\x00\x1b\ufffe😀", "Account": None})
    assert ET.fromstring(f"<r>{written}</r>")[0].text == "a<b>&???😀"
    assert xml_text("\ud800") == "?"


def test_times_in_xml() -> None:
    end = {"Credentials": {"AccessKeyId": "ASIA", "Expiration": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)}}
    assert write_xml(the("sts", "GetSessionToken"), end) == (
        "<Credentials><AccessKeyId>ASIA</AccessKeyId><Expiration>2026-01-02T03:04:05Z</Expiration></Credentials>"
    )


def test_records_have_names_in_lower_camel_case() -> None:
    members = {
        "TrailName": "a",
        "EventSelectors": [{"ReadWriteType": "All", "DataResources": [{"Type": "AWS::S3::Object", "Values": ["x"]}]}],
    }
    assert recorded_input(the("cloudtrail", "PutEventSelectors"), members) == {
        "trailName": "a",
        "eventSelectors": [{"readWriteType": "All", "dataResources": [{"type": "AWS::S3::Object", "values": ["x"]}]}],
    }
    created = {"TrailARN": "arn", "SnsTopicARN": None}
    assert recorded_output(the("cloudtrail", "CreateTrail"), created) == {"trailARN": "arn"}


@pytest.mark.parametrize(
    ("hour", "text"),
    [(0, "Nov 1, 2025, 12:02:00 AM"), (12, "Nov 1, 2025, 12:02:00 PM"), (18, "Nov 1, 2025, 6:02:00 PM")],
)
def test_times_in_records(hour: int, text: str) -> None:
    members = {"StartTime": datetime(2025, 11, 1, hour, 2, tzinfo=UTC)}
    assert recorded_input(the("cloudtrail", "LookupEvents"), members) == {"startTime": text}
