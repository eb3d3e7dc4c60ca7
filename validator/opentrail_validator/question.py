"""What is asked of the validator: one chain in a span of time, and how thoroughly. Times are epoch seconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from opentrail_validator.readers.port import HeadSource, ObjectReader, PublicKeySource
from opentrail_validator.trail_place import TrailPlace

HOUR: Final = 3600


class Span(NamedTuple):
    """A time from `start` to `end`."""

    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Checks:
    """What is checked beyond what the AWS CLI checks. All of it, by default."""

    records: bool = True
    """Whether the records of log files are read: are they where they belong, are they those of the Merkle root?"""
    unlisted: bool = True
    """Whether log files that no digest names are looked for."""
    coverage: bool = True
    """Whether time that no digest covers is an error; else it is not told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One chain of digests, and the log files delivered from `start` to `end`."""

    trail_arn: str
    place: TrailPlace
    start: int
    end: int
    now: int
    """When the question is asked: digests of the last hours before it may still be on their way."""
    checks: Checks = Checks()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where the answer comes from."""

    objects: ObjectReader
    public_keys: PublicKeySource
    heads: HeadSource | None = None
