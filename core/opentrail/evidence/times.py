"""Times in evidence: `YYYY-MM-DDTHH:MM:SSZ`, UTC, whole seconds; inside, seconds since the epoch."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

_TIME: Final = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})Z")
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
        raise MalformedTime(f"not YYYY-MM-DDTHH:MM:SSZ: {text[:40]!r}")
    try:
        year, month, day, hour, minute, second = map(int, match.groups())
        moment = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        raise MalformedTime(f"no such time: {text!r}") from None
    return (moment - _EPOCH) // timedelta(seconds=1)
