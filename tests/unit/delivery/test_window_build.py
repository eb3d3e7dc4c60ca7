import json
import uuid
from collections import Counter
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opentrail.events.batch import EventAttributes, EventBatch, SelectorClass, group_of
from opentrail.evidence.log_file import STANDARD_CODEC, read_log_file
from opentrail.trails.configuration import (
    Change,
    ConfigurationHistory,
    Kind,
    Organization,
    organization_body,
    trail_body,
)
from opentrail.trails.event_selectors import EventSelectors
from opentrail.trails.trail import Trail
from opentrail_backends.event_bus.batches import MalformedBatch, pack
from opentrail_backends.event_bus.port import Message, Partition
from opentrail_delivery.codec import fastest_codec
from opentrail_delivery.file_names import name_files
from opentrail_delivery.intent_body import FORMAT_VERSION, IntentBody, IntentOfNewerFormat
from opentrail_delivery.window_build import build_files, governing_revisions, read_batches

REGION = "eu-central-1"
PARTITION = Partition(REGION, 0)
WRITES = EventSelectors.from_api([{"ReadWriteType": "WriteOnly"}])
READS = EventSelectors.from_api([{"ReadWriteType": "ReadOnly"}])
OBJECTS_OF_ONE_BUCKET = EventSelectors.from_api(
    [
        {
            "IncludeManagementEvents": False,
            "DataResources": [{"Type": "AWS::S3::Object", "Values": ["arn:aws:s3:::wanted/"]}],
        }
    ]
)


def trail(name="all", account="111122223333", **changes):
    fields = {"home_region": REGION, "s3_bucket_name": "bucket", "is_logging": True, "logging_session": 1} | changes
    return Trail(incarnation=str(uuid.uuid5(uuid.NAMESPACE_DNS, name)), name=name, account_id=account, **fields)


def history(*trails, start=1):
    return ConfigurationHistory(
        Change(
            revision=start + i, effective_at=100 * (start + i), kind=Kind.TRAIL, id=t.incarnation, body=trail_body(t)
        )
        for i, t in enumerate(trails)
    )


def management(name, *, read_only, count=3, account="111122223333", size=0, first=0):
    records = [
        json.dumps({"eventName": name, "n": first + i, "account": account, "pad": "x" * size}).encode()
        for i in range(count)
    ]
    group = group_of(
        SelectorClass("Management", "ec2.amazonaws.com", name, "AwsApiCall", read_only, ()),
        records,
        [len(record) for record in records],
        [1_000_000 + first + i for i in range(count)],
    )
    return EventBatch(account, REGION, [group])


def objects(*arns):
    records = [json.dumps({"eventName": "GetObject", "arn": arn}).encode() for arn in arns]
    group = group_of(
        SelectorClass("Data", "s3.amazonaws.com", "GetObject", "AwsApiCall", True, ("AWS::S3::Object",)),
        records,
        [len(record) for record in records],
        list(range(len(records))),
        [EventAttributes((("AWS::S3::Object", arn),), None) for arn in arns],
    )
    return EventBatch("111122223333", REGION, [group])


def messages(*batches, at=10_000):
    return [Message(PARTITION, 40 + i, at, pack(batch)) for i, batch in enumerate(batches)]


def build(sent, known, file_bytes=45_000_000, codec=STANDARD_CODEC):
    batches, poison = read_batches(sent, None)
    assert not poison
    body = IntentBody(stamp=0, file_bytes=file_bytes, revisions=governing_revisions(sent, known))
    return build_files(batches, body, known, codec)


def records_of(file):
    return json.loads(read_log_file(file.log_file.body))["Records"]


def by_trail(files):
    found = {}
    for file in files:
        found.setdefault(file.target.trail_arn.rpartition("/")[2], []).extend(records_of(file))
    return found


def test_each_trail_gets_what_its_selectors_want():
    known = history(trail("all"), trail("writes", event_selectors=WRITES), trail("reads", event_selectors=READS))
    found = by_trail(build(messages(management("Describe", read_only=True), management("Run", read_only=False)), known))
    assert len(found["all"]) == 6
    assert {r["eventName"] for r in found["writes"]} == {"Run"}
    assert {r["eventName"] for r in found["reads"]} == {"Describe"}


def test_an_arn_selector_takes_single_events_out_of_a_group():
    known = history(trail("objects", event_selectors=OBJECTS_OF_ONE_BUCKET), trail("all"))
    found = by_trail(
        build(messages(objects("arn:aws:s3:::wanted/a", "arn:aws:s3:::other/a", "arn:aws:s3:::wanted/b")), known)
    )
    assert [r["arn"] for r in found["objects"]] == ["arn:aws:s3:::wanted/a", "arn:aws:s3:::wanted/b"]
    assert "all" not in found


def test_events_that_nobody_wants_make_no_file():
    assert build(messages(management("Run", read_only=False, account="444455556666")), history(trail())) == []


def test_an_event_is_judged_by_the_revision_in_force_when_the_bus_took_it():
    logging, stopped = trail("a"), trail("a", is_logging=False)
    known = history(logging, stopped)  # in force from 100 and from 200 ms
    sent = [
        Message(PARTITION, 7, 50, pack(management("Before", read_only=False))),
        Message(PARTITION, 8, 199, pack(management("While", read_only=False))),
        Message(PARTITION, 9, 200, pack(management("After", read_only=False))),
    ]
    assert governing_revisions(sent, known) == [(7, 0), (8, 1), (9, 2)]
    assert {r["eventName"] for r in by_trail(build(sent, known))["a"]} == {"While"}


def test_what_is_put_on_the_bus_again_is_judged_by_when_the_bus_took_it_first():
    known = history(trail("a"), trail("a", is_logging=False))
    again = management("Again", read_only=False)
    sent = [
        Message(PARTITION, 7, 5_000, pack(again, 150)),
        Message(PARTITION, 8, 5_000, pack(management("New", read_only=False))),
        Message(PARTITION, 9, 5_000, b"poison"),
    ]
    assert governing_revisions(sent, known) == [(7, 1), (8, 2)]
    assert {r["eventName"] for r in by_trail(build(sent[:2], known))["a"]} == {"Again"}


@pytest.mark.parametrize(
    "changes",
    [
        {"s3_key_prefix": "prefix"},
        {"kms_key_id": "arn:aws:kms:eu-central-1:111122223333:key/1"},
        {"log_file_validation_enabled": True},
        {"s3_bucket_name": "trails"},
    ],
    ids=str,
)
def test_a_trail_whose_target_changes_within_a_window_gets_a_file_for_each(changes):
    known = history(trail("a"), trail("a", **changes))
    sent = [
        Message(PARTITION, 7, 150, pack(management("Before", read_only=False))),
        Message(PARTITION, 8, 200, pack(management("After", read_only=False))),
    ]
    files = build(sent, known)
    assert [(f.part, next(r["eventName"] for r in records_of(f))) for f in files] == [(0, "Before"), (1, "After")]
    assert build(sent, known) == files


def test_a_file_says_whose_it_is_and_whether_a_digest_is_to_name_it():
    organization = Organization("o-exampleorg", "111122223333", frozenset({"111122223333"}))
    known = history(trail("a"), trail("b", log_file_validation_enabled=True, organization_id=organization.id))
    known.extend(
        [
            Change(
                revision=3,
                effective_at=300,
                kind=Kind.ORGANIZATION,
                id=organization.id,
                body=organization_body(organization),
            )
        ]
    )
    files = build(messages(management("Run", read_only=False)), known)
    intended = {file.trail_arn.rpartition("/")[2]: file for file in name_files(files, REGION, 0)}
    assert (intended["a"].owner, intended["a"].is_digested) == ("111122223333", False)
    assert (intended["b"].owner, intended["b"].is_digested) == ("o-exampleorg", True)


def test_a_redo_uses_the_intents_revisions_although_newer_ones_are_known():
    known = history(trail("a"))
    sent = messages(management("Run", read_only=False))
    body = IntentBody(stamp=0, file_bytes=1000, revisions=governing_revisions(sent, known))
    first = build_files(read_batches(sent, None)[0], body, known, STANDARD_CODEC)
    known.extend([Change(revision=9, effective_at=5000, kind=Kind.TRAIL, id=trail("a").incarnation, body=None)])
    again = build_files(read_batches(sent, ())[0], IntentBody.from_json(body.to_json()), known, STANDARD_CODEC)
    assert [f.log_file.sha256 for f in again] == [f.log_file.sha256 for f in first] != []


def test_a_redo_with_a_revision_that_is_not_known_fails():
    body = IntentBody(stamp=0, file_bytes=1000, revisions=[(0, 77)])
    with pytest.raises(KeyError):
        build_files(
            read_batches(messages(management("Run", read_only=False)), ())[0], body, history(trail()), STANDARD_CODEC
        )


@pytest.mark.parametrize("codec", [STANDARD_CODEC, fastest_codec()])
@pytest.mark.parametrize("size", [10, 3000])
def test_files_stay_below_the_size_limit_and_lose_nothing(codec, size):
    sent = messages(*(management(f"Run{i}", read_only=False, count=50, size=size, first=50 * i) for i in range(10)))
    files = build(sent, history(trail("a"), trail("b", event_selectors=WRITES)), file_bytes=20_000, codec=codec)
    assert all(file.log_file.size <= 20_000 + 20 for file in files)
    assert [f.part for f in files if f.target.trail_arn.endswith("/a")] == list(range(len(files) // 2))
    for records in by_trail(files).values():
        assert sorted(r["n"] for r in records) == list(range(500))


def test_codecs_differ_in_compression_only():
    sent = messages(*(management(f"Run{i}", read_only=i % 2 == 0, count=200, size=900, first=i) for i in range(8)))
    known = history(trail("a"), trail("b", event_selectors=WRITES), trail("c", event_selectors=READS))
    slow, fast = build(sent, known, codec=STANDARD_CODEC), build(sent, known, codec=fastest_codec())
    assert [f.log_file.sha256 for f in slow] == [f.log_file.sha256 for f in fast]
    assert [records_of(f) for f in slow] == [records_of(f) for f in fast]


def test_a_file_states_its_oldest_and_newest_event():
    (file,) = build(
        messages(management("A", read_only=True, first=500), management("B", read_only=True)), history(trail())
    )
    assert (file.events, file.oldest_event_time, file.newest_event_time) == (6, 1_000_000, 1_000_502)


def test_a_thorough_look_finds_the_broken_column_and_leaves_healthy_messages_alone():
    healthy = [management("Run", read_only=False), objects("arn:aws:s3:::wanted/1")]
    broken = objects("arn:aws:s3:::wanted/2")
    for attributes in (b"", b"\xc1"):
        groups = [msgspec.structs.replace(group, attributes=attributes) for group in broken.groups]
        window = messages(*healthy, replace(broken, groups=groups))
        assert read_batches(window, None)[1] == []
        batches, poison = read_batches(window, None, thoroughly=True)
        assert [m.offset for m, _ in batches] == [40, 41]
        assert [m.offset for m in poison] == [42]


def test_a_message_that_cannot_be_read_is_poison_once_and_obeyed_by_a_redo():
    good = messages(management("Run", read_only=False))[0]
    bad = Message(PARTITION, 41, 10_000, good.value[:-3])
    batches, poison = read_batches([good, bad], None)
    assert [m.offset for m in poison] == [41]
    assert [m.offset for m, _ in batches] == [40]
    assert read_batches([good, bad], [41]) == (batches, poison)
    with pytest.raises(MalformedBatch):
        read_batches([good, bad], [])


def test_an_intent_of_a_newer_format_is_not_redone():
    body = IntentBody(stamp=0, file_bytes=1, revisions=[]).to_json() | {"formatVersion": FORMAT_VERSION + 1}
    with pytest.raises(IntentOfNewerFormat):
        IntentBody.from_json(body)


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(
        st.tuples(st.booleans(), st.integers(1, 30), st.sampled_from([5, 400, 4000])), min_size=1, max_size=8
    ),
    selectors=st.lists(st.sampled_from([EventSelectors(), WRITES, READS]), min_size=1, max_size=5),
    file_bytes=st.sampled_from([9_000, 60_000, 1_000_000]),
)
def test_every_trail_gets_the_multiset_of_what_it_wants(sizes, selectors, file_bytes):
    batches = [
        management(f"Name{i % 3}", read_only=read, count=count, size=size, first=1000 * i)
        for i, (read, count, size) in enumerate(sizes)
    ]
    known = history(*(trail(f"trail-{i}", event_selectors=s) for i, s in enumerate(selectors)))
    found = by_trail(build(messages(*batches), known, file_bytes, fastest_codec()))
    for index, wanted in enumerate(selectors):
        expected = Counter(
            1000 * i + n
            for i, (read, count, _) in enumerate(sizes)
            for n in range(count)
            if wanted == EventSelectors() or (wanted == READS) == read
        )
        assert Counter(r["n"] for r in found.get(f"trail-{index}", [])) == expected
