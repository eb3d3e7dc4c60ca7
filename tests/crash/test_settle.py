"""`opentrail settle`: after a restore, a topic made anew, a cut log, everything that is still there is delivered."""

import uuid
from dataclasses import replace

import pytest

from opentrail_backends.event_bus import open_event_bus
from opentrail_backends.event_bus.port import Partition
from opentrail_backends.key_management import open_key_management
from opentrail_backends.object_store.in_memory import InMemoryObjectStore, Refuse
from opentrail_backends.object_store.port import PutOptions
from opentrail_delivery.preconditions import unmet_conditions
from opentrail_delivery.settings import DeliverySettings
from opentrail_delivery.spool import Spool
from tests.crash.faults import Effect, Faulty, Step, Then
from tests.crash.operating import (
    cut_end,
    cut_start,
    dump,
    keep_messages,
    make_topic_anew,
    next_offset,
    open_state,
    restore,
    run_for,
    settle,
)
from tests.crash.world import ACCOUNT, REGION, Crash, World, assert_exactly_once

BUCKET, SPOOL = "evidence", "spool-bucket"
ONLY = Partition(REGION, 0)


@pytest.fixture
def world(tmp_path):
    bus = open_event_bus(f"embedded:///{tmp_path}/bus.db")
    bus.ensure_topic(REGION, 1)
    store = InMemoryObjectStore([BUCKET, SPOOL])
    keys = open_key_management(f"file://{tmp_path}/keys")
    settings = DeliverySettings(
        window_seconds=0, digest_seconds=1, park_seconds=0.3, parked_retry_seconds=0.1, put_threads=4
    )
    world = World(bus, store, open_state(tmp_path), keys, BUCKET, Spool(store, SPOOL), settings)
    yield world
    bus.close()
    world.state.close()


@pytest.fixture
def trail(world):
    return world.add_trail("trail")


def objects(world):
    """What lies in the bucket, but for digests that nothing was delivered for."""
    return {info.key for info in world.store.list(BUCKET)}


def deliver(world, trail, *counts):
    """Publishes batches and delivers each in a window of its own."""
    worker = world.worker()
    for count in counts:
        world.publish(count)
        worker.run_until_digested(trail, len(world.published))
    worker.close()


def halts(world, said):
    """A worker notices before it writes anything, and says what to do."""
    before = objects(world)
    worker = world.worker()
    run_for(worker, 1.5)
    halted = worker.status.snapshot()["halted"]
    worker.close()
    assert any(said in reason and "opentrail settle" in reason for reason in halted.values()), halted
    assert {key for key in objects(world) - before if "Digest" not in key} == set()


def finish(world, trail, expected=None):
    """Delivery goes on with new events; then the whole bucket is judged."""
    expected = world.published if expected is None else expected
    expected = [*expected, *world.publish(3)]
    worker = world.worker()
    worker.run_until_digested(trail, len(expected))
    run_for(worker, 1.2)
    assert worker.status.snapshot()["halted"] == {}
    worker.close()
    assert_exactly_once(world.evidence(), [trail.name], expected)


# --- a restored ledger --------------------------------------------------------------------------------


def test_a_restored_ledger_learns_again_what_was_delivered_and_digested(world, trail, tmp_path):
    keep_messages(world)
    deliver(world, trail, 5, 2)
    copy = dump(tmp_path)
    deliver(world, trail, 4, 3, 6)
    digests = len(world.evidence().digests)
    restore(world, tmp_path, copy)
    halts_before_anything_is_written(world)
    seen = settle(world, accept=False)
    assert [one.trouble for one in seen.partitions] == ["ledger-behind"]
    assert seen.adopted_digests >= 3
    assert next_offset(world) == 2
    report = settle(world)
    (done,) = report.partitions
    assert report.adopted_digests == seen.adopted_digests
    assert (done.next_offset, done.adopted, done.rebuilt, done.lost) == (5, 3, 0, 0)
    assert report.strange_digests == []
    assert len(world.evidence().digests) == digests
    finish(world, trail)


def halts_before_anything_is_written(world):
    before = objects(world)
    worker = world.worker()
    for _ in range(5):
        worker.share.run_once()
    halted = worker.status.snapshot()["halted"]
    worker.close()
    assert any("opentrail settle" in reason for reason in halted.values()), halted
    # No other thread of a process writes either: this is asked at its start, and hourly.
    sentences = unmet_conditions(world.bus, world.state, world.settings, world.state.ledger.now)
    assert any("restored from a backup" in one and "opentrail settle" in one for one in sentences)
    assert objects(world) == before


def test_digests_that_a_builder_made_after_the_restore_are_withdrawn(world, trail, tmp_path):
    """It went on before the check was made: its digest could not be put, since the one that we know lies there."""
    keep_messages(world)
    deliver(world, trail, 5)
    copy = dump(tmp_path)
    deliver(world, trail, 4)
    restore(world, tmp_path, copy)
    worker = world.worker()
    worker.run_until(lambda: any("went back in time" in r for r in worker.status.snapshot()["halted"].values()))
    worker.close()
    report = settle(world)
    assert report.strange_digests == []
    finish(world, trail)


def test_files_that_were_put_and_not_digested_are_adopted_and_missing_ones_are_made_again(world, trail, tmp_path):
    keep_messages(world)
    second = world.add_trail("second", s3_key_prefix="second")
    deliver(world, trail, 5)
    copy = dump(tmp_path)
    world.store.script("*CloudTrail-Digest*", Refuse(), times=None)
    worker = world.worker()
    for count in (4, 3):
        world.publish(count)
        worker.run_until(lambda: next_offset(world) == world.bus.lag("opentrail-delivery")[ONLY][1].end)
    worker.close()
    world.store.clear_script()
    gone = next(info.key for info in world.store.list(BUCKET, "second/") if "Digest" not in info.key)
    world.store.delete(BUCKET, gone)
    restore(world, tmp_path, copy)
    (done,) = settle(world).partitions
    assert done.adopted >= 2
    assert done.rebuilt >= 1
    finish(world, trail)
    assert_exactly_once(world.evidence("second/"), ["second"], world.published)
    assert second.name == "second"


def test_open_intents_of_the_backup_are_settled_by_their_files(world, trail, tmp_path):
    """At the backup a window was open: it was delivered, and digested, since."""
    keep_messages(world)
    deliver(world, trail, 5)
    world.publish(4)
    fault = Faulty(world.state.ledger, Step(5, "deliver", "ledger", "deliver"), Effect.LOST, Then.DIES)
    worker = world.worker(ledger=fault)
    with pytest.raises(Crash):
        worker.run_until(lambda: False)
    worker.close()
    copy = dump(tmp_path)
    deliver(world, trail, 3)
    restore(world, tmp_path, copy)
    (done,) = settle(world).partitions
    assert (done.delivered, done.adopted, done.rebuilt) == (1, 1, 0)
    finish(world, trail)


def test_numbers_of_clients_are_as_if_nothing_had_happened(world, trail, tmp_path):
    keep_messages(world)
    client_id = uuid.uuid4().bytes
    ids = [str(uuid.uuid4()) for _ in range(9)]
    deliver(world, trail, 1)
    copy = dump(tmp_path)
    world.put_on_bus(ids[:6], client_id=client_id, numbers=range(6))
    worker = world.worker()
    worker.run_until_digested(trail, 7)
    worker.close()
    restore(world, tmp_path, copy)
    settle(world)
    world.put_on_bus(ids[2:], client_id=client_id, numbers=range(2, 9))  # sent again, and three new ones
    finish(world, trail, [*world.published, *ids])
    (clients,) = world.state.ledger.clients()
    assert (clients.missing, clients.repeats) == (0, 4)


def test_parked_files_of_the_backup_that_were_delivered_since_are_delivered(world, trail, tmp_path):
    keep_messages(world)
    deliver(world, trail, 2)
    world.store.script("*_CloudTrail_*", Refuse("AccessDenied"), times=None)
    world.publish(4)
    worker = world.worker()
    worker.run_until(lambda: len(world.state.ledger.parked_files(10)) == 1)
    copy = dump(tmp_path)
    world.store.clear_script()
    world.publish(3)
    worker.run_until_digested(trail, len(world.published))
    worker.close()
    restore(world, tmp_path, copy)
    settle(world)
    assert world.state.ledger.parked_files(10) == []
    finish(world, trail)


def test_copies_in_the_spool_without_a_row_are_parked_again(world, trail, tmp_path):
    keep_messages(world)
    deliver(world, trail, 2)
    copy = dump(tmp_path)
    world.store.script("*_CloudTrail_*", Refuse("AccessDenied"), times=None)
    world.publish(4)
    worker = world.worker()
    worker.run_until(lambda: len(world.state.ledger.parked_files(10)) == 1)
    worker.close()
    world.store.clear_script()
    restore(world, tmp_path, copy)
    (done,) = settle(world).partitions
    assert (done.adopted, done.rebuilt) == (1, 0)
    assert len(world.state.ledger.parked_files(10)) == 1
    finish(world, trail)
    assert list(world.spool.held_files()) == []


@pytest.mark.parametrize(
    ("method", "effect"),
    [
        ("settle", Effect.LOST),
        ("settle", Effect.KEPT),
        ("write_intent", Effect.KEPT),
        ("deliver", Effect.LOST),
        ("deliver", Effect.KEPT),
    ],
)
def test_a_settlement_that_dies_is_repeated(world, trail, tmp_path, method, effect):
    keep_messages(world)
    deliver(world, trail, 5)
    world.publish(4)
    fault = Faulty(world.state.ledger, Step(5, "deliver", "ledger", "deliver"), Effect.LOST, Then.DIES)
    worker = world.worker(ledger=fault)
    with pytest.raises(Crash):
        worker.run_until(lambda: False)
    worker.close()
    copy = dump(tmp_path)
    world.settings = replace(world.settings, window_bytes=1000)
    deliver(world, trail, 3, 4)
    restore(world, tmp_path, copy)
    fault = Faulty(world.state.ledger, Step(5, method, "ledger", method), effect, Then.DIES)
    with pytest.raises(Crash):
        settle(world, state=_WithLedger(world.state, fault))
    halts_before_anything_is_written(world)
    settle(world)
    finish(world, trail)


class _WithLedger:
    """A state store with another ledger."""

    def __init__(self, state, ledger):
        self._state = state
        self.ledger = ledger

    def __getattr__(self, name):
        return getattr(self._state, name)


def test_where_the_bus_has_forgotten_the_messages_digests_prove_their_files(world, trail, tmp_path):
    deliver(world, trail, 5)
    copy = dump(tmp_path)
    deliver(world, trail, 4, 3)
    restore(world, tmp_path, copy)
    (done,) = settle(world).partitions
    assert (done.unproven, done.lost_offsets) == ([], [])
    finish(world, trail)


def test_files_that_nothing_proves_are_adopted_only_if_the_operator_says_so(world, trail, tmp_path):
    deliver(world, trail, 5)
    copy = dump(tmp_path)
    world.store.script("*CloudTrail-Digest*", Refuse(), times=None)
    world.publish(4)
    worker = world.worker()
    worker.run_until(lambda: next_offset(world) == 2)
    worker.close()
    world.store.clear_script()
    restore(world, tmp_path, copy)
    (seen,) = settle(world, accept=False).partitions
    assert any("--adopt-unproven" in note for note in seen.notes)
    (done,) = settle(world, adopt_unproven=True).partitions
    assert (len(done.unproven), done.adopted) == (1, 1)
    finish(world, trail)


def test_an_object_that_somebody_planted_is_not_adopted(world, trail, tmp_path):
    keep_messages(world)
    deliver(world, trail, 5)
    copy = dump(tmp_path)
    deliver(world, trail, 4)
    key = next(info.key for info in world.store.list(BUCKET) if "Digest" not in info.key)
    planted = key[:-24] + "P" * 16 + ".json.gz"
    stored = world.store.get(BUCKET, key)
    world.store.put(BUCKET, planted, stored.body, PutOptions(metadata=stored.metadata))
    restore(world, tmp_path, copy)
    settle(world)
    worker = world.worker()
    run_for(worker, 2.5)
    worker.close()
    assert planted not in world.evidence().digested()
    world.store.delete(BUCKET, planted)
    finish(world, trail)


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


def open_window(world, count):
    """A window whose files were put and whose step 5 never came."""
    world.publish(count)
    fault = Faulty(world.state.ledger, Step(5, "deliver", "ledger", "deliver"), Effect.LOST, Then.DIES)
    worker = world.worker(ledger=fault)
    with pytest.raises(Crash):
        worker.run_until(lambda: False)
    worker.close()


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
        settle(world, state=_WithLedger(world.state, fault))
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
    worker = world.worker()
    for _ in range(2):
        world.publish(2)
        run_for(worker, 0.5)
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
