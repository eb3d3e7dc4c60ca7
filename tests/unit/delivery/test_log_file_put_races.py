"""Two threads at one file: a put that seemed to have no answer, and the parking that overtook it."""

import threading

import pytest

from opentrail_backends.object_store.in_memory import Refuse
from opentrail_delivery.log_file_put import Put, PutResult
from tests.unit.delivery.putting import Putting, log_file


@pytest.fixture
def puts():
    return Putting()


class Interrupted:
    """A spool or a store in whose call something else happens first."""

    def __init__(self, inner, name, meanwhile):
        self._inner = inner
        self._name = name
        self._meanwhile = meanwhile

    def __getattr__(self, name):
        member = getattr(self._inner, name)
        if name != self._name:
            return member

        def call(*args, **kwargs):
            self._meanwhile()
            return member(*args, **kwargs)

        return call


def test_no_try_begins_once_the_file_is_being_parked_or_was(puts):
    """Else it could appear at its key, though it is said to have been refused each time, and be aimed elsewhere."""
    puts.store.script("i-1/*", Refuse(), times=None)
    put, answers = Put(log_file(), puts.tools, redone=False), []

    def the_bucket_works_again_and_another_thread_has_the_file():
        puts.store.clear_script()
        puts.health.succeeded("good", put.file.file.trail_arn)
        answers.append(put.attempt())

    object.__setattr__(
        puts.tools, "spool", Interrupted(puts.spool, "park", the_bucket_works_again_and_another_thread_has_the_file)
    )
    outcome, _ = puts.run(put)
    assert outcome.result is PutResult.PARKED
    assert outcome.parking.is_answered
    tries = puts.tries("good")
    answers.append(put.attempt())
    assert [type(answer) for answer in answers] == [float, float]
    assert puts.tries("good") == tries
    assert all(attempt.outcome == "PutRefused" for attempt in puts.store.attempts if attempt.bucket == "good")
    assert len(puts.held()) == 1


def test_a_file_that_is_parked_while_its_put_succeeds_is_parked_only(puts):
    put, parked = Put(log_file(), puts.tools, redone=False), []

    def the_answer_is_late():
        puts.clock.now += puts.tools.park_seconds
        parked.append(put.attempt())

    object.__setattr__(puts.tools, "store", Interrupted(puts.tools.store, "put", the_answer_is_late))
    late = put.attempt()
    assert parked[0].result is PutResult.PARKED
    assert parked[0].parking.is_answered is False
    assert isinstance(late, float)
    assert len(puts.held()) == 1


def test_a_put_that_succeeds_while_its_file_is_being_parked_tells_of_the_copy(puts):
    in_the_put, in_the_spool, put_is_done = threading.Event(), threading.Event(), threading.Event()

    def while_it_is_put():
        in_the_put.set()
        assert in_the_spool.wait(30)

    def while_it_is_parked():
        in_the_spool.set()
        assert put_is_done.wait(30)

    object.__setattr__(puts.tools, "store", Interrupted(puts.tools.store, "put", while_it_is_put))
    object.__setattr__(puts.tools, "spool", Interrupted(puts.spool, "park", while_it_is_parked))
    put, outcomes = Put(log_file(), puts.tools, redone=False), []

    def putting():
        outcomes.append(put.attempt())
        put_is_done.set()

    thread = threading.Thread(target=putting)
    thread.start()
    assert in_the_put.wait(30)
    puts.clock.now += puts.tools.park_seconds
    outcomes.append(put.attempt())
    thread.join()
    assert [outcome.result for outcome in outcomes] == [PutResult.DONE, PutResult.DONE]
    assert all(outcome.has_copy for outcome in outcomes)


def test_a_put_removes_no_copy(puts):
    """It may be an owner's that has lost the partition: the next one may have parked the file meanwhile."""
    file = log_file()
    puts.spool.park(file)
    outcome, _ = puts.run(Put(file, puts.tools, redone=True))
    assert outcome.result is PutResult.DONE
    assert len(puts.held()) == 1
