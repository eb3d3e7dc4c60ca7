"""The shared records of others. They lie outside the project, and the tests are skipped where they do not."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path

import pytest

from opentrail.events.batch import record_views
from opentrail.events.batch_encoding import decode_batch, encode_batch
from opentrail.events.grouping import group_records
from opentrail.events.record import CheckedRecord, Rejection, RejectionCode, check_record
from opentrail.trails.event_selectors import Decision, EventSelectors, decide

NEW_ID = "00000000-0000-4000-8000-000000000000"
NOW = 1_900_000_000  # 2030

pytestmark = pytest.mark.real_records


def lines(file: Path) -> list[bytes]:
    return gzip.decompress(file.read_bytes()).splitlines()


@pytest.fixture(scope="module")
def events(real_records: Path) -> list[tuple[bytes, CheckedRecord | Rejection]]:
    return [(raw, checked(raw)) for raw in lines(real_records / "events.jsonl.gz")]


def checked(raw: bytes) -> CheckedRecord | Rejection:
    record = json.loads(raw)
    return check_record(
        raw,
        account_id=record.get("recipientAccountId", "111122223333"),
        regions={record.get("awsRegion"), "us-east-1"},
        default_region="us-east-1",
        now=NOW,
        new_event_id=lambda: NEW_ID,
    )


def test_all_are_accepted_but_those_whose_event_id_was_made_up(events):
    assert len(events) == 3044
    refused = [(json.loads(raw), result) for raw, result in events if isinstance(result, Rejection)]
    # Amazon's own reader of log files requires a UUID. These have such as EXAMPLE-1234-5678-9012-EXAMPLE.
    assert len(refused) == 22
    for record, rejection in refused:
        assert rejection == Rejection(RejectionCode.INVALID_FIELD, "eventID is not a UUID.")
        assert not set(record["eventID"].lower()) <= set("0123456789abcdef-") or len(record["eventID"]) != 36


def test_an_accepted_record_keeps_its_bytes_and_gains_only_what_the_service_owns(events):
    for raw, result in events:
        if isinstance(result, Rejection):
            continue
        assert result.raw[: len(raw) - 1] == raw[:-1]
        before, after = json.loads(raw), json.loads(result.raw)
        assert {name: after[name] for name in before} == before
        assert after.keys() - before.keys() <= {"recipientAccountId", "eventCategory", "managementEvent"}
        assert result.selector_class.event_category == after["eventCategory"]


def test_categories_of_those_that_do_not_tell_them(events):
    told = Counter(
        (record.get("managementEvent"), result.selector_class.event_category)
        for raw, result in events
        if "eventCategory" not in (record := json.loads(raw)) and isinstance(result, CheckedRecord)
    )
    assert told.keys() == {(True, "Management"), (False, "Data"), (None, "Management"), (None, "Data")}


def test_a_trail_without_selectors_wants_the_management_events(events):
    accepted = [result for _, result in events if isinstance(result, CheckedRecord)]
    batch = decode_batch(encode_batch(group_records("111122223333", "us-east-1", accepted)))
    wanted = Counter(
        bytes(view)
        for group in batch
        if decide(EventSelectors(), group.selector_class) is Decision.YES
        for view in record_views(group)
    )
    assert wanted == Counter(r.raw for r in accepted if json.loads(r.raw)["eventCategory"] == "Management")
    assert wanted.total() > 2900


def test_records_that_do_not_conform_are_answered_one_by_one(real_records):
    results = [checked(raw) for raw in lines(real_records / "nonconforming.jsonl.gz")]
    assert len(results) == 217
    codes = Counter(r.code if isinstance(r, Rejection) else None for r in results)
    assert codes.keys() <= {
        None,
        RejectionCode.INVALID_FIELD,
        RejectionCode.INVALID_EVENT_TIME,
        RejectionCode.MISSING_FIELD,
    }
    assert codes[RejectionCode.INVALID_FIELD] > 50
    assert codes[RejectionCode.INVALID_EVENT_TIME] > 1
