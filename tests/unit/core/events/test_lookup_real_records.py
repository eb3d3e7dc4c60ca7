"""Lookup attributes of the shared records of others."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path

import pytest

from opentrail.events.lookup import LookupFields, UnreadableRecord, api_event, lookup_attributes, lookup_fields

pytestmark = pytest.mark.real_records


def records(folder: Path, name: str) -> list[bytes]:
    return gzip.decompress((folder / name).read_bytes()).splitlines()


@pytest.fixture(scope="module")
def read(real_records: Path) -> list[tuple[dict, LookupFields]]:
    return [(json.loads(raw), lookup_fields(raw)) for raw in records(real_records, "events.jsonl.gz")]


def test_attributes_are_those_of_the_record(read):
    assert len(read) == 3044
    for record, fields in read:
        identity = record.get("userIdentity") or {}
        named = record.get("insightDetails", record)
        assert fields.event_id == record["eventID"]
        assert (fields.event_name, fields.event_source) == (named["eventName"], named["eventSource"])
        assert fields.read_only == {True: "true", False: "false", None: None}[record.get("readOnly")]
        assert fields.access_key_id == (identity.get("accessKeyId") or None)
        listed = {entry["ARN"] for entry in record.get("resources") or [] if "ARN" in entry}
        assert listed <= {resource.name for resource in fields.resources}


def test_nearly_everybody_has_a_name(read):
    nameless = Counter((record.get("userIdentity") or {}).get("type") for record, fields in read if not fields.username)
    # Made up by their authors, without any name; and the Insights event.
    assert nameless == {"IAMUser": 2, "AssumedRole": 1, None: 1}
    assert {fields.username for record, fields in read if record.get("userIdentity", {}).get("type") == "Root"} == {
        "root"
    }


def test_most_changes_name_a_resource(read):
    changes = [(record, fields) for record, fields in read if record.get("readOnly") is False]
    with_resources = [fields for _, fields in changes if fields.resources]
    in_the_record = [fields for record, fields in changes if record.get("resources")]
    assert len(changes) > 500
    assert len(with_resources) > 0.7 * len(changes) > 2 * len(in_the_record)


def test_every_event_is_shown_with_its_whole_record(real_records):
    for raw in records(real_records, "events.jsonl.gz"):
        event = api_event(raw, 0)
        shown, record = json.loads(event["CloudTrailEvent"]), json.loads(raw)
        record.pop("eventContext", None)
        assert shown == record
        assert len(lookup_attributes(lookup_fields(raw))) <= 30


def test_records_that_are_not_as_they_should_be_are_read_or_refused(real_records):
    refused = 0
    for raw in records(real_records, "nonconforming.jsonl.gz"):
        try:
            assert lookup_fields(raw).event_id
        except UnreadableRecord:
            refused += 1
    assert 0 < refused < 217
