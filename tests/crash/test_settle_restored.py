"""A ledger that was restored from a backup: what was delivered since is known again, nothing is delivered twice."""

import uuid
from dataclasses import replace

import pytest

from opentrail_backends.object_store.in_memory import Refuse
from opentrail_backends.object_store.port import PutOptions
from opentrail_delivery.preconditions import unmet_conditions
from tests.crash.faults import Effect, Faulty, Step, Then
from tests.crash.operating import (
    BUCKET,
    ONLY,
    WithLedger,
    deliver,
    dump,
    finish,
    keep_messages,
    next_offset,
    open_window,
    operated_world,
    restore,
    run_for,
    settle,
)
from tests.crash.world import Crash, assert_exactly_once


@pytest.fixture
def world(tmp_path):
    with operated_world(tmp_path) as world:
        yield world


@pytest.fixture
def trail(world):
    return world.add_trail("trail")


def objects(world):
    """The keys of all that lies in the bucket."""
    return {info.key for info in world.store.list(BUCKET)}


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
    copy, before = dump(tmp_path), {info.key for info in world.store.list(BUCKET)}
    world.store.script("*CloudTrail-Digest*", Refuse(), times=None)
    worker = world.worker()
    for count in (4, 3):
        world.publish(count)
        worker.run_until(lambda: next_offset(world) == world.bus.lag("opentrail-delivery")[ONLY][1].end)
    worker.close()
    world.store.clear_script()
    gone = next(info.key for info in world.store.list(BUCKET, "second/") if info.key not in before)
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
    open_window(world, 4)
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
    open_window(world, 4)
    copy = dump(tmp_path)
    world.settings = replace(world.settings, window_bytes=1000)
    deliver(world, trail, 3, 4)
    restore(world, tmp_path, copy)
    fault = Faulty(world.state.ledger, Step(5, method, "ledger", method), effect, Then.DIES)
    with pytest.raises(Crash):
        settle(world, state=WithLedger(world.state, fault))
    halts_before_anything_is_written(world)
    settle(world)
    finish(world, trail)


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


def test_digests_of_a_trail_that_the_backup_does_not_have_are_named(world, trail, tmp_path):
    keep_messages(world)
    deliver(world, trail, 5)
    copy = dump(tmp_path)
    later = world.add_trail("later")
    deliver(world, trail, 4)
    worker = world.worker()
    worker.run_until_digested(later, 4)
    worker.close()
    expected = {key for key, (digest, _) in world.evidence().digests.items() if digest.trail_name == "later"}
    restore(world, tmp_path, copy)
    report = settle(world, accept=False)
    assert {one.object_key for one in report.strange_digests} == expected
    assert all("made after the backup" in one.reason for one in report.strange_digests)
    assert [one.object_key for one in settle(world).strange_digests]


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


def test_of_what_a_restored_ledger_learns_again_its_topic_is_told(world, tmp_path):
    """It was told before, or the process died in between: the ledger does not know."""
    topic = "arn:aws:sns:eu-central-1:111122223333:told"
    trail = world.add_trail("trail", sns_topic_arn=topic)
    keep_messages(world)
    deliver(world, trail, 5)
    copy = dump(tmp_path)
    before = objects(world)
    deliver(world, trail, 4)
    restore(world, tmp_path, copy)
    settle(world)
    untold = world.state.notifications.untold(trail.incarnation, 100)
    assert {file.topic_arn for file in untold} == {topic}
    assert {file.object_key for file in untold} >= {key for key in objects(world) - before if "Digest" not in key}
