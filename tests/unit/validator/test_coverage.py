"""Which part of the time asked for has no evidence."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opentrail_validator import Checks, Kind, Span, Subject
from opentrail_validator.coverage import GRACE, clamped, coverage_findings, spans_of
from opentrail_validator.heads import Heads, read_heads
from opentrail_validator.walked import Walked, WalkedDigest
from tests.evidence_maker.heads import ListedHeads, made_head
from tests.evidence_maker.in_memory import BEGIN, pinned, question_of
from tests.evidence_maker.maker import HOUR, Chain, listed_key, private_key

DAY = 24 * HOUR
NO_HEADS = Heads()


def hours(*spans):
    """A walk that found these hours' digests, counted from the beginning."""
    digests = [
        WalkedDigest(BEGIN + n * HOUR, BEGIN + (n + 1) * HOUR) for start, end in spans for n in range(start, end)
    ]
    walked = Walked(digests=digests[::-1])
    for digest in digests:
        walked.visited.add("b", str(digest.end))
    return walked


def told(walked, heads=NO_HEADS, **changes):
    question = question_of(Chain(), **{"now": BEGIN + 1000 * HOUR} | changes)
    findings = list(coverage_findings(question, spans_of(walked.digests), heads, walked))
    assert all((f.subject, f.bucket, f.key) == (Subject.CHAIN, "trail-logs", question.place.folder) for f in findings)
    return [(f.kind, (f.start - BEGIN) / HOUR, (f.end - BEGIN) / HOUR) for f in findings]


def heads_of(chain, place, **changes):
    keys = pinned(listed_key(private_key(0))).between(0, 0)
    return read_heads(question_of(chain), ListedHeads([made_head(chain, place, **changes)]), [chain.bucket], keys)


def test_digests_that_meet_or_overlap_are_one_span_and_empty_ones_none():
    digests = [
        WalkedDigest(20, 30),
        WalkedDigest(10, 20),
        WalkedDigest(40, 50),
        WalkedDigest(45, 48),
        WalkedDigest(7, 7),
    ]
    assert spans_of(digests) == [Span(10, 30), Span(40, 50)]
    assert clamped(spans_of(digests), 15, 40) == [Span(15, 30)]


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60))), st.integers(0, 60), st.integers(0, 60))
def test_spans_hold_exactly_the_moments_of_the_digests(windows, start, end):
    spans = spans_of(WalkedDigest(*window) for window in windows)
    moments = {moment for window in windows for moment in range(*window)}
    assert [moment for span in spans for moment in range(*span)] == sorted(moments)
    assert all(one.end < other.start for one, other in pairwise(spans))
    parts = [moment for span in clamped(spans, start, end) for moment in range(*span)]
    assert parts == sorted(moments & set(range(start, end)))


def test_covered_time_is_not_told():
    assert told(hours((0, 48))) == []


def test_each_span_without_a_digest_is_named():
    walked = hours((2, 10), (12, 40))
    assert told(walked) == [(Kind.NOT_COVERED, 0, 2), (Kind.NOT_COVERED, 10, 12), (Kind.NOT_COVERED, 40, 48)]


def test_a_span_is_named_with_its_times():
    walked = hours((0, 48))
    walked.digests.pop()
    question = question_of(Chain(), now=BEGIN + DAY * 9)
    (finding,) = coverage_findings(question, spans_of(walked.digests), Heads(), walked)
    assert finding.detail == "no valid digest covers 2026-03-01T10:07:31Z to 2026-03-01T11:07:31Z"


def test_with_no_digest_at_all_that_is_told_instead():
    assert told(hours()) == [(Kind.NOTHING_FOUND, 0, 48)]


def test_digests_that_are_all_missing_are_nothing_found():
    walked = hours()
    walked.visited.add("b", "k")
    walked.missing.add("b", "k")
    assert told(walked) == [(Kind.NOTHING_FOUND, 0, 48)]


def test_digests_that_are_all_wrong_cover_nothing():
    walked = hours()
    walked.visited.add("b", "k")
    assert told(walked) == [(Kind.NOT_COVERED, 0, 48)]


def test_the_last_two_hours_before_now_are_not_asked_for():
    assert told(hours((0, 46)), now=BEGIN + 48 * HOUR) == []
    assert told(hours((0, 45)), now=BEGIN + 48 * HOUR) == [(Kind.NOT_COVERED, 45, 46)]
    assert told(hours((0, 46)), now=BEGIN + 48 * HOUR, end=BEGIN + 90 * HOUR) == []
    assert told(hours(), start=BEGIN, end=BEGIN + HOUR, now=BEGIN + GRACE) == []


def test_an_end_in_the_past_is_fully_due():
    assert told(hours((0, 46)), now=BEGIN + 50 * HOUR) == [(Kind.NOT_COVERED, 46, 48)]


def test_digests_beyond_the_time_asked_for_do_not_matter():
    assert told(hours((0, 60)), start=BEGIN + 3 * HOUR, end=BEGIN + 5 * HOUR) == []


def test_without_the_check_nothing_is_told():
    off = Checks(coverage=False)
    assert told(hours(), checks=off) == []
    assert told(hours((3, 4)), checks=off) == []


def test_a_newer_head_makes_the_last_hours_due():
    chain = Chain().hours(48)
    heads = heads_of(chain, chain.digests[47])
    assert told(hours((0, 46)), heads, now=BEGIN + 48 * HOUR) == [(Kind.NOT_COVERED, 46, 48)]


def test_after_an_ended_chain_nothing_is_due():
    chain = Chain().hours(10)
    heads = heads_of(chain, chain.digests[9], chainEnded=True)
    assert told(hours((0, 10)), heads) == []
    assert told(hours((0, 8)), heads) == [(Kind.NOT_COVERED, 8, 10)]


def test_a_chain_that_went_on_after_the_ended_head_is_due():
    chain = Chain().hours(10)
    heads = heads_of(chain, chain.digests[9], chainEnded=True)
    assert told(hours((0, 10), (12, 20)), heads) == [(Kind.NOT_COVERED, 10, 12), (Kind.NOT_COVERED, 20, 48)]
    known = Walked(reached_known=True, known_until=BEGIN + 11 * HOUR)
    question = question_of(chain, now=BEGIN + 1000 * HOUR)
    assert len(list(coverage_findings(question, [Span(BEGIN, BEGIN + 11 * HOUR)], heads, known))) == 1


def test_a_chain_that_had_ended_before_the_time_asked_for_owes_nothing():
    chain = Chain().hours(10)
    (head,) = heads_of(chain, chain.digests[9], chainEnded=True).known
    later = {"start": BEGIN + 20 * HOUR, "end": BEGIN + 40 * HOUR}
    assert told(hours(), Heads(earlier=head), **later) == []
    (running,) = heads_of(chain, chain.digests[9]).known
    assert told(hours(), Heads(earlier=running), **later) == [(Kind.NOTHING_FOUND, 20, 40)]


@pytest.mark.parametrize("walked", [hours(), hours((3, 20))])
def test_what_could_not_be_read_may_cover_it(walked):
    walked.complete = False
    assert {kind for kind, _, _ in told(walked)} == {Kind.NOT_CHECKED}


def test_a_head_that_could_not_be_read_may_say_that_the_chain_had_ended():
    unread = Heads(complete=False)
    assert told(hours((3, 20)), unread) == [(Kind.NOT_COVERED, 0, 3), (Kind.NOT_CHECKED, 20, 48)]
    assert told(hours(), unread) == [(Kind.NOT_CHECKED, 0, 48)]
