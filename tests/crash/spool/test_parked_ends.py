"""Parked files that go elsewhere, expire, have no room, or only wait for our own limits."""

from dataclasses import replace

from opentrail_backends.object_store.in_memory import LoseAnswer, Refuse
from tests.crash.spool.parked_world import BAD, GOOD, copies, parked
from tests.crash.world import assert_exactly_once

# --- re-aiming ------------------------------------------------------------------------------------


def test_a_file_whose_every_put_was_refused_goes_to_the_trails_new_bucket(world, bad):
    world.store.script("bad/*", Refuse("AccessDenied"), times=None)
    published = world.publish(3)
    worker = world.worker()
    worker.run_until(lambda: len(parked(world)) == 1)
    moved = replace(bad, s3_bucket_name=GOOD, s3_key_prefix="moved")
    world.put_trail(moved)
    published += world.publish(2)
    worker.run_until_digested(moved, len(published))
    worker.close()
    assert parked(world) == []
    assert copies(world) == []
    evidence = world.evidence("moved/")
    assert sorted(evidence.event_ids("bad-trail")) == sorted(published)
    assert not world.evidence(bucket=BAD).log_files
    assert worker.metrics.reaimed_files._value.get() == 1


def test_a_file_that_may_still_appear_at_its_old_place_waits_for_it(world, bad):
    world.store.script("bad/*", LoseAnswer(kept="late"), times=None)
    published = world.publish(3)
    worker = world.worker()
    worker.run_until(lambda: len(parked(world)) == 1)
    world.put_trail(replace(bad, s3_bucket_name=GOOD, s3_key_prefix="moved"))
    for _ in range(20):
        worker.turn()
    world.store.clear_script()
    world.store.release_late()
    worker.run_until(lambda: not parked(world))
    worker.close()
    old, new = world.evidence(bucket=BAD).log_files, world.evidence("moved/").log_files
    assert sum(map(len, old.values())) == len(published)
    assert not new


# --- a full spool, an end, our own limits -----------------------------------------------------------


def test_a_full_spool_pauses_the_partition_and_it_goes_on(world, good, bad):
    world.settings = replace(world.settings, spool_bytes=1, windows_in_flight=2)
    world.store.script("bad/*", Refuse("AccessDenied"), times=None)
    worker, published = world.worker(), []
    for _ in range(6):
        published += world.publish(2)
        for _ in range(10):
            worker.turn()
    assert parked(world) == []
    assert worker.metrics.spool_full._value.get() == 1
    assert worker.share._paused, "no more is read than may wait"
    (row,) = world.state.ledger.windows()
    assert row["open_intents"] == 2
    world.store.clear_script()
    worker.run_until_digested(bad, len(published))
    worker.run_until_digested(good, len(published))
    worker.close()
    assert_exactly_once(world.evidence(), ["good-trail"], published)
    assert_exactly_once(world.evidence(bucket=BAD), ["bad-trail"], published)


def test_a_file_whose_bucket_failed_for_long_expires_and_is_tried_again_when_told(world, bad):
    world.settings = replace(world.settings, parked_expire_seconds=0.5)
    world.store.script("bad/*", Refuse("AccessDenied"), times=None)
    published = world.publish(3)
    worker = world.worker()
    worker.run_until(lambda: world.state.ledger.parked_by_trail() and not parked(world))
    (trail,) = world.state.ledger.parked_by_trail()
    assert trail.expired == 1
    assert len(copies(world)) == 1, "it stays in the spool"
    world.store.clear_script()
    assert world.state.ledger.retry_expired() == 1
    worker.run_until_digested(bad, len(published))
    worker.close()
    assert copies(world) == []


def test_what_is_over_a_trails_rate_is_late_delays_no_other_trail_and_is_not_lost(world, good, bad):
    world.settings = replace(world.settings, trail_bytes_per_second=1_000)
    limited, published = world.worker(), []
    while len(parked(world)) < 2:
        published += world.publish(40)
        for _ in range(5):
            limited.share.run_once()
    assert {file.error for file in parked(world)} == {None}
    assert {file.failing_since for file in parked(world)} == {None}, "it does not age"
    limited.run_until_digested(good, len(published))
    limited.run_until_digested(bad, len(published))
    limited.close()
    assert copies(world) == []
    assert_exactly_once(world.evidence(), ["good-trail"], published)
    assert_exactly_once(world.evidence(bucket=BAD), ["bad-trail"], published)
