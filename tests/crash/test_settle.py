"""`opentrail settle`: where a topic was made anew or a log was cut, all that is still there is delivered."""

from dataclasses import replace

import pytest

from opentrail_backends.object_store.in_memory import Refuse
from tests.crash.faults import Effect, Faulty, Step, Then
from tests.crash.operating import (
    BUCKET,
    ONLY,
    WithLedger,
    cut_end,
    cut_start,
    deliver,
    finish,
    halts,
    keep_messages,
    log_files,
    make_topic_anew,
    open_window,
    operated_world,
    settle,
)
from tests.crash.world import ACCOUNT, REGION, Crash, assert_exactly_once


@pytest.fixture
def world(tmp_path):
    with operated_world(tmp_path) as world:
        yield world


@pytest.fixture
def trail(world):
    return world.add_trail("trail")


# --- a topic made anew --------------------------------------------------------------------------------


def test_a_topic_made_anew_is_noticed_and_accepted(world, trail, tmp_path):
    deliver(world, trail, 5)
    delivered = list(world.published)
    world.publish(4)  # never read
    make_topic_anew(world, tmp_path, REGION)
    new = world.publish(2)
    halts(world, "made anew")
    (seen,) = settle(world, accept=False).partitions
    assert (seen.trouble, seen.next_offset) == ("topic-anew", 0)
    settle(world)
    (lost,) = world.state.ledger.lost_offsets()
    assert (lost.first_offset, lost.end_offset) == (1, 1)
    assert "not known" in lost.reason
    world.published = [*delivered, *new]
    finish(world, trail)
    assert settle(world, accept=False).partitions == []


def test_open_intents_of_the_old_topic_are_settled_by_hash(world, trail, tmp_path):
    second = world.add_trail("second", s3_key_prefix="second")
    deliver(world, trail, 5)
    open_window(world, 4)
    missing = next(info.key for info in world.store.list(BUCKET, "second/") if is_new(world, info.key))
    world.store.delete(BUCKET, missing)
    make_topic_anew(world, tmp_path, REGION)
    (done,) = settle(world).partitions
    assert (done.delivered, done.lost) == (1, 1)
    files, rest = sorted(world.state.ledger.lost_offsets(), key=lambda one: one.first_offset)
    assert (files.first_offset, files.end_offset, files.accounts) == (1, 2, (ACCOUNT,))
    assert (rest.first_offset, rest.end_offset) == (2, 2)
    finish(world, trail)
    assert second.name == "second"


def is_new(world, key):
    return "Digest" not in key and key not in world.evidence("second/").digested()


def test_all_partitions_stand_still_until_the_last_one_is_settled(world, trail, tmp_path):
    world.bus.ensure_topic(REGION, 1)
    make_topic_anew(world, tmp_path, REGION, 2)
    deliver(world, trail, 5)
    known = world.state.ledger.known_topic(REGION)
    make_topic_anew(world, tmp_path, REGION, 2)
    fault = Faulty(world.state.ledger, Step(0, "settle", "ledger", "settle"), Effect.KEPT, Then.DIES)
    with pytest.raises(Crash):
        settle(world, state=WithLedger(world.state, fault))
    assert world.state.ledger.known_topic(REGION) == known
    halts(world, "made anew")
    settle(world)
    assert len(world.state.ledger.lost_offsets()) == 2
    finish(world, trail)


def test_more_partitions_are_recorded(world, trail, tmp_path):
    deliver(world, trail, 5)
    import sqlite3

    with sqlite3.connect(tmp_path / "bus.db") as connection:
        connection.execute("INSERT INTO partitions (topic, number) SELECT id, 1 FROM topics")
    connection.close()
    halts(world, "grew")
    settle(world)
    assert world.state.ledger.known_topic(REGION).partitions == 2
    finish(world, trail)
    assert world.state.ledger.lost_offsets() == []


# --- a log that was cut -------------------------------------------------------------------------------


def test_messages_deleted_before_they_were_delivered_are_recorded_as_lost(world, trail, tmp_path):
    deliver(world, trail, 5)
    for _ in range(3):
        world.publish(2)
    kept = [*world.published[:5], *world.published[-2:]]
    cut_start(tmp_path, ONLY, 3)
    halts(world, "deleted before they were delivered")
    (done,) = settle(world).partitions
    assert (done.trouble, done.next_offset) == ("cut-at-start", 3)
    (lost,) = world.state.ledger.lost_offsets()
    assert (lost.first_offset, lost.end_offset) == (1, 3)
    world.published = kept
    finish(world, trail)


def test_a_window_that_was_put_counts_although_its_messages_are_gone(world, trail, tmp_path):
    deliver(world, trail, 5)
    open_window(world, 4)
    world.publish(2)
    cut_start(tmp_path, ONLY, 2)
    (done,) = settle(world).partitions
    assert (done.delivered, done.lost, done.lost_offsets) == (1, 0, [])
    finish(world, trail)


def test_missing_files_are_made_again_where_the_messages_are_there(world, trail, tmp_path):
    """Two windows are open; the first one's messages are gone, the second one was put in part."""
    world.add_trail("second", s3_key_prefix="second")
    deliver(world, trail, 5)
    world.settings = replace(world.settings, windows_in_flight=4)
    world.store.script("second/*_CloudTrail_*", Refuse("AccessDenied"), times=None)
    spool, world.spool = world.spool, None
    worker, put = world.worker(), len(log_files(world))
    for number in (1, 2):
        world.publish(2)
        worker.run_until(lambda n=number: (open_windows(world), len(log_files(world))) == (n, put + n))
    worker.close()
    world.spool = spool
    world.store.clear_script()
    cut_start(tmp_path, ONLY, 2)
    (done,) = settle(world).partitions
    assert (done.delivered, done.rebuilt, done.lost) == (3, 1, 1)
    (lost,) = world.state.ledger.lost_offsets()
    assert (lost.first_offset, lost.end_offset, lost.accounts) == (1, 2, (ACCOUNT,))
    finish(world, trail)
    lost_ids = set(world.published[5:7])
    assert_exactly_once(world.evidence("second/"), ["second"], [i for i in world.published if i not in lost_ids])


def open_windows(world):
    (row,) = world.state.ledger.windows()
    return row["open_intents"]


def test_a_log_that_lost_its_end_goes_on_there(world, trail, tmp_path):
    keep_messages(world)
    deliver(world, trail, 5, 2, 3)
    cut_end(tmp_path, ONLY, 1)
    halts(world, "the log was cut")
    (done,) = settle(world).partitions
    assert (done.trouble, done.next_offset) == ("cut-at-end", 1)
    finish(world, trail)


def test_an_open_intent_whose_redo_gives_other_files_is_settled_where_its_partition_is_named(world, trail, tmp_path):
    """An unclean election gave the offsets to other messages: delivery stops at the redo."""
    keep_messages(world)
    deliver(world, trail, 5)
    open_window(world, 4)
    put = list(world.published)
    cut_end(tmp_path, ONLY, 1)
    other = world.publish(3)
    halts(world, "gives other files than it fixed")
    assert settle(world).partitions == []
    (done,) = settle(world, REGION, 0).partitions
    assert (done.trouble, done.delivered, done.rebuilt, done.next_offset) == ("open-intents", 1, 1, 2)
    finish(world, trail, [*put, *other])


def test_what_fits_is_left_alone(world, trail):
    deliver(world, trail, 5)
    worker = world.worker()
    worker.run_until_digested(trail, 5)
    report = settle(world)
    assert (report.partitions, report.strange_digests, report.adopted_digests) == ([], [], 0)
    world.publish(2)
    worker.run_until_digested(trail, 7)
    worker.close()
    assert worker.metrics.lost_partitions._value.get() == 0
