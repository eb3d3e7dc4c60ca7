"""When a file is parked, and what is known of its puts then."""

import pytest

from opentrail_backends.object_store import names
from opentrail_backends.object_store.in_memory import LoseAnswer, Refuse, Throttle
from opentrail_backends.object_store.port import OutcomeUnknown, PutOptions
from opentrail_backends.state.port import Parking
from opentrail_delivery.log_file_put import Put, PutOutcome, PutResult
from opentrail_delivery.spool import copy_size
from tests.unit.delivery.putting import SPOOL, Putting, log_file


@pytest.fixture
def puts():
    return Putting()


def test_a_file_that_its_bucket_takes_is_done_at_once(puts):
    put = Put(log_file(), puts.tools, redone=False)
    assert puts.run(put) == (PutOutcome(PutResult.DONE), 0.0)
    assert puts.held() == []


@pytest.mark.parametrize(
    ("behaviour", "error", "is_answered"),
    [
        (Refuse("AccessDenied"), "AccessDenied", True),
        (Throttle(), "SlowDown", True),
        (LoseAnswer(kept=False), "RequestTimeout", False),
        (LoseAnswer(kept="late"), "RequestTimeout", False),
    ],
    ids=repr,
)
def test_what_is_refused_again_is_parked_within_seconds(puts, behaviour, error, is_answered):
    puts.store.script("i-1/*", behaviour, times=None)
    file = log_file()
    outcome, seconds = puts.run(Put(file, puts.tools, redone=False))
    assert outcome == PutOutcome(PutResult.PARKED, Parking(copy_size(file), error, is_answered))
    assert 0.5 < seconds < 3
    assert puts.tries("good") >= 2
    (held,) = puts.spool.held_files()
    assert puts.spool.copy(held) == file


def test_one_answer_that_was_lost_is_enough(puts):
    puts.store.script("i-1/*", Refuse(), LoseAnswer(kept=False))
    puts.store.script("i-1/*", Refuse(), times=None)
    outcome, _ = puts.run(Put(log_file(), puts.tools, redone=False))
    assert outcome.parking.error == "AccessDenied"
    assert outcome.parking.is_answered is False


def test_of_a_redone_window_an_earlier_owners_put_may_be_under_way(puts):
    puts.store.script("i-1/*", Refuse(), times=None)
    outcome, _ = puts.run(Put(log_file(), puts.tools, redone=True))
    assert outcome.parking.is_answered is False


def test_a_bucket_that_is_given_up_is_not_tried(puts):
    puts.store.script("i-1/*", Refuse("KMS.DisabledException"), times=None)
    puts.run(Put(log_file(0), puts.tools, redone=False))
    tries = puts.tries("good")
    file = log_file(1)
    outcome, seconds = puts.run(Put(file, puts.tools, redone=False))
    assert outcome.parking == Parking(copy_size(file), "KMS.DisabledException", is_answered=True)
    assert (seconds, puts.tries("good")) == (0.0, tries)
    other = Put(log_file(2, incarnation="i-2"), puts.tools, redone=False)
    assert puts.run(other)[0].result is PutResult.DONE, "a refusal is about the trail"


def test_a_bucket_that_takes_others_does_not_hold_a_file_for_longer_than_a_minute(puts):
    """Every other put of the bucket succeeds, so it is never given up."""
    puts.store.script("i-1/*", LoseAnswer(kept=False), times=None)
    put = Put(log_file(), puts.tools, redone=False)
    put._tools.health.is_given_up = lambda *_: False
    object.__setattr__(puts.tools, "park_soon_seconds", 1e9)
    outcome, seconds = puts.run(put)
    assert outcome.result is PutResult.PARKED
    assert 60 <= seconds <= 95


def test_an_answer_that_was_lost_is_found_by_the_next_try(puts):
    puts.store.script("i-1/*", LoseAnswer(kept=True))
    assert puts.run(Put(log_file(), puts.tools, redone=False))[0] == PutOutcome(PutResult.DONE)


def test_something_else_at_the_key_is_told(puts):
    file = log_file()
    puts.store.put("good", file.file.object_key, b"foreign", PutOptions())
    assert puts.run(Put(file, puts.tools, redone=False))[0] == PutOutcome(PutResult.OTHER_OBJECT)


def test_something_at_the_key_that_is_larger_than_any_log_file_is_not_read(puts, monkeypatch):
    file = log_file()
    monkeypatch.setattr(names, "MAX_OBJECT_BYTES", 1_000)
    puts.store.put("good", file.file.object_key, bytes(1_001), PutOptions())
    assert puts.run(Put(file, puts.tools, redone=False))[0] == PutOutcome(PutResult.OTHER_OBJECT)


def test_what_lies_at_the_key_and_cannot_be_read_may_be_the_file_itself(puts):
    file = log_file()
    puts.store.put("good", file.file.object_key, file.body, PutOptions())
    puts.store.script("i-1/*", Refuse("AccessDenied"), times=None, operation="read")
    outcome, seconds = puts.run(Put(file, puts.tools, redone=False))
    assert outcome.parking == Parking(copy_size(file), "AccessDenied", is_answered=False)
    assert seconds < 3
    assert puts.run(Put(log_file(1), puts.tools, redone=False))[0].result is PutResult.DONE, "another key is fine"


# --- the spool ------------------------------------------------------------------------------------


def test_without_a_spool_a_file_is_tried_for_ever():
    puts = Putting(has_spool=False)
    puts.store.script("i-1/*", Refuse(), times=30)
    outcome, seconds = puts.run(Put(log_file(), puts.tools, redone=False), limit=10_000)
    assert outcome == PutOutcome(PutResult.DONE)
    assert seconds > 600


def test_while_the_spool_is_full_a_file_is_tried_and_parked_once_there_is_room():
    puts = Putting(spool_bytes=1_000)
    puts.usage.total = 990
    puts.store.script("i-1/*", Refuse(), times=None)
    put = Put(log_file(), puts.tools, redone=False)
    outcome, _seconds = puts.run(put, limit=300)
    assert outcome is None
    assert puts.held() == []
    assert 5 < puts.tries("good") < 30, "at intervals that grow"
    assert puts.metrics.spool_full._value.get() == 1
    puts.usage.total = 0
    assert puts.run(put)[0].result is PutResult.PARKED
    assert puts.metrics.spool_full._value.get() == 0


def test_what_this_process_parks_counts_before_the_ledger_knows_it():
    puts = Putting(spool_bytes=2 * copy_size(log_file()))
    puts.store.script("i-1/*", Refuse(), times=None)
    results = [puts.run(Put(log_file(n), puts.tools, redone=False), limit=4)[0] for n in range(3)]
    assert [result and result.result for result in results] == [PutResult.PARKED, PutResult.PARKED, None]


def test_while_the_spool_fails_bucket_and_spool_are_tried_in_turn(puts):
    puts.store.script("i-1/*", Refuse(), times=12)
    puts.store.script("parked/*", LoseAnswer(kept=False), times=None)
    outcome, _ = puts.run(Put(log_file(), puts.tools, redone=False), limit=2_000)
    assert outcome == PutOutcome(PutResult.DONE, has_copy=True), "the last try of the spool may have been kept"
    assert puts.tries(SPOOL) > 3


# --- tries that have no answer --------------------------------------------------------------------


def test_a_try_without_an_answer_is_overtaken_by_parking(puts, monkeypatch):
    """The same put is asked again, by another thread, while its try is under way."""
    file = log_file()
    put = Put(file, puts.tools, redone=False)
    seen = []

    def silent(*_):
        seen.append(put.attempt())  # too early: there is nothing but to wait
        puts.clock.now += 10
        puts.health.is_silent("good", puts.clock.now - 10)
        seen.append(put.attempt())
        raise OutcomeUnknown("no answer after all")

    monkeypatch.setattr(puts.tools.store, "put", silent)
    result = put.attempt()
    assert seen == [1.0, PutOutcome(PutResult.PARKED, Parking(copy_size(file), "RequestTimeout", is_answered=False))]
    assert isinstance(result, float)


def test_our_own_rate_limit_is_no_error_of_the_bucket(puts):
    file = log_file()
    put = Put(file, puts.tools, redone=False)
    assert put.park() == PutOutcome(PutResult.PARKED, Parking(copy_size(file), None, is_answered=True))
