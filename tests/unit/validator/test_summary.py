from hypothesis import given
from hypothesis import strategies as st

from opentrail_validator import Finding, Kind, Span, Subject
from opentrail_validator.readers.port import ApiRefused
from opentrail_validator.summary import Hours, Summary
from opentrail_validator.walked import ChainResult
from tests.unit.validator.reports.runs import BAD, D1, D2, HOUR, L1, L2, LOST, UNCOVERED, VALID, question


def summary_of(*findings, asked=None, covered=()):
    summary = Summary()
    chain = summary.begin_chain(asked or question())
    for finding in findings:
        summary.add(finding)
    chain.end(ChainResult(question=chain.question, newest=None, covered=tuple(covered)))
    return summary


def test_exit_codes():
    assert summary_of(VALID).exit_code == 0
    assert summary_of(VALID, UNCOVERED).exit_code == 1
    assert summary_of(VALID, LOST).exit_code == 3
    assert summary_of(VALID, LOST, BAD).exit_code == 1
    assert Summary().exit_code == 3  # nothing was asked: that proves nothing


def test_a_chain_that_failed_beside_a_valid_one_could_not_be_checked():
    summary = summary_of(VALID)
    summary.begin_chain(question(region="us-east-1")).end(ApiRefused("AccessDenied"))
    assert summary.exit_code == 3


def test_hours_of_digests_and_log_files_are_those_of_their_names():
    lost = [Finding(Kind.NOT_FOUND, Subject.DIGEST, "b", key) for key in (D1, D2)]
    affected = summary_of(BAD, *lost, Finding(Kind.NOT_FOUND, Subject.LOG_FILE, "b", L1)).affected
    assert (len(affected.hours), affected.digests, affected.log_files) == (2, 2, 2)
    assert (affected.events, affected.size, affected.all_known) == (5, 1200, False)


def test_a_finding_about_time_counts_only_the_time_that_was_asked_for():
    ages = Finding(Kind.NOT_COVERED, Subject.CHAIN, "b", "AWSLogs/", "", -(10**9), 10**9)
    assert len(summary_of(ages).affected.hours) == 2
    before = Finding(Kind.NOT_COVERED, Subject.CHAIN, "b", "AWSLogs/", "", -200, -100)
    assert len(summary_of(before).affected.hours) == 0


def test_names_that_are_no_cloudtrails_have_no_hours():
    odd = Finding(Kind.PLANTED, Subject.LOG_FILE, "b", "notes.txt")
    assert len(summary_of(odd).affected.hours) == 0


def test_valid_findings_affect_nothing():
    affected = summary_of(VALID, LOST).affected
    assert (affected.accounts, affected.log_files, len(affected.hours)) == (set(), 0, 0)


def not_covered(covered, now=24 * HOUR):
    chain = summary_of(asked=question(now=now, coverage=False), covered=covered).chains[0]
    return chain.not_covered(), chain.due_since()


def test_what_is_not_covered_is_what_lies_between_but_for_what_is_not_due():
    assert not_covered([Span(0, 2 * HOUR)]) == ([], None)
    assert not_covered([Span(600, HOUR), Span(HOUR + 60, 2 * HOUR)]) == ([Span(0, 600), Span(HOUR, HOUR + 60)], None)
    assert not_covered([]) == ([Span(0, 2 * HOUR)], None)
    assert not_covered([Span(0, HOUR)], now=3 * HOUR) == ([], HOUR)
    assert not_covered([], now=HOUR) == ([], 0)
    assert not_covered([Span(0, 600)], now=3 * HOUR + 10) == ([Span(600, HOUR + 10)], None)


@given(st.lists(st.tuples(st.integers(-(10**6), 10**6), st.integers(0, 10**5)), max_size=50))
def test_each_hour_counts_once(spans):
    hours = Hours()
    for start, length in spans:
        hours.add(start, start + length)
    expected = {
        hour for start, length in spans for hour in range(start // HOUR, max(start, start + length - 1) // HOUR + 1)
    }
    assert len(hours) == len(expected)


def test_very_many_hours_take_little_memory():
    hours = Hours()
    for hour in range(100_000):
        hours.add(hour * HOUR, hour * HOUR + 1)
    assert len(hours) == 100_000
    assert len(hours._spans) < 5000


def test_very_many_hours_that_lie_apart_are_not_sorted_anew_for_each(monkeypatch):
    merged = []
    whole = Hours._merged
    monkeypatch.setattr(Hours, "_merged", lambda hours: merged.append(None) or whole(hours))
    hours = Hours()
    for number in range(20_000):
        hours.add(number * 2 * HOUR, number * 2 * HOUR + 1)
    assert len(hours) == 20_000
    assert len(merged) < 10


def test_the_log_file_counts_of_a_chain():
    chain = summary_of(VALID, BAD, LOST).chains[0]
    assert chain.total(Subject.LOG_FILE) == 2
    assert chain.total(Subject.DIGEST, Subject.LOG_FILE) == 3
    assert chain.found == Span(0, HOUR)
    assert L2 in BAD.key
