"""Records that are accepted, and what becomes of them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from opentrail.events.batch import SelectorClass
from opentrail.events.record import MAX_EVENT_BYTES, CheckedRecord, RejectionCode, check_records
from tests.unit.core.events.record_samples import (
    ACCOUNT,
    FULL,
    NEW_ID,
    NOW,
    OWNED,
    accepted,
    checked,
    code,
    text,
    without,
)


def test_codes_are_those_of_the_proto():
    proto = Path(__file__).parents[4] / "proto/opentrail/producer/v1/producer.proto"
    body = re.search(r"enum RejectionCode \{(.*?)\n\}", proto.read_text(), re.DOTALL)[1]
    names = re.findall(r"^\s*([A-Z_]+) = \d+;", body, re.MULTILINE)
    assert names == ["REJECTION_CODE_UNSPECIFIED", *RejectionCode]


class TestAccepted:
    def test_a_whole_record_is_not_touched(self):
        result = accepted()
        assert result.raw == text(FULL)
        assert (result.event_id, result.region, result.event_time) == (FULL["eventID"], "eu-west-1", NOW)
        expected = SelectorClass("Management", "ec2.amazonaws.com", "RunInstances", "AwsApiCall", False, ())
        assert result.selector_class == expected
        assert result.attributes is None

    @pytest.mark.parametrize("style", [{"separators": (", ", ": ")}, {"indent": 2}, {"separators": (",", " :\t")}])
    def test_spaces_are_kept(self, style):
        raw = b" \n" + text(FULL, **style) + b"\r\n\t "
        assert checked(raw).raw == raw

    def test_unknown_members_are_kept(self):
        raw = text({**FULL, "größe": None})[:-1] + b',"p_any":{"deep":[1,2.50,1e400,-0,"\xe2\x80\xa8\\u2028\\/"]}}'
        assert checked(raw).raw == raw

    def test_missing_members_are_spliced_in_before_the_closing_brace(self):
        raw = text(without(*OWNED), indent=1) + b"\n"
        result = checked(raw)
        assert result.raw.startswith(raw.rstrip()[:-1])
        assert result.raw.endswith(b"}\n")
        expected = {
            "eventVersion": "1.11",
            "eventTime": "2023-11-14T22:13:20Z",
            "awsRegion": "us-east-1",
            "eventID": NEW_ID,
            "managementEvent": True,
            "recipientAccountId": ACCOUNT,
            "eventCategory": "Management",
        }
        assert json.loads(result.raw) == without(*OWNED) | expected
        assert (result.event_id, result.region, result.event_time) == (NEW_ID, "us-east-1", NOW)

    @pytest.mark.parametrize("name", OWNED)
    def test_each_owned_member_is_filled_by_itself(self, name):
        filled = json.loads(checked(text(without(name))).raw)
        assert filled.keys() == FULL.keys()
        assert list(filled)[-1] == name

    def test_262_144_bytes_are_accepted_and_one_more_is_not(self):
        room = MAX_EVENT_BYTES - len(text({**FULL, "x": ""}))
        largest = text({**FULL, "x": "a" * room})
        assert len(largest) == 262_144
        assert checked(largest).raw == largest
        assert code(text({**FULL, "x": "a" * (room + 1)})) is RejectionCode.EVENT_TOO_LARGE

    def test_the_limit_counts_what_was_sent(self):
        room = MAX_EVENT_BYTES - len(text({**without("eventID"), "x": ""}))
        assert len(checked(text({**without("eventID"), "x": "a" * room})).raw) > MAX_EVENT_BYTES

    def test_a_clock_may_be_15_minutes_ahead(self):
        assert accepted(eventTime="2023-11-14T22:28:20Z").event_time == NOW + 900
        assert code(text({**FULL, "eventTime": "2023-11-14T22:28:21Z"})) is RejectionCode.INVALID_EVENT_TIME

    @pytest.mark.parametrize("time", ["1970-01-01T00:00:00Z", "2020-02-29T23:59:59Z", "1969-12-31T23:59:59Z"])
    def test_old_times(self, time):
        accepted(eventTime=time)

    @pytest.mark.parametrize("identity", [None, {}, {"type": "AWSService", "invokedBy": "x.amazonaws.com"}])
    def test_users_of_all_kinds(self, identity):
        accepted(userIdentity=identity)

    def test_nesting_to_the_limit(self):
        inside = "[" * 98 + "]" * 98
        assert isinstance(checked(text(FULL)[:-1] + b',"x":{"y":' + inside.encode() + b"}}"), CheckedRecord)

    def test_many_brackets_are_not_many_levels(self):
        accepted(requestParameters=[[{}] * 300], errorMessage='"{[' * 200, userAgent="\\" * 7)


def test_a_batch_answers_for_each_record_in_its_place():
    records = [text(without("eventID")), b"{", text(FULL), b"[]", text(without("eventID"))]
    results = check_records(
        records,
        account_id=ACCOUNT,
        regions={"eu-west-1"},
        default_region="eu-west-1",
        now=NOW,
        new_event_id=lambda index: f"00000000-0000-4000-8000-{index:012}",
    )
    assert [type(r).__name__ for r in results] == [
        "CheckedRecord",
        "Rejection",
        "CheckedRecord",
        "Rejection",
        "CheckedRecord",
    ]
    ids = [results[i].event_id for i in (0, 2, 4)]
    assert ids == ["00000000-0000-4000-8000-000000000000", FULL["eventID"], "00000000-0000-4000-8000-000000000004"]
