"""Reads the log files of many digests at once, while the digests themselves are judged one after the other."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Final

from opentrail.evidence.digest import LogFileEntry
from opentrail_validator.chain_walk import Step
from opentrail_validator.digest_judge import kind_of
from opentrail_validator.findings import Finding, Subject
from opentrail_validator.log_file_check import check_log_file
from opentrail_validator.question import Question
from opentrail_validator.readers.port import ObjectReader, Outcome, Place, StoredObject

_MOST_WAITING: Final = 1024
"""Steps of the walk whose findings wait for the log files of newer ones: so many have none of their own."""


class _LogFilePlace(Place):
    """Where a log file lies, and what its digest says of it."""

    entry: LogFileEntry


def with_log_files(steps: Iterator[Step], objects: ObjectReader, question: Question) -> Iterator[Finding]:
    """The steps' findings in order, each followed by those of its log files.

    The walk is asked for its next step when there is room for another log file to read: so the log files of many
    small digests are under way at once, and yet no more of the walk is known than is needed.
    """
    check = _Check(question)
    waiting: deque[Step] = deque()
    more = True
    while more:
        more = False

        def places() -> Iterator[Place]:
            nonlocal more
            for step in steps:
                waiting.append(step)
                yield from map(_place_of, step.log_files)
                if len(waiting) >= _MOST_WAITING:
                    more = True
                    return

        left = 0
        for finding in objects.read_all(places(), check.look):
            while not left:
                step = waiting.popleft()
                yield from step.findings
                left = len(step.log_files)
            yield finding
            left -= 1
        yield from (finding for step in waiting for finding in step.findings)
        waiting.clear()


def _place_of(entry: LogFileEntry) -> _LogFilePlace:
    place = _LogFilePlace(entry.s3_bucket, entry.s3_object)
    place.entry = entry
    return place


class _Check:
    """Makes a finding of a log file that was read."""

    def __init__(self, question: Question) -> None:
        self._account_id = question.place.account_id
        self._region = question.place.region
        self._records = question.checks.records

    def look(self, place: Place, outcome: Outcome) -> Finding:
        assert isinstance(place, _LogFilePlace)  # As it was drawn.
        entry = place.entry
        if not isinstance(outcome, StoredObject):
            return Finding(kind_of(outcome), Subject.LOG_FILE, *place, str(outcome), events=entry.record_count)
        kind, detail, events, size = check_log_file(
            outcome.body, entry, self._account_id, self._region, records=self._records
        )
        return Finding(kind, Subject.LOG_FILE, *place, detail, None, None, events, size)
