"""A bucket that takes nothing: its files wait in the spool, nobody else waits, in the end each is delivered once."""

import threading
from dataclasses import replace

import pytest

from opentrail_backends.object_store.in_memory import Hold, LoseAnswer, Refuse, Throttle
from tests.crash.faults import Effect, Faulty, Step, Then
from tests.crash.spool.parked_world import BAD, GOOD, copies, parked
from tests.crash.world import Crash, assert_exactly_once


@pytest.mark.parametrize("behaviour", [Refuse("AccessDenied"), Throttle(), LoseAnswer(kept=False)], ids=repr)
def test_files_of_a_bucket_that_takes_nothing_wait_in_the_spool_and_hold_up_nobody(world, good, bad, behaviour):
    world.store.script("bad/*", behaviour, times=None)
    published = world.publish(6)
    worker = world.worker()
    worker.run_until(lambda: len(parked(world)) == 1)
    published += world.publish(4)
    worker.run_until_digested(good, len(published))
    assert not world.evidence(bucket=BAD).log_files
    assert len(parked(world)) == 2
    assert worker.metrics.parked_files._value.get() == 2
    world.store.clear_script()
    assert len(copies(world)) == 2
    worker.run_until_digested(bad, len(published))
    worker.close()
    assert parked(world) == []
    assert copies(world) == [], "the copies are removed"
    assert_exactly_once(world.evidence(), ["good-trail"], published)
    assert_exactly_once(world.evidence(bucket=BAD), ["bad-trail"], published)


def test_a_file_that_is_delivered_after_its_trail_stopped_gets_a_starting_digest_of_its_own(world, good, bad):
    published = world.publish(3)
    worker = world.worker()
    worker.run_until_digested(bad, len(published))
    world.store.script("bad/*CloudTrail/*", Refuse("AccessDenied"), times=None)
    late = world.publish(2)
    worker.run_until(lambda: len(parked(world)) == 1)
    world.put_trail(replace(bad, is_logging=False))
    worker.run_until(lambda: all(c.ended for c in world.state.chains.all_chains() if c.trail_name == "bad-trail"))
    world.store.clear_script()
    worker.run_until_digested(bad, len(published + late))
    worker.run_until(lambda: all(c.ended for c in world.state.chains.all_chains() if c.trail_name == "bad-trail"))
    worker.close()
    (digests,) = world.evidence(bucket=BAD).chains().values()
    (first, second) = [number for number, digest in enumerate(digests) if digest.previous is None]
    assert first == 0
    assert len(digests[second].log_files) == 1
    assert digests[second].end > digests[second - 1].end
    assert not any(digest.log_files for digest in digests[second + 1 :])


def test_a_foreign_object_at_a_parked_files_key_is_left_alone(world, bad):
    world.store.script("bad/*", Refuse("AccessDenied"), times=None)
    published = world.publish(3)
    worker = world.worker()
    worker.run_until(lambda: len(parked(world)) == 1)
    (file,) = parked(world)
    world.store.clear_script()
    world.store.put(BAD, file.object_key, b"foreign", options())
    done = lambda: not parked(world)
    worker.run_until(done)
    assert world.store.get(BAD, file.object_key).body == b"foreign"
    (entry,) = [key for key in worker.world.store.list(BAD) if "_CloudTrail_" in key.key and key.key != file.object_key]
    assert entry.size > 0
    worker.close()
    assert len(published) == 3


def options():
    from opentrail_backends.object_store.port import PutOptions

    return PutOptions()


@pytest.mark.parametrize("effect", Effect)
@pytest.mark.parametrize("method", ["deliver", "deliver_parked"])
def test_a_crash_while_parking_or_unparking_changes_nothing(world, bad, method, effect):
    world.store.script("bad/*", Refuse("AccessDenied"), times=None)
    published = world.publish(5)
    fault = Faulty(world.state.ledger, Step(5, "deliver", "ledger", method), effect, Then.DIES)
    worker = world.worker(ledger=fault)
    if method == "deliver_parked":
        worker.run_until(lambda: len(parked(world)) == 1)
        world.store.clear_script()
    with pytest.raises(Crash):
        worker.run_until(lambda: False)
    worker.close()
    world.store.clear_script()
    worker = world.worker()
    worker.run_until_digested(bad, len(published))
    worker.close()
    assert_exactly_once(world.evidence(bucket=BAD), ["bad-trail"], published)


def test_without_a_spool_files_are_tried_until_the_bucket_takes_them(world, bad):
    world.spool = None
    world.store.script("bad/*", Refuse("AccessDenied"), times=8)
    published = world.publish(5)
    worker = world.worker()
    worker.run_until_digested(bad, len(published))
    worker.close()
    assert parked(world) == []


def test_a_trail_that_its_bucket_refuses_is_parked_though_the_bucket_takes_others(world, good):
    denied = world.add_trail("bad-trail", s3_key_prefix="bad")
    world.store.script("bad/*", Refuse("KMS.DisabledException"), times=None)
    published = world.publish(3)
    worker = world.worker()
    worker.run_until(lambda: len(parked(world)) == 1)
    for _ in range(3):
        published += world.publish(2)
        worker.run_until_digested(good, len(published))
    world.store.clear_script()
    worker.run_until_digested(denied, len(published))
    worker.close()
    assert parked(world) == []


# --- a bucket that does not answer ----------------------------------------------------------------


def test_a_silent_bucket_holds_up_neither_its_window_nor_other_trails(world, good, bad):
    world.settings = replace(world.settings, silent_seconds=1.0)
    held = Hold(threading.Event(), threading.Event())
    world.store.script("bad/*CloudTrail/*", held)
    world.store.script("bad/*", LoseAnswer(kept=False), times=None)
    published = world.publish(4)
    worker = world.worker()
    worker.run_until(lambda: len(parked(world)) == 1)
    (file,) = parked(world)
    assert not file.is_answered, "the put may still land"
    published += world.publish(2)
    worker.run_until(lambda: len(parked(world)) == 2)
    assert parked(world)[1].is_answered, "not tried: the bucket is given up"
    held.release.set()
    world.store.clear_script()
    worker.run_until_digested(bad, len(published))
    worker.run_until_digested(good, len(published))
    worker.close()
    assert copies(world) == []
    assert_exactly_once(world.evidence(), ["good-trail"], published)
    assert_exactly_once(world.evidence(bucket=BAD), ["bad-trail"], published)


def test_a_put_that_lands_late_is_found_at_its_place(world, bad):
    world.store.script("bad/*", LoseAnswer(kept="late"), times=None)
    published = world.publish(4)
    worker = world.worker()
    worker.run_until(lambda: len(parked(world)) == 1)
    world.store.clear_script()
    assert world.store.release_late() >= 1
    worker.run_until_digested(bad, len(published))
    worker.close()
    assert_exactly_once(world.evidence(bucket=BAD), ["bad-trail"], published)


def test_a_redone_windows_file_is_never_known_to_be_absent(world, bad):
    """The first owner dies with its file under way; the second one only gets refusals, and parks it."""
    world.store.script("bad/*", LoseAnswer(kept="late"))
    world.store.script("bad/*", Refuse("AccessDenied"), times=None)
    published = world.publish(3)
    fault = Faulty(world.state.ledger, Step(5, "deliver", "ledger", "deliver"), Effect.LOST, Then.DIES)
    worker = world.worker(ledger=fault)
    with pytest.raises(Crash):
        worker.run_until(lambda: False)
    worker.close()
    second = world.worker()
    second.run_until(lambda: len(parked(world)) == 1)
    assert not parked(world)[0].is_answered
    world.put_trail(replace(bad, s3_bucket_name=GOOD))
    for _ in range(20):
        second.turn()
    assert parked(world)[0].bucket == BAD
    world.store.clear_script()
    second.run_until(lambda: not parked(world))
    second.close()
    assert sum(len(events) for events in world.evidence(bucket=BAD).log_files.values()) == len(published)
