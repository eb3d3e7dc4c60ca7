"""What an operator's commands read of the ledger that delivery itself never asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from opentrail_backends.state.port.ledger_values import FileState, Intent, ParkedFile


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRow:
    """A log file as the ledger knows it, whatever became of it."""

    id: int
    region: str
    partition: int
    intent: int
    incarnation: str
    account_id: str
    part: int
    bucket: str
    object_key: str
    sha256: str
    state: FileState
    delivered_at: int | None
    digest: int | None
    """The sequence of the digest that names it; 0: none is to name it; None: the next one of its chain will."""


class Inspection(Protocol):
    """Reads everything, a page at a time; each call is one transaction. Raises StateError."""

    def files(self, limit: int, after: int = 0) -> Sequence[FileRow]:
        """File rows with an id above `after`, by id."""
        ...

    def open_intents(self, region: str, partition: int) -> Sequence[Intent]:
        """The partition's open intents, oldest first; without owning it."""
        ...

    def deliver_digested(self, file: ParkedFile) -> bool:
        """A parked file lies in its bucket, and a digest names it already: delivered, for no further digest.

        Only after a restore: what was done since the backup is done, and the ledger learns of it. False if it was not
        parked under that bucket and key any more.
        """
        ...

    def lower_stamp(self, place: str, last_stamp: int) -> None:
        """The stamps of a place above this one are free again (seconds).

        Only after a restore, where digests of ours with such stamps lie in the bucket and are to be known again: all
        that the place used before them lies below.
        """
        ...
