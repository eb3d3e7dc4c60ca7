import pytest

from opentrail.evidence import MalformedTime, format_time, parse_time


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "1970-01-01T00:00:00Z"), (1_772_359_651, "2026-03-01T10:07:31Z"), (-62135596800, "0001-01-01T00:00:00Z")],
)
def test_times_are_written_and_read(seconds, text):
    assert format_time(seconds) == text
    assert parse_time(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-03-01",
        "2026-03-01T10:07:31",
        "2026-03-01T10:07:31z",
        "2026-03-01T10:07:31.000Z",
        "2026-03-01T10:07:31+00:00",
        "2026-03-01 10:07:31Z",
        "2026-02-30T10:07:31Z",
        "2026-03-01T24:00:00Z",
        "2026-03-01T10:07:60Z",
        "0000-03-01T10:07:31Z",
        "2026-03-01T10:07:31Z\n",
        "٢٠٢٦-03-01T10:07:31Z",
    ],
)
def test_any_other_spelling_is_malformed(text):
    with pytest.raises(MalformedTime):
        parse_time(text)


@pytest.mark.parametrize("seconds", [10**12, -(10**12), 10**30])
def test_a_time_outside_of_the_calendar_has_no_text(seconds):
    with pytest.raises(ValueError):
        format_time(seconds)
