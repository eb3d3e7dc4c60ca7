"""Progress on the standard error: one line on a terminal that is written over, a line now and then elsewhere."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from threading import Lock
from typing import Final, TextIO, TypeVar

from opentrail_validator.findings import Finding, Subject
from opentrail_validator.question import Question
from opentrail_validator.readers.port import ListedObject, ObjectReader, Outcome, Place, StoredObject
from opentrail_validator.reports.port import printable
from opentrail_validator.reports.section import readable_size

T = TypeVar("T")
_EVERY_ON_TERMINAL: Final = 0.2
_EVERY_ELSEWHERE: Final = 10.0
_CLEAR: Final = "\r\x1b[K"


class CountingReader:
    """An ObjectReader that counts the bytes that pass through it."""

    def __init__(self, objects: ObjectReader) -> None:
        self._objects = objects
        self._lock = Lock()
        self.size = 0

    def get(self, bucket: str, key: str) -> StoredObject:
        """Reads an object. Raises what the reader raises."""
        stored = self._objects.get(bucket, key)
        self._count(stored)
        return stored

    def read_all(self, places: Iterable[Place], look: Callable[[Place, Outcome], T]) -> Iterator[T]:
        """Reads many objects."""

        def count_and_look(place: Place, outcome: Outcome) -> T:
            self._count(outcome)
            return look(place, outcome)

        return self._objects.read_all(places, count_and_look)

    def list(self, bucket: str, prefix: str, start_after: str = "") -> Iterator[ListedObject]:
        """Lists objects."""
        return self._objects.list(bucket, prefix, start_after)

    def folders(self, bucket: str, prefix: str) -> Iterator[str]:
        """Lists folders."""
        return self._objects.folders(bucket, prefix)

    def _count(self, outcome: Outcome) -> None:
        if isinstance(outcome, StoredObject):
            with self._lock:
                self.size += len(outcome.body)


class Progress:
    """Shows how far a run is. `read`: how many bytes were read so far; `clock`: seconds, monotonic."""

    def __init__(
        self, err: TextIO, chains: int, read: Callable[[], int], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._err = err
        self._is_terminal = err.isatty()
        self._every = _EVERY_ON_TERMINAL if self._is_terminal else _EVERY_ELSEWHERE
        self._chains = chains
        self._chain = 0
        self._digests = 0
        self._log_files = 0
        self._read = read
        self._clock = clock
        self._began = self._shown_at = clock()
        self._name = ""
        self._is_shown = False

    def begin_chain(self, question: Question) -> None:
        """The next chain."""
        self._chain += 1
        self._name = printable(f"{question.place.account_id} {question.place.region}")

    def add(self, finding: Finding) -> None:
        """Counts a finding; shows the line if it is time."""
        if finding.subject is Subject.LOG_FILE:
            self._log_files += 1
        elif finding.subject in {Subject.DIGEST, Subject.BACKFILL_DIGEST}:
            self._digests += 1
        now = self._clock()
        if now - self._shown_at >= self._every:
            self._shown_at = now
            self._show(now)

    def clear(self) -> None:
        """Takes the line away: something else is written."""
        if self._is_shown:
            self._err.write(_CLEAR)
            self._err.flush()
            self._is_shown = False

    def _show(self, now: float) -> None:
        size = self._read()
        speed = size / max(now - self._began, 0.001)
        chain = f"chain {self._chain}/{self._chains} ({self._name}), " if self._chains > 1 else ""
        counts = f"{self._digests:,} digest files, {self._log_files:,} log files"
        text = f"{chain}{counts}, {readable_size(size)} read, {readable_size(speed)}/s"
        if self._is_terminal:
            width = shutil.get_terminal_size().columns - 1
            self._err.write(f"{_CLEAR}{text[:width]}")
            self._is_shown = True
        else:
            self._err.write(f"{text}\n")
        self._err.flush()
