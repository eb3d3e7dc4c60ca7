"""What a cycle asks, and what it makes of the answers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from opentrail_validator import Finding, Kind, Span, Subject
from opentrail_validator.chain_validation import NoPublicKeys
from opentrail_validator.readers.port import ApiNotReached
from opentrail_validator.service.book import MOST_OPEN, Book
from tests.unit.validator.service.fakes import (
    ARN,
    DAY,
    HOUR,
    NOW,
    SINCE,
    Installation,
    digest,
    log_finding,
    watched,
)

FOREVER = 1 << 40


def starts(made: Installation) -> list[int]:
    return [questions[0].now - questions[0].start for questions in made.validate.asked]


def uncovered(start: int, end: int) -> Finding:
    return Finding(Kind.NOT_COVERED, Subject.CHAIN, "logs", watched().place.folder, "", start, end)


# --- what is asked ----------------------------------------------------------------------------------


def test_a_chain_is_read_from_its_beginning_first_and_then_what_is_looked_back_at() -> None:
    made = Installation(full_every=4, lookback_seconds=7 * DAY)
    for _ in range(6):
        made.run()
    whole = [60 * DAY + HOUR + number * HOUR for number in (1, 5)]
    assert starts(made) == [whole[0], 7 * DAY, 7 * DAY, 7 * DAY, whole[1], 7 * DAY]


def test_a_pass_from_the_beginning_that_could_not_read_a_digest_is_made_again() -> None:
    made = Installation(full_every=4)
    made.run(Finding(Kind.NOT_CHECKED, Subject.DIGEST, "logs", "a"))
    made.run(log_finding(Kind.NOT_CHECKED))
    made.run()
    assert [ago > 59 * DAY for ago in starts(made)] == [True, True, False]


def test_what_the_buckets_do_not_keep_any_more_is_not_asked_for() -> None:
    made = Installation(full_every=1, oldest_seconds=30 * DAY)
    made.run()
    assert starts(made) == [30 * DAY]


def test_a_chain_begins_where_logging_did_or_where_its_first_digest_does_whatever_is_earlier() -> None:
    made = Installation(full_every=1)
    made.validate.first = SINCE + DAY  # what is older may only have been unreadable, or tampered with before
    made.run()
    made.run()
    made.catalogue.watched = [watched(since=SINCE + 2 * DAY)]  # an older session that is not known any more
    made.run()
    begins = [questions[0].start for questions in made.validate.asked]
    assert begins == [SINCE - HOUR, SINCE - HOUR, SINCE + DAY - HOUR]


# --- opened and repaired ------------------------------------------------------------------------------


def test_a_finding_is_opened_kept_and_repaired() -> None:
    made, bad = Installation(), log_finding()
    assert made.run(bad) == ([bad], [])
    assert made.run(bad) == ([], [])
    assert made.run(log_finding(Kind.NOT_CHECKED)) == ([], [])
    assert made.run(log_finding(Kind.VALID)) == ([], [bad])
    assert made.run(bad) == ([bad], [])


def test_what_was_opened_before_a_restart_is_not_opened_again() -> None:
    made, bad = Installation(), log_finding()
    made.run(bad)
    again = Installation(book=Book(made.book.content))
    assert again.run(bad) == ([], [])
    assert again.run(log_finding(Kind.VALID)) == ([], [bad])


def test_unchecked_and_notes_open_nothing() -> None:
    made = Installation()
    gap = Finding(Kind.GAP, Subject.DIGEST, "logs", "a", "", SINCE, SINCE + 9)
    assert made.run(gap, log_finding(Kind.NOT_CHECKED), log_finding(Kind.VALID)) == ([], [])
    memory = made.book.memory(watched())
    assert (memory.unchecked, memory.failure, memory.checked_at) == (1, "", NOW + HOUR)


@pytest.mark.parametrize("failure", [ApiNotReached("connection reset"), NoPublicKeys(SINCE, NOW)])
def test_a_chain_that_could_not_be_checked_keeps_what_is_open(failure: Exception) -> None:
    made, bad = Installation(), log_finding()
    made.run(bad)
    made.validate.failures = {"eu-west-1": failure}
    assert made.run() == ([], [])
    memory = made.book.memory(watched())
    assert (memory.unchecked, bool(memory.failure), len(memory.open)) == (1, True, 1)
    assert "2026-" in memory.failure or memory.failure == "connection reset"
    made.validate.failures = {}
    assert made.run(log_finding(Kind.VALID)) == ([], [bad])


@pytest.mark.parametrize(("age", "unchecked"), [(2 * HOUR - 1, 0), (2 * HOUR, 1)])
def test_a_chain_that_began_has_no_digest_and_no_key_yet_and_is_no_alarm(age: int, unchecked: int) -> None:
    chain = watched(since=NOW + HOUR - age)
    made = Installation(chain)
    made.validate.failures = {"eu-west-1": NoPublicKeys(SINCE, NOW)}
    made.now = NOW + HOUR
    outcome = made.cycle.run([chain], lambda: False)
    memory = made.book.memory(chain)
    assert (outcome.tally.unchecked, memory.unchecked) == (unchecked, unchecked)
    assert (memory.checked_at is None) == (not unchecked)


def test_a_fault_at_one_chain_keeps_no_other_from_being_checked(caplog: pytest.LogCaptureFixture) -> None:
    chains = [watched(region=region) for region in ("eu-west-1", "us-east-1", "us-west-2")]
    made, bad = Installation(*chains), log_finding()
    made.run(bad)

    def breaks() -> None:
        made.validate.at_answer = lambda: None
        raise RuntimeError("a fault")

    made.validate.at_answer = breaks
    made.validate.findings = {"us-west-2": [bad]}
    outcome = made.cycle.run(chains, lambda: False)
    assert outcome.finished
    assert outcome.tally.unchecked == 1
    europe, east, west = (made.book.memory(chain) for chain in chains)
    assert (europe.failure.partition(";")[0], len(europe.open)) == ("the validator failed", 1)
    assert (east.failure, east.checked_at, len(west.open)) == ("", NOW + HOUR, 1)
    assert [len(questions) for questions in made.validate.asked] == [3, 3, 2]
    assert "RuntimeError: a fault" in caplog.text


def test_one_chain_says_nothing_of_another() -> None:
    made = Installation(watched(), watched(region="us-east-1"))
    bad = log_finding()
    made.run(bad)
    assert made.run(region="us-east-1")[1] == [bad]
    made.run(bad)
    made.validate.failures = {"eu-west-1": ApiNotReached("connection reset")}
    assert made.run(region="us-east-1") == ([], [])


def test_of_very_many_findings_some_are_kept_and_all_are_counted() -> None:
    made = Installation()
    bad = [log_finding(name=f"{number:016}") for number in range(MOST_OPEN + 7)]
    opened, _ = made.run(*bad)
    assert opened == bad[:MOST_OPEN]
    assert made.book.memory(watched()).beyond == 7
    opened, repaired = made.run(*bad[MOST_OPEN:])
    assert repaired == bad[:MOST_OPEN]
    assert made.run(*bad[MOST_OPEN:])[0] == bad[MOST_OPEN:]
    assert made.book.memory(watched()).beyond == 0


def test_a_cycle_that_is_told_to_stop_ends_in_the_middle_of_a_chain() -> None:
    made = Installation(watched(), watched(region="us-east-1"))
    made.validate.findings = {"eu-west-1": [log_finding(), log_finding(name="B" * 16)]}
    outcome = made.cycle.run(made.catalogue.watched, lambda: bool(made.book.memory(watched()).open))
    assert not outcome.finished
    assert made.validate.closed == 1
    assert len(made.book.memory(watched()).open) == 1
    assert made.run(log_finding())[1] == []


# --- which chains -------------------------------------------------------------------------------------


def test_a_chain_that_moved_to_another_bucket_keeps_what_is_open() -> None:
    made, bad = Installation(), log_finding()
    made.run(bad)
    made.catalogue.watched = [watched("new-logs")]
    assert made.run(bad) == ([], [])
    assert made.run(log_finding(Kind.VALID)) == ([], [bad])


def test_a_chain_that_is_watched_no_more_is_forgotten() -> None:
    made = Installation(watched(), watched(region="us-east-1"))
    made.run(log_finding())
    made.catalogue.watched = [watched(region="us-east-1")]
    made.run(region="us-east-1")
    assert list(made.book.content.chains) == [watched(region="us-east-1").id]


# --- time without digests -----------------------------------------------------------------------------


def test_time_before_the_first_digest_is_not_missed() -> None:
    made = Installation()
    made.validate.first = SINCE + DAY
    assert made.run(uncovered(SINCE - HOUR, SINCE + DAY)) == ([], [])
    assert made.run(uncovered(SINCE - HOUR, SINCE + DAY)) == ([], [])
    hole = uncovered(SINCE + DAY, SINCE + 2 * DAY)
    assert made.run(hole) == ([hole], [])


def test_a_chain_of_which_nothing_was_seen_yet_misses_nothing() -> None:
    made = Installation()
    made.validate.nothing = True
    place = watched().place
    nothing = Finding(Kind.NOTHING_FOUND, Subject.CHAIN, place.bucket, place.folder, "", SINCE, NOW - 2 * HOUR)
    assert made.run(nothing) == ([], [])
    made.validate.nothing = False
    made.run()
    made.validate.nothing = True
    opened, _ = made.run(nothing)
    assert {finding.kind for finding in opened} == {Kind.NOTHING_FOUND, Kind.NEWEST_MISSING}


def test_time_in_which_logging_was_off_is_not_missed() -> None:
    pause = Span(NOW - 5 * DAY, NOW - 4 * DAY)
    made = Installation(watched(pauses=(pause,)))
    made.run()
    assert made.run(uncovered(pause.start + 5, pause.end + 9)) == ([], [])
    longer = uncovered(pause.start - 2 * HOUR, pause.end)
    assert made.run(longer) == ([longer], [])
    assert made.run() == ([], [longer])


def test_after_the_end_of_logging_nothing_is_missed() -> None:
    made = Installation(watched(pauses=(Span(NOW - 30 * DAY, FOREVER),)))
    made.validate.newest_ago = 30 * DAY
    made.run()
    place = watched().place
    nothing = Finding(Kind.NOTHING_FOUND, Subject.CHAIN, place.bucket, place.folder, "", NOW - 7 * DAY, NOW - 2 * HOUR)
    assert made.run(nothing) == ([], [])


# --- what was verified before -----------------------------------------------------------------------


def newest(made: Installation) -> Finding:
    known = made.book.memory(watched()).newest
    assert known is not None
    return Finding(Kind.VALID, Subject.DIGEST, known.bucket, known.key, "", known.start, known.end)


def test_a_digest_that_was_verified_and_is_gone_is_missed_without_any_head() -> None:
    made = Installation()
    made.run()
    gone = newest(made)
    made.validate.newest_ago = 5 * HOUR
    opened, _ = made.run()
    assert [(finding.kind, finding.key) for finding in opened] == [(Kind.NEWEST_MISSING, gone.key)]
    assert made.run() == ([], [])
    made.validate.newest_ago = HOUR
    assert made.run(gone) == ([], opened)


def test_nothing_is_missed_that_could_not_be_read() -> None:
    made = Installation()
    made.run()
    gone = newest(made)
    made.validate.newest_ago = 5 * HOUR
    assert made.run(replace(gone, kind=Kind.NOT_CHECKED)) == ([], [])
    assert made.run(Finding(Kind.NOT_CHECKED, Subject.LISTING, "logs", "a")) == ([], [])


def test_what_is_wrong_with_the_newest_is_told_once() -> None:
    made = Installation()
    made.run()
    bad = replace(newest(made), kind=Kind.BAD_SIGNATURE)
    made.validate.newest_ago = 5 * HOUR
    assert made.run(bad) == ([bad], [])


def test_another_well_signed_digest_in_the_place_of_the_newest() -> None:
    made = Installation()
    made.run()
    chain = watched()
    known = made.book.memory(chain)
    before = digest(chain, known.newest.end, "ee" * 32) if known.newest else None
    content = made.book.content
    again = Installation(book=Book(replace(content, chains={chain.id: replace(known, newest=before)})))
    again.validate.newest_ago = 2 * HOUR
    again.now += HOUR
    opened, _ = again.run()
    assert [finding.kind for finding in opened] == [Kind.CHAIN_BROKEN]
    assert opened[0].detail.startswith("another one")


def test_the_chains_name_says_which_it_is() -> None:
    assert watched().id == f"{ARN} 111122223333 eu-west-1 logs/AWSLogs/111122223333/CloudTrail-Digest/eu-west-1/"
