"""The state file: what it keeps, when it moves on, and what it takes of a damaged one."""

from dataclasses import replace

import pytest

from opentrail_validator import Checks, PublicKey, Span
from opentrail_validator.state_file import KnownChain, StateFile, verified_known
from opentrail_validator.walked import ChainResult
from tests.evidence_maker.in_memory import BEGIN, pinned, place_of, question_of
from tests.evidence_maker.maker import HOUR, Chain, listed_key, private_key
from tests.evidence_maker.walked import verified

KEYS = pinned(listed_key(private_key(0))).between(0, 0)
CHAIN = Chain().hours(6)
PLACE = place_of(CHAIN)


def at(hours):
    return BEGIN + hours * HOUR


def digest(hour):
    """The digest that ends then."""
    return verified(CHAIN, CHAIN.digests[hour - 1])


def result(newest, *, covered=None, known_until=None, chain=CHAIN, **changes):
    question = question_of(chain, **changes)
    spans = (Span(question.start, at(newest)),) if covered is None else covered
    return ChainResult(question=question, newest=digest(newest), covered=tuple(spans), known_until=known_until)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state.json"


def saved(path, *results):
    state = StateFile.open(path)
    for one in results:
        state.record(one, clean=True)
    state.save()
    return StateFile.open(path)


def test_no_file_is_an_empty_one(path):
    state = StateFile.open(path)
    assert (state.known(PLACE), state.findings, state.places()) == (None, (), [])
    assert not path.exists()


def test_what_was_recorded_is_known_again(path):
    state = saved(path, result(3))
    assert state.findings == ()
    assert state.places() == [PLACE]
    assert state.known(PLACE) == KnownChain(
        place=PLACE, digest=digest(3), checked_from=BEGIN, covered_from=BEGIN, records=True, unlisted=True
    )


def test_a_chain_is_known_by_all_of_its_place(path):
    state = saved(path, result(3))
    others = {
        "bucket": "b",
        "prefix": "p",
        "organization_id": "o-1",
        "account_id": "999999999999",
        "region": "r",
        "trail_name": "t",
        "home_region": "h",
    }
    assert all(state.known(replace(PLACE, **{name: value})) is None for name, value in others.items())
    assert state.known(replace(PLACE, prefix="")) is not None


def test_a_run_that_was_not_clean_or_found_nothing_changes_nothing(path):
    state = saved(path, result(3))
    before = state.known(PLACE)
    state.record(result(5), clean=False)
    state.record(ChainResult(question=question_of(CHAIN), newest=None, covered=()), clean=True)
    assert state.known(PLACE) == before


def test_it_does_not_go_back(path):
    state = saved(path, result(5))
    state.record(result(3, end=at(3)), clean=True)
    assert state.known(PLACE).digest == digest(5)


def test_a_run_that_went_on_from_the_known_digest_keeps_what_was_checked_before_it(path):
    state = saved(path, result(3))
    state.record(result(5, start=at(2), covered=[Span(at(2), at(5))], known_until=at(3)), clean=True)
    known = state.known(PLACE)
    assert (known.digest, known.checked_from, known.covered_from) == (digest(5), BEGIN, BEGIN)


def test_after_a_gap_only_what_follows_it_is_covered(path):
    state = saved(path, result(3))
    gap = [Span(at(2), at(3)), Span(at(4), at(5))]
    state.record(result(5, start=at(2), covered=gap, known_until=at(3)), clean=True)
    assert (state.known(PLACE).checked_from, state.known(PLACE).covered_from) == (BEGIN, at(4))
    fresh = saved(path.with_name("other.json"), result(5, covered=gap))
    assert (fresh.known(PLACE).checked_from, fresh.known(PLACE).covered_from) == (BEGIN, at(4))


def test_a_run_that_read_everything_replaces_what_was_known(path):
    state = saved(path, result(3))
    state.record(result(5, start=at(2), covered=[Span(at(2), at(5))]), clean=True)
    assert (state.known(PLACE).checked_from, state.known(PLACE).covered_from) == (at(2), at(2))


def test_a_result_that_rests_on_another_known_digest_is_not_taken(path):
    state = saved(path, result(3))
    state.record(result(5, known_until=at(2)), clean=True)
    assert state.known(PLACE).digest == digest(3)


def test_it_remembers_with_which_checks(path):
    state = saved(path, result(3, checks=Checks(records=False)))
    assert not state.known(PLACE).answers(question_of(CHAIN, start=at(1)))
    assert state.known(PLACE).answers(question_of(CHAIN, start=at(1), checks=Checks(records=False)))
    assert state.known(PLACE).answers(question_of(CHAIN, start=at(1), checks=Checks(records=False, unlisted=False)))
    state.record(result(5, known_until=at(3), checks=Checks(unlisted=False)), clean=True)
    assert not state.known(PLACE).answers(question_of(CHAIN, start=at(1), checks=Checks(records=False)))


QUESTIONS = {
    "as before": ({}, True),
    "later start": ({"start": at(2)}, True),
    "earlier start": ({"start": at(-1)}, False),
    "start at the digest": ({"start": at(3)}, False),
    "start after the digest": ({"start": at(4)}, False),
    "end before it": ({"end": at(1)}, False),
    "end an hour before it": ({"end": at(2)}, True),
}


@pytest.mark.parametrize("case", QUESTIONS)
def test_which_questions_it_answers(path, case):
    changes, answers = QUESTIONS[case]
    assert saved(path, result(3)).known(PLACE).answers(question_of(CHAIN, **changes)) is answers


def test_time_that_was_checked_and_not_covered_is_asked_for_anew_if_coverage_is(path):
    off = Checks(coverage=False)
    state = saved(path, result(3, checks=off, covered=[Span(at(1), at(3))]))
    assert not state.known(PLACE).answers(question_of(CHAIN))
    assert state.known(PLACE).answers(question_of(CHAIN, checks=off))
    assert state.known(PLACE).answers(question_of(CHAIN, start=at(1)))


# --- the digest's signature ---------------------------------------------------------------------


def test_a_known_digest_is_verified():
    assert verified_known(digest(3), KEYS) == digest(3)
    assert verified_known(digest(1), KEYS) == digest(1)


CHANGES = {
    "bucket": "other",
    "key": "other",
    "end": at(3) + 1,
    "sha256": "0" * 64,
    "signature": digest(4).signature,
    "previous_signature": None,
    "fingerprint": "0" * 32,
}


@pytest.mark.parametrize("field", CHANGES)
def test_a_changed_one_is_not(field):
    assert verified_known(replace(digest(3), **{field: CHANGES[field]}), KEYS) is None


def test_keys_count_only_within_their_validity():
    (name,) = KEYS
    assert verified_known(digest(3), {}) is None
    assert verified_known(digest(3), {name: PublicKey(KEYS[name].der, at(4), None)}) is None
    assert verified_known(digest(3), {name: PublicKey(KEYS[name].der, None, at(3))}) == digest(3)
