import pytest

from opentrail_validator import Kind, Subject
from opentrail_validator.missing_digests import missing_between
from tests.evidence_maker.in_memory import BEGIN, place_of
from tests.evidence_maker.maker import HOUR, Chain

PLACE = place_of(Chain())


def ends(missing_end, older_end, period=HOUR):
    found = list(missing_between(PLACE, "bucket", missing_end, older_end, period))
    assert {(f.kind, f.subject, f.bucket) for f in found} <= {(Kind.NOT_FOUND, Subject.DIGEST, "bucket")}
    assert all(f.detail.startswith("expected") for f in found)
    return [PLACE.digest_at(f.key).end_seconds for f in found]


@pytest.mark.parametrize("hours", [1, 2, 5])
def test_each_hour_between_is_named_newest_first(hours):
    assert ends(BEGIN, BEGIN - hours * HOUR) == [BEGIN - n * HOUR for n in range(1, hours)]


@pytest.mark.parametrize("seconds", [-1799, -1, 0, 1, 1799])
def test_stamps_that_are_some_seconds_off_make_no_hour(seconds):
    assert ends(BEGIN, BEGIN - HOUR + seconds) == []


def test_most_of_an_hour_counts_as_one():
    assert ends(BEGIN, BEGIN - 2 * HOUR + 1800) == []
    assert ends(BEGIN, BEGIN - 2 * HOUR + 1799) == [BEGIN - HOUR]


def test_a_chain_with_digests_more_often_has_more_of_them():
    assert ends(BEGIN, BEGIN - 1800, period=600) == [BEGIN - 600, BEGIN - 1200]


@pytest.mark.parametrize("period", [-HOUR, 0, 1])
def test_a_period_that_cannot_be_does_not_make_a_flood(period):
    assert len(ends(BEGIN, BEGIN - HOUR, period)) == 59


def test_an_older_digest_that_is_newer_leaves_nothing_between():
    assert ends(BEGIN, BEGIN + HOUR) == []
