"""Which questions of a bundle are asked again."""

from dataclasses import replace

import pytest

from opentrail_validator.asked import narrowed
from opentrail_validator.options import UsageMistakes, read_options
from tests.unit.validator.reports.runs import HOUR, question

ASKED = question(), question(region="us-east-1")  # the first two hours of 1970


def narrow(*flags):
    return narrowed(ASKED, read_options(["--from", "bundle", *flags], 50 * HOUR))


def test_less_than_was_collected():
    (one,) = narrow("--region", "us-east-1", "--start-time", "1970-01-01T01:00:00Z")
    assert (one.place.region, one.start, one.end) == ("us-east-1", HOUR, 2 * HOUR)
    assert [each.end for each in narrow("--end-time", "1970-01-01T01:00:00Z")] == [HOUR, HOUR]


@pytest.mark.parametrize(
    ("flags", "mistake"),
    [
        (("--start-time", "1970-01-02"), "--start-time is after the time that the bundle was collected for"),
        (("--end-time", "1970-01-02"), "--end-time is after the time that the bundle was collected for"),
        (("--start-time", "1970-01-01T03:00:00Z", "--region", "us-east-1"), "--start-time is after the time"),
        (("--region", "mars-1"), "--region mars-1 is not in this bundle"),
    ],
)
def test_a_time_that_was_not_collected_is_no_valid_one_but_a_mistake(flags, mistake):
    with pytest.raises(UsageMistakes) as caught:
        narrow(*flags)
    assert caught.value.mistakes[0].startswith(mistake)


def test_a_time_before_the_collected_one():
    later = [replace(each, start=HOUR) for each in ASKED]
    with pytest.raises(UsageMistakes, match="--end-time is before the time that the bundle was collected for"):
        narrowed(later, read_options(["--from", "bundle", "--end-time", "1970-01-01T00:30:00Z"], 50 * HOUR))
