"""Names the digests that must have lain between a digest that is missing and the next older one that is there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from opentrail.evidence.times import format_time
from opentrail_validator.findings import Finding, Kind, Subject
from opentrail_validator.trail_place import TrailPlace

SHORTEST_PERIOD: Final = 60
"""Seconds; no chain has a digest more often, and nobody wants to read of more."""


def missing_between(place: TrailPlace, bucket: str, missing_end: int, older_end: int, period: int) -> Iterator[Finding]:
    """Those that should lie between the missing digest's end and the older one's (epoch seconds), newest first.

    Nothing that is there names them: digests come at steps of `period` seconds. Where logging was off in between there
    were fewer; the digest that would say so is among the missing.
    """
    period = max(period, SHORTEST_PERIOD)
    last = older_end + period // 2  # Stamps may be some seconds off.
    after = f"expected, as there is none between the ends {format_time(older_end)} and {format_time(missing_end)}"
    for end in range(missing_end - period, last, -period):
        yield Finding(Kind.NOT_FOUND, Subject.DIGEST, bucket, str(place.key(end)), after)
