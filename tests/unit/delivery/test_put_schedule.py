"""Threads for puts: no bucket takes what another one needs, and our own limits hold."""

import threading
import time
from concurrent.futures import wait

import pytest

from opentrail_backends.object_store.in_memory import Hold, LoseAnswer, Refuse
from opentrail_delivery.bucket_health import BucketHealth
from opentrail_delivery.log_file_put import PutOutcome, PutResult
from opentrail_delivery.put_schedule import PutSchedule
from opentrail_delivery.rate_limits import RateLimits
from tests.unit.delivery.putting import Clock, Putting, log_file

DONE = PutOutcome(PutResult.DONE)
THREADS = 8


@pytest.fixture
def puts():
    return Putting(monotonic=time.monotonic)


@pytest.fixture
def schedules():
    made = []

    def make(puts, threads=THREADS, limits=None, silent=10.0):
        object.__setattr__(puts.tools, "health", BucketHealth(30, soon=0.1, silent=silent))
        object.__setattr__(puts.tools, "park_soon_seconds", 0.1)
        made.append(PutSchedule(puts.tools, threads, limits, silent=silent))
        return made[-1]

    yield make
    for schedule in made:
        schedule.close()


@pytest.fixture
def hold():
    held = Hold(threading.Event(), threading.Event())
    yield held
    held.release.set()


def submit(schedule, numbers, **changes):
    return [schedule.submit(log_file(n, **changes), redone=False) for n in numbers]


def results(futures, seconds=60.0):
    _done, late = wait(futures, seconds)
    assert not late, f"{len(late)} of {len(futures)} are not done"
    return [future.result() for future in futures]


def wait_until(holds):
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_every_file_is_put_once(puts, schedules):
    schedule = schedules(puts)
    futures = submit(schedule, range(200)) + submit(schedule, range(200), bucket="bad")
    assert results(futures) == [DONE] * 400
    keys = [(a.bucket, a.key) for a in puts.store.attempts if "AWSLogs" in a.key]
    assert len(keys) == len(set(keys)) == 400


def test_a_silent_bucket_does_not_hold_up_another_ones_files(puts, schedules, hold):
    schedule = schedules(puts, silent=3600.0)
    puts.store.script("silent/*", hold, times=None)
    silent = submit(schedule, range(50), bucket="bad", incarnation="silent")
    assert hold.entered.wait(60)
    assert results(submit(schedule, range(100))) == [DONE] * 100
    assert not any(future.done() for future in silent)
    hold.release.set()
    assert results(silent) == [DONE] * 50


def test_a_silent_buckets_files_are_parked_and_its_threads_replaced(puts, schedules, hold):
    schedule = schedules(puts, threads=4, silent=0.3)
    puts.store.script("silent/*", hold, times=None)
    submit(schedule, [999])  # a bucket that works
    silent = submit(schedule, range(20), bucket="bad", incarnation="silent")
    outcomes = results(silent)
    assert {outcome.result for outcome in outcomes} == {PutResult.PARKED}
    assert {outcome.parking.error for outcome in outcomes} == {"RequestTimeout"}
    unanswered = [outcome for outcome in outcomes if not outcome.parking.is_answered]
    assert len(unanswered) == 1, "one was tried, of all others it is known that they are not there"
    assert results(submit(schedule, range(20))) == [DONE] * 20
    hold.release.set()


def test_many_silent_buckets_take_no_more_than_threads_that_are_replaced(puts, schedules, hold):
    schedule = schedules(puts, threads=4, silent=0.2)
    puts.store.script("silent*", hold, times=None)
    for number in range(12):
        puts.store.create_bucket(f"silent-{number}")
        submit(schedule, range(3), bucket=f"silent-{number}", incarnation=f"silent-{number}")
    assert hold.entered.wait(60)
    assert results(submit(schedule, range(20))) == [DONE] * 20


def test_a_file_that_landed_after_it_was_parked_changes_nothing(puts, schedules, hold):
    schedule = schedules(puts, threads=4, silent=0.2)
    puts.store.script("i-1/*", hold)
    (future,) = submit(schedule, [0])
    assert results([future])[0].result is PutResult.PARKED
    hold.release.set()
    # Its answer came, so the bucket works again.
    wait_until(lambda: not puts.tools.health.is_given_up("good", ""))
    assert results(submit(schedule, [1])) == [DONE]
    assert future.result().result is PutResult.PARKED
    assert len(list(puts.store.list("good", "i-1/"))) == 2


def test_a_refusing_bucket_holds_no_thread_between_its_tries(puts, schedules):
    schedule = schedules(puts, threads=2)
    object.__setattr__(puts.tools, "spool", None)
    puts.store.script("refused/*", Refuse(), times=None)
    refused = submit(schedule, range(200), bucket="bad", incarnation="refused")
    assert results(submit(schedule, range(50))) == [DONE] * 50
    assert not any(future.done() for future in refused)


def test_a_failing_bucket_is_tried_by_one_thread_at_a_time(puts, schedules):
    schedule = schedules(puts)
    object.__setattr__(puts.tools, "spool", None)
    together, most, lock = [0], [0], threading.Lock()
    inner = puts.tools.store.put

    def slow(*args):
        with lock:
            together[0] += 1
            most[0] = max(most[0], together[0])
        time.sleep(0.02)
        with lock:
            together[0] -= 1
        inner(*args)

    puts.tools.store.put = slow
    puts.store.script("*", LoseAnswer(kept=False), times=1)
    assert results(submit(schedule, [0])) == [DONE]
    assert puts.tools.health.is_proven("good")
    puts.store.script("*", LoseAnswer(kept=False), times=None)
    submit(schedule, [1])
    wait_until(lambda: puts.tools.health.is_failing("good"))
    most[0] = 0
    futures = submit(schedule, range(2, 12))
    wait_until(lambda: most[0] > 0)
    time.sleep(0.3)
    assert most[0] == 1
    puts.tools.health._trouble.clear()
    puts.store.clear_script()
    assert results(futures) == [DONE] * 10


def test_what_was_abandoned_is_stopped_and_never_tried(puts, schedules, hold):
    schedule = schedules(puts, threads=1)
    puts.store.script("i-1/*", hold)
    futures = submit(schedule, range(5))
    assert hold.entered.wait(60)
    schedule.abandon(futures)
    assert [future.result().result for future in futures] == [PutResult.STOPPED] * 5
    hold.release.set()
    assert results(submit(schedule, [9])) == [DONE]
    assert puts.tries("good") <= 2 + 1  # with the probe of the bucket


def test_after_the_end_nothing_is_put(puts, schedules, hold):
    schedule = schedules(puts, threads=1)
    puts.store.script("i-1/*", hold)
    futures = submit(schedule, range(3))
    assert hold.entered.wait(60)
    schedule.close()
    futures += submit(schedule, [4])
    assert [future.result().result for future in futures] == [PutResult.STOPPED] * 4


def test_a_fault_of_ours_is_told(puts, schedules):
    schedule = schedules(puts)

    def broken(*_):
        raise KeyError("a defect")

    puts.tools.store.put = broken
    (future,) = submit(schedule, [0])
    with pytest.raises(KeyError):
        future.result(60)


# --- our own rate limits --------------------------------------------------------------------------


def test_what_is_over_a_trails_limit_is_parked_and_delays_no_other_trail(puts, schedules):
    size = len(log_file().body)
    schedule = schedules(puts, limits=RateLimits(trail_bytes=2 * size, clock=Clock()))
    over = submit(schedule, range(40), incarnation="much")
    other = submit(schedule, range(2), incarnation="little")
    assert results(other) == [DONE] * 2
    outcomes = results(over)
    put = [outcome for outcome in outcomes if outcome == DONE]
    parked = [outcome.parking for outcome in outcomes if outcome.parking]
    assert 3 <= len(put) <= 8, "a second's worth and one ahead: time stands still here"
    assert len(put) + len(parked) == 40
    assert {(parking.error, parking.is_answered) for parking in parked} == {(None, True)}
    limited = puts.metrics.registry.get_sample_value
    assert limited("opentrail_delivery_rate_limited_files_total", {"how": "parked"}) == len(parked)


def test_a_buckets_requests_are_counted_over_all_its_trails(puts, schedules):
    schedule = schedules(puts, limits=RateLimits(bucket_requests=4, clock=Clock()))
    outcomes = results([f for n in range(10) for f in submit(schedule, range(2), incarnation=f"i-{n}")])
    assert 5 <= outcomes.count(DONE) <= 12
    assert {outcome.parking.error for outcome in outcomes if outcome.parking} == {None}
    assert results(submit(schedule, range(2), bucket="bad")) == [DONE] * 2


def test_over_the_limit_and_without_room_in_the_spool_a_file_waits_and_is_put(puts, schedules):
    size = len(log_file().body)
    schedule = schedules(puts, limits=RateLimits(trail_bytes=10 * size))
    object.__setattr__(puts.tools, "spool", None)
    began = time.monotonic()
    assert results(submit(schedule, range(40))) == [DONE] * 40
    assert time.monotonic() - began > 2
