"""Times in evidence: `YYYY-MM-DDTHH:MM:SSZ`, UTC, whole seconds; inside, seconds since the epoch."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

_TIME: Final = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})T([01][0-9]|2[0-3]):([0-5][0-9]):([0-5][0-9])Z")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class MalformedTime(ValueError):
    """The text is not a time as CloudTrail writes it."""


def utc(seconds: int) -> datetime:
    """The moment as a UTC datetime. Raises ValueError outside of the years 1 to 9999."""
    try:
        return _EPOCH + timedelta(seconds=seconds)
    except OverflowError:
        raise ValueError(f"no such time: {seconds} s since the epoch") from None


def format_time(seconds: int) -> str:
    """Seconds since the epoch as `YYYY-MM-DDTHH:MM:SSZ`. Raises ValueError outside of the years 1 to 9999."""
    return f"{utc(seconds):%Y-%m-%dT%H:%M:%SZ}".zfill(len("YYYY-MM-DDTHH:MM:SSZ"))


def parse_time(text: str) -> int:
    """Seconds since the epoch of `YYYY-MM-DDTHH:MM:SSZ`, and of no other spelling. Raises MalformedTime."""
    match = _TIME.fullmatch(text)
    if match is None:
        raise MalformedTime(f"not a time YYYY-MM-DDTHH:MM:SSZ: {text[:40]!r}")
    day, hour, minute, second = match.groups()
    try:
        midnight = _midnight(day)
    except ValueError:
        raise MalformedTime(f"no such time: {text!r}") from None
    return midnight + int(hour) * 3600 + int(minute) * 60 + int(second)


@lru_cache(maxsize=1024)
def _midnight(day: str) -> int:
    """When a day begins, seconds since the epoch: a digest has thousands of times, most of them of one day.

    Raises ValueError.
    """
    return (datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC) - _EPOCH) // timedelta(seconds=1)
