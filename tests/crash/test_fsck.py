"""`opentrail fsck`: silent on what fits, also while all is at work; each thing that does not fit is named."""

import gzip
import threading
from dataclasses import replace

import pytest

from opentrail_backends.event_bus.port import Partition
from opentrail_backends.object_store.in_memory import Refuse
from opentrail_backends.object_store.port import PutOptions
from opentrail_backends.state.inspection import inspection_of
from opentrail_delivery.fsck import Fsck, FsckTools
from opentrail_delivery.fsck_findings import Kind, Severity
from tests.crash.operating import (
    BUCKET,
    cut_start,
    deliver,
    dump,
    keep_messages,
    log_files,
    open_window,
    operated_world,
    restore,
)
from tests.crash.world import REGION


@pytest.fixture
def world(tmp_path):
    with operated_world(tmp_path) as world:
        yield world


@pytest.fixture
def trail(world):
    """A trail with two delivered and digested files, and a few digests."""
    trail = world.add_trail("trail")
    deliver(world, trail, 3, 2)
    return trail


def fsck(world, *, since=0, deep=False, settings=None):
    tools = FsckTools(
        event_bus=world.bus,
        object_store=world.store,
        state=world.state,
        inspection=inspection_of(world.state),
        spool=world.spool,
        settings=settings or world.settings,
    )
    return Fsck(tools, since=since, deep=deep).run()


def found(world, **options):
    report = fsck(world, **options)
    assert report.unchecked == []
    return {(finding.kind, finding.subject) for finding in report.findings}


def digests(world):
    return sorted(
        (info.key for info in world.store.list(BUCKET) if "Digest" in info.key), key=lambda key: key.rsplit("_", 1)[1]
    )


def url(key):
    return f"s3://{BUCKET}/{key}"


def overwrite(world, key, body, metadata=None):
    """What somebody with access to the bucket can do."""
    kept = world.store.get(BUCKET, key)
    world.store.delete(BUCKET, key)
    world.store.put(BUCKET, key, body, PutOptions(metadata=kept.metadata if metadata is None else metadata))


@pytest.mark.parametrize("deep", [False, True])
def test_nothing_is_found_where_all_fits(world, trail, deep):
    report = fsck(world, deep=deep)
    assert (report.findings, report.unchecked, report.exit_code) == ([], [], 0)
    assert report.checked["log files"] == 2
    assert report.checked["digests"] >= 2
    assert report.checked["ledger rows"] == 2
    assert report.checked["partitions"] == 1


def test_nothing_is_found_while_all_is_at_work(world, trail):
    """Windows are closed, digests built and put, files parked and delivered, while it is looked again and again."""
    other = world.add_trail("other", s3_key_prefix="other")
    world.store.script("other/*_CloudTrail_*", Refuse("AccessDenied"), times=6)
    stop = threading.Event()

    def work():
        worker = world.worker()
        while not stop.is_set():
            world.publish(2)
            worker.turn()
        worker.close()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        for _ in range(25):
            report = fsck(world)
            assert [one for one in report.findings if one.severity is Severity.ERROR] == []
            assert report.unchecked == []
    finally:
        stop.set()
        thread.join()
    assert other.name == "other"


def test_a_file_that_is_gone(world, trail):
    gone = log_files(world)[0]
    world.store.delete(BUCKET, gone)
    assert found(world) == {(Kind.FILE_MISSING, url(gone))}
    assert fsck(world).exit_code == 1


def test_a_file_that_was_replaced(world, trail):
    replaced = log_files(world)[0]
    overwrite(world, replaced, gzip.compress(b'{"Records":[]}'), {})
    assert found(world) == {(Kind.FILE_DIFFERENT, url(replaced))}


def test_a_file_whose_metadata_lie_is_found_when_it_is_read(world, trail):
    replaced = log_files(world)[0]
    overwrite(world, replaced, gzip.compress(b'{"Records":[]}'))
    assert found(world) == set()
    assert found(world, deep=True) == {(Kind.FILE_DIFFERENT, url(replaced))}


def test_delivered_files_that_no_digest_names_yet_are_looked_at_too(world, trail):
    world.store.script("*CloudTrail-Digest*", Refuse(), times=None)
    before = set(log_files(world))
    world.publish(3)
    worker = world.worker()
    worker.run_until(lambda: len(log_files(world)) == 3 and not world.state.ledger.windows()[0]["open_intents"])
    worker.close()
    (new,) = set(log_files(world)) - before
    assert found(world) == set()
    world.store.delete(BUCKET, new)
    assert found(world) == {(Kind.FILE_MISSING, url(new))}


@pytest.mark.parametrize("name", ["_20260101T0000Z_" + "P" * 16 + ".json.gz", "_planted.txt"])
def test_an_object_that_nobody_names(world, trail, name):
    key = log_files(world)[0]
    folder, account = key.rsplit("/", 4)[0], key.split("/")[1]
    planted = f"{folder}/2026/01/01/{account}_CloudTrail_{REGION}{name}"
    world.store.put(BUCKET, planted, b"planted", PutOptions())
    kinds = {kind for kind, subject in found(world) if subject == url(planted)}
    assert kinds <= {Kind.STRAY_OBJECT, Kind.UNPROVEN_OBJECT}
    assert kinds
    today = key[:-24] + "P" * 16 + ".json.gz"
    world.store.put(BUCKET, today, b"planted", PutOptions())
    assert (Kind.STRAY_OBJECT, url(today)) in found(world)


def test_a_digest_that_is_gone(world, trail):
    first, *_, newest = digests(world)
    world.store.delete(BUCKET, first)
    assert (Kind.DIGEST_MISSING, url(first)) in found(world)
    world.store.delete(BUCKET, newest)
    assert (Kind.DIGEST_MISSING, url(newest)) in found(world)


def test_a_digest_that_was_replaced(world, trail):
    first, *_, newest = digests(world)
    for key in (first, newest):
        body = gzip.decompress(world.store.get(BUCKET, key).body)
        overwrite(world, key, gzip.compress(body.replace(b'"digestStartTime"', b'"digestStartTim"')))
        assert (Kind.DIGEST_DIFFERENT, url(key)) in found(world)


def test_digests_beyond_the_ledgers_head(world, trail, tmp_path):
    keep_messages(world)
    copy = dump(tmp_path)
    before = set(digests(world))
    deliver(world, trail, 4)
    restore(world, tmp_path, copy)
    kinds = found(world)
    new = set(digests(world)) - before
    assert {(Kind.DIGEST_UNKNOWN, url(key)) for key in new} <= kinds
    assert (Kind.PARTITION_MISFIT, f"{REGION}/0") in kinds


def test_a_digest_that_lies_where_another_one_waits_to_be_put(world, trail, tmp_path):
    """A builder went on with a restored ledger."""
    copy = dump(tmp_path)
    deliver(world, trail, 4)
    restore(world, tmp_path, copy)
    worker = world.worker()
    worker.run_until(lambda: len(world.state.chains.unpublished(10)) > 0)
    worker.close()
    (waiting, *_) = world.state.chains.unpublished(10)
    assert (Kind.DIGEST_UNKNOWN, url(waiting.object_key)) in found(world)


def test_a_foreign_digest_in_the_chains_place(world, trail):
    key = digests(world)[-1]
    planted = key.replace("/20", "/29", 1).replace("_20", "_29")
    world.store.put(BUCKET, planted, world.store.get(BUCKET, key).body, PutOptions())
    assert (Kind.DIGEST_FOREIGN, url(planted)) in found(world)


def test_a_file_in_two_digests_and_one_in_none(world, trail):
    """A release that breaks the rules."""
    from opentrail_backends.state import tables

    with world.state._transactions.writing() as connection:
        connection.execute(tables.file.update().values(digest=None))
    worker = world.worker()
    worker.run_until(lambda: Kind.FILE_IN_TWO_DIGESTS in {kind for kind, _ in found(world)})
    worker.close()
    for key in digests(world):
        world.store.delete(BUCKET, key)
    with world.state._transactions.writing() as connection:
        connection.execute(tables.file.update().values(delivered_at=1))
    kinds = {kind for kind, _ in found(world)}
    assert Kind.FILE_IN_NO_DIGEST in kinds


def park(world, count=2):
    world.store.script("*_CloudTrail_*", Refuse("AccessDenied"), times=None)
    world.publish(count)
    worker = world.worker()
    worker.run_until(lambda: len(world.state.ledger.parked_files(10)) == 1)
    worker.close()
    world.store.clear_script()


def test_what_waits_in_the_spool_is_a_notice(world, trail):
    park(world)
    report = fsck(world)
    assert [(one.kind, one.subject) for one in report.findings] == [(Kind.PARKED_FILES, trail.arn)]
    assert "AccessDenied" in report.findings[0].detail
    assert report.exit_code == 0
    (file,) = world.state.ledger.parked_files(10)
    assert world.state.ledger.expire_parked(-1) == 1
    assert found(world) == {(Kind.EXPIRED_FILES, trail.arn)}
    assert file.trail_arn == trail.arn


def test_a_parked_file_whose_copy_is_gone_and_a_copy_without_a_row(world, trail):
    park(world)
    (held,) = world.spool.held_files()
    copy = world.spool.copy(held)
    world.spool.forget_copy(held)
    assert (Kind.PARKED_WITHOUT_COPY, held.key) in found(world)
    world.spool.park(copy)
    world.spool.park(replace(copy, intent=99))
    assert (Kind.COPY_WITHOUT_ROW, held._replace(intent=99).key) in found(world)
    worker = world.worker()
    worker.run_until(lambda: not world.state.ledger.parked_files(10))
    worker.close()
    world.spool.park(copy)
    assert (Kind.COPY_LEFT_OVER, held.key) in found(world)


def test_poison_and_recorded_losses_are_notices(world, trail, tmp_path):
    publisher = world.bus.publisher()
    publisher.publish(Partition(REGION, 0), b"k", b"no batch").result(10)
    publisher.close(5)
    worker = world.worker()
    worker.run_until(lambda: found(world) == {(Kind.POISON, f"{REGION}/0")})
    worker.close()
    assert found(world) == {(Kind.POISON, f"{REGION}/0")}


def test_open_windows_and_a_partition_that_does_not_fit(world, trail, tmp_path):
    open_window(world, 2)
    assert found(world) == {(Kind.OPEN_WINDOWS, f"{REGION}/0")}
    world.publish(1)
    cut_start(tmp_path, Partition(REGION, 0), 4)
    assert (Kind.PARTITION_MISFIT, f"{REGION}/0") in found(world)


def test_what_cannot_be_read_is_no_finding_and_no_success(world, trail):
    world.store.script(log_files(world)[0], Refuse("AccessDenied"), times=None, operation="read")
    report = fsck(world)
    assert report.findings == []
    assert [subject for subject, _ in report.unchecked] == [url(log_files(world)[0])]
    assert report.exit_code == 3


def test_what_was_delivered_before_a_time_is_passed_over(world, trail):
    world.store.delete(BUCKET, log_files(world)[0])
    assert found(world, since=2**33) == set()
