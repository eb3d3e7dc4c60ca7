"""`eventTime` in seconds since the epoch, read by parts: a batch's days are few, and a day's minutes are known."""

from __future__ import annotations

from functools import lru_cache

from opentrail.evidence.times import parse_time

_MINUTES = {f"{hour:02}:{minute:02}:": 3600 * hour + 60 * minute for hour in range(24) for minute in range(60)}
_SECONDS = {f"{second:02}Z": second for second in range(60)}


def parse_event_time(text: str) -> int:
    """What `parse_time` gives, at a fraction of its cost. Raises MalformedTime."""
    try:
        return _start_of_day(text[:11]) + _MINUTES[text[11:17]] + _SECONDS[text[17:]]
    except KeyError:
        return parse_time(text)


@lru_cache(maxsize=256)
def _start_of_day(day: str) -> int:
    """Of `YYYY-MM-DDT`. Raises MalformedTime."""
    return parse_time(f"{day}00:00:00Z")
