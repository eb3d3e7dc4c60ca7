"""Trees over the records of log files: from a window's messages to the digest's entry, and at a redo."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opentrail.events.batch import EventBatch, group_of, select
from opentrail.evidence.digest import LogFileEntry
from opentrail.evidence.log_file import STANDARD_CODEC, read_log_file
from opentrail.trails.event_selectors import EventSelectors
from opentrail_backends.state.port import Intent
from opentrail_delivery.codec import fastest_codec
from opentrail_delivery.errors import PartitionHalted
from opentrail_delivery.file_names import name_files
from opentrail_delivery.intent_body import IntentBody
from opentrail_delivery.settle_build import built_files
from opentrail_delivery.window_build import build_files, governing_revisions, read_batches
from opentrail_delivery.window_close import match_plan
from opentrail_validator.findings import Kind
from opentrail_validator.record_check import check_records
from tests.crash.evidence import root_of
from tests.unit.delivery.test_window_build import (
    OBJECTS_OF_ONE_BUCKET,
    PARTITION,
    READS,
    REGION,
    WRITES,
    history,
    management,
    messages,
    objects,
    trail,
)


def build(sent, known, file_bytes=45_000_000, codec=STANDARD_CODEC, *, record_proofs=True):
    batches, _ = read_batches(sent, None)
    body = IntentBody(stamp=0, file_bytes=file_bytes, revisions=governing_revisions(sent, known))
    return build_files(batches, body, known, codec, record_proofs=record_proofs)


def assert_right(files):
    assert files, "a check on nothing proves nothing"
    for file in files:
        assert (file.log_file.record_count, file.log_file.records_root) == root_of(file.log_file.body)
        assert file.log_file.record_count == file.events


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(
        st.tuples(st.booleans(), st.integers(1, 30), st.sampled_from([5, 400, 4000])), min_size=1, max_size=8
    ),
    selectors=st.lists(st.sampled_from([WRITES, READS, EventSelectors()]), max_size=4),
    file_bytes=st.sampled_from([9_000, 60_000, 1_000_000]),
)
def test_every_file_has_the_root_of_its_own_records(sizes, selectors, file_bytes):
    batches = [
        management(f"Name{i % 3}", read_only=read, count=count, size=size, first=1000 * i)
        for i, (read, count, size) in enumerate(sizes)
    ]
    known = history(trail("all"), *(trail(f"trail-{i}", event_selectors=s) for i, s in enumerate(selectors)))
    assert_right(build(messages(*batches), known, file_bytes, fastest_codec()))


@pytest.mark.parametrize("around", [b" ", b"\r\n\t "], ids=repr)
def test_space_around_a_record_is_no_part_of_its_leaf(around):
    """Else whoever sends such an event makes the validator call its file tampered with for ever."""
    record = around + b'{"recipientAccountId":"111122223333"}' + around
    selector_class = management("Run", read_only=False).groups[0].selector_class
    group = group_of(selector_class, [record] * 3, [len(record)] * 3, [0] * 3)
    (file,) = build(messages(EventBatch("111122223333", REGION, [group])), history(trail()))
    assert_right([file])
    sha256, root = file.log_file.sha256, file.log_file.records_root
    entry = LogFileEntry("trail-logs", "key", sha256, None, None, record_count=3, records_root=root)
    content = read_log_file(file.log_file.body)
    assert around in content
    assert check_records(content, entry, "111122223333", REGION).kind is Kind.VALID


def test_a_file_of_single_events_of_a_group_has_their_root():
    known = history(trail("objects", event_selectors=OBJECTS_OF_ONE_BUCKET))
    sent = messages(objects("arn:aws:s3:::wanted/a", "arn:aws:s3:::other/a", "arn:aws:s3:::wanted/b"))
    (file,) = build(sent, known)
    assert file.events == 2
    assert_right([file])


def test_files_that_settling_makes_have_roots_too():
    (group,) = management("Run", read_only=False, count=40, size=500).groups
    (target,) = {file.target for file in build(messages(management("Run", read_only=False)), history(trail()))}
    files = list(built_files(target, "111122223333", [group], 6_000, STANDARD_CODEC, record_proofs=True))
    assert len(files) > 2
    assert_right(files)
    few = select(group, [3, 5])
    (file,) = built_files(target, "111122223333", [few], 6_000, STANDARD_CODEC, record_proofs=False)
    assert file.log_file.records_root is None


def test_roots_may_be_switched_off_and_the_files_stay_the_same():
    sent, known = messages(management("Run", read_only=False)), history(trail("a"), trail("b", event_selectors=WRITES))
    with_roots, without = build(sent, known), build(sent, known, record_proofs=False)
    assert [file.log_file.sha256 for file in with_roots] == [file.log_file.sha256 for file in without]
    assert [file.log_file.records_root for file in without] == [None, None]
    intended = name_files(with_roots, REGION, 0)
    assert [file.records_root for file in intended] == [file.log_file.records_root for file in with_roots]
    assert None not in {file.records_root for file in intended}


def plan_of(files, **changes):
    return Intent(1, 40, 41, {}, [replace(file, **changes) for file in name_files(files, REGION, 0)])


def test_a_redo_with_another_root_halts_the_partition():
    files = build(messages(management("Run", read_only=False)), history(trail()))
    plan = plan_of(files)
    assert match_plan(files, plan, PARTITION) == plan.files
    with pytest.raises(PartitionHalted, match="1 differ"):
        match_plan(files, plan_of(files, records_root="0" * 64), PARTITION)


def test_where_intent_or_redo_have_no_root_the_intent_stays_as_it_is():
    """An older release wrote it, or the setting was changed meanwhile: the digest says what the intent says."""
    sent, known = messages(management("Run", read_only=False)), history(trail())
    files, without = build(sent, known), build(sent, known, record_proofs=False)
    old = plan_of(files, records_root=None)
    assert match_plan(files, old, PARTITION) == old.files
    plan = plan_of(files)
    assert match_plan(without, plan, PARTITION) == plan.files
