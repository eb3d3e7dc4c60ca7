"""Many chains at once: order, bounds, failures, whoever stops asking, and what is known from runs before."""

import os
import signal
import threading
import time
from contextlib import closing

import pytest

from opentrail_validator import Finding, Kind, NoPublicKeys, Sources, Subject, run
from opentrail_validator.readers.port import ApiNotReached, ApiRefused
from opentrail_validator.run import validate_chains
from opentrail_validator.walked import ChainResult
from tests.evidence_maker.in_memory import InMemory, pinned, question_of
from tests.evidence_maker.maker import Chain, listed_key, private_key

KEYS = pinned(listed_key(private_key(0)))
REGIONS = [f"region-{number}" for number in range(9)]


@pytest.fixture(autouse=True)
def _no_thread_is_left():
    """Threads of tests before this one may end meanwhile."""
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


def questions(regions=REGIONS):
    return [question_of(Chain(region=region)) for region in regions]


def no_sources(_question):
    return Sources(objects=InMemory({}), public_keys=KEYS)


class Scripted:
    """Stands for ChainValidation: `script` gives the findings of a region."""

    def __init__(self, monkeypatch, script):
        self.known = {}
        self.under_way = 0
        self.most = 0
        self.closed = []
        self.lock = threading.Lock()
        outer = self

        class Validation:
            def __init__(self, question, sources, known=None):
                self.question = question
                outer.known[question.place.region] = known

            def findings(self):
                region = self.question.place.region
                with outer.lock:
                    outer.under_way += 1
                    outer.most = max(outer.most, outer.under_way)
                try:
                    yield from script(region)
                finally:
                    with outer.lock:
                        outer.under_way -= 1
                        outer.closed.append(region)

            @property
            def result(self):
                return ChainResult(question=self.question, newest=None, covered=())

        monkeypatch.setattr(run, "ChainValidation", Validation)


def finding(region, number=0, kind=Kind.VALID):
    return Finding(kind, Subject.DIGEST, region, str(number))


def wait_until(holds):
    deadline = time.monotonic() + 60
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.005)


def told(asked, parallel, state=None):
    return [
        (question.place.region, said if not isinstance(said, ChainResult) else "result")
        for question, said in validate_chains(asked, no_sources, state, parallel)
    ]


@pytest.mark.parametrize("parallel", [0, 1, 2, 4, 50])
def test_chains_are_told_in_the_order_asked_whatever_is_done_first(monkeypatch, parallel):
    def script(region):
        number = REGIONS.index(region)
        for n in range(3):
            time.sleep(0.002 * (len(REGIONS) - number))
            yield finding(region, n)

    scripted = Scripted(monkeypatch, script)
    said = told(questions(), parallel)
    assert said == [
        (region, what) for region in REGIONS for what in (*(finding(region, n) for n in range(3)), "result")
    ]
    assert scripted.most <= max(parallel, 1)
    assert scripted.most > 1 or parallel < 2


def test_nothing_asked_is_nothing_told(monkeypatch):
    Scripted(monkeypatch, lambda _region: iter(()))
    assert told([], 4) == []


def test_a_chain_whose_turn_has_not_come_holds_only_so_much(monkeypatch):
    drawn = dict.fromkeys(REGIONS, 0)
    go_on = threading.Event()

    def script(region):
        if region == REGIONS[0]:
            yield finding(region)
            go_on.wait(60)
        for number in range(20_000 if region == REGIONS[1] else 1):
            drawn[region] += 1
            yield finding(region, number)

    Scripted(monkeypatch, script)
    with closing(validate_chains(questions(), no_sources, None, 2)) as answers:
        waiting = threading.Thread(
            target=lambda: (wait_until(lambda: drawn[REGIONS[1]] >= 256), time.sleep(0.3), go_on.set())
        )
        waiting.start()
        next(answers)
        waiting.join()
        assert 256 <= drawn[REGIONS[1]] < 5_000
        said = [question.place.region for question, _ in answers]
    assert said.count(REGIONS[1]) == 20_001
    assert said == sorted(said)


def test_no_more_chains_are_begun_than_wait_for_their_turn_at_the_most(monkeypatch):
    begun = []
    go_on = threading.Event()
    regions = [f"r{number:03}" for number in range(60)]

    def script(region):
        begun.append(region)
        if region == regions[0]:
            go_on.wait(60)
        yield finding(region)

    Scripted(monkeypatch, script)
    timer = threading.Timer(0.3, go_on.set)
    timer.start()
    with closing(validate_chains(questions(regions), no_sources, None, 2)) as answers:
        next(answers)
        assert len(begun) <= 2 + 2 * 4 + 1
        assert len([*answers]) == 119
    timer.join()


FAILURES = [NoPublicKeys(1, 2), ApiRefused("denied"), ApiNotReached("timed out")]


@pytest.mark.parametrize("parallel", [1, 3])
@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: type(failure).__name__)
def test_a_chain_that_fails_does_not_stop_the_others(monkeypatch, parallel, failure):
    def script(region):
        yield finding(region)
        if region == REGIONS[2]:
            raise failure

    Scripted(monkeypatch, script)
    said = told(questions(), parallel)
    assert [what for region, what in said if region == REGIONS[2]] == [finding(REGIONS[2]), failure]
    assert [region for region, what in said if what == "result"] == [r for r in REGIONS if r != REGIONS[2]]


@pytest.mark.parametrize("parallel", [1, 3])
def test_a_fault_of_the_program_is_raised_at_its_turn(monkeypatch, parallel):
    def script(region):
        yield finding(region)
        if region == REGIONS[2]:
            raise ZeroDivisionError

    scripted = Scripted(monkeypatch, script)
    seen = []
    with pytest.raises(ZeroDivisionError):
        seen += (question.place.region for question, _ in validate_chains(questions(), no_sources, None, parallel))
    assert scripted.under_way == 0


def test_what_was_said_before_a_fault_is_told(monkeypatch):
    def script(region):
        if region == REGIONS[1]:
            raise ZeroDivisionError
        yield finding(region)

    Scripted(monkeypatch, script)
    answers = validate_chains(questions(), no_sources, None, 4)
    assert [next(answers)[0].place.region for _ in range(2)] == [REGIONS[0]] * 2
    with pytest.raises(ZeroDivisionError):
        next(answers)


@pytest.mark.parametrize("asked_for", [0, 1, 3])
def test_whoever_stops_asking_ends_everything(monkeypatch, asked_for):
    def script(region):
        number = 0
        while True:
            number += 1
            yield finding(region, number)

    scripted = Scripted(monkeypatch, script)
    answers = validate_chains(questions(), no_sources, None, 3)
    for _ in range(asked_for):
        next(answers)
    answers.close()
    assert scripted.under_way == 0
    assert len(scripted.closed) <= 3


def test_an_interrupt_ends_everything(monkeypatch):
    def script(region):
        while True:
            yield finding(region)

    scripted = Scripted(monkeypatch, script)

    def use():
        for number, _ in enumerate(validate_chains(questions(), no_sources, None, 3)):
            if number == 600:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        use()
    assert scripted.under_way == 0


def test_a_signal_while_nothing_is_said_ends_everything(monkeypatch):
    request = threading.Event()

    def script(region):
        request.wait(60)  # a request that is under way is waited for
        yield finding(region)

    scripted = Scripted(monkeypatch, script)

    def interrupt():
        wait_until(lambda: scripted.under_way == 3)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.2)
        request.set()

    interrupting = threading.Thread(target=interrupt)

    def use():
        interrupting.start()
        list(validate_chains(questions(), no_sources, None, 3))

    with pytest.raises(KeyboardInterrupt):
        use()
    assert request.is_set()
    assert scripted.under_way == 0
    assert len(scripted.closed) == 3
    interrupting.join()
