"""Validates many chains at once, and tells of them one after the other, in the order in which they were asked for.

Each chain has a thread that writes what it finds to a channel of its own. A channel holds so much and no more: a chain
whose turn has not come waits when its channel is full. What comes out does not depend on which is done first.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from typing import Final, TypeAlias

from opentrail_validator.chain_validation import ChainValidation, NoPublicKeys
from opentrail_validator.findings import Finding, Kind, Subject, Verdict
from opentrail_validator.question import HOUR, Question, Sources
from opentrail_validator.readers.port import ApiNotReached, ApiRefused
from opentrail_validator.state_file import StateFile, verified_known
from opentrail_validator.walked import ChainResult, VerifiedDigest

ChainFailure: TypeAlias = NoPublicKeys | ApiRefused | ApiNotReached
"""Why nothing can be said of a chain."""
Said: TypeAlias = Finding | ChainResult | ChainFailure

_AHEAD: Final = 4
"""Chains for each thread that may be done, or under way, before their turn comes."""
_ROOM: Final = 8
"""Batches that a channel holds."""
_BATCH: Final = 256
_BATCH_SECONDS: Final = 0.1
"""A batch that is no fuller waits for the next finding at the longest."""


def validate_chains(
    questions: Sequence[Question],
    sources_of: Callable[[Question], Sources],
    state: StateFile | None,
    parallel: int,
) -> Iterator[tuple[Question, Said]]:
    """Validates each chain; yields its findings, and at last its result or why there is none.

    `parallel` chains are under way at a time. With a `state`, what runs before verified is not read again where it
    answers the question, and what this run verifies is recorded there, not saved. Whatever else an exception says
    (a fault of the program, ReaderUnavailable from `sources_of`) is raised here, at that chain's turn. Whoever stops
    asking ends all threads; a request that is under way is waited for.
    """
    for finding in state.findings if state is not None and questions else ():
        yield questions[0], finding
    runs = [_ChainRun(question, sources_of, state) for question in questions]
    said = _in_threads(runs, parallel) if parallel > 1 and len(runs) > 1 else _one_after_the_other(runs)
    with closing(said):
        is_clean = True
        for question, one in said:
            if isinstance(one, Finding):
                is_clean = is_clean and (one.verdict in {Verdict.VALID, Verdict.NOTE} or one.kind is Kind.BAD_STATE)
            else:
                if state is not None and isinstance(one, ChainResult):
                    state.record(one, is_clean)
                is_clean = True
            yield question, one


class _ChainRun:
    """One chain's validation, from what is known of it to its result."""

    def __init__(self, question: Question, sources_of: Callable[[Question], Sources], state: StateFile | None) -> None:
        self.question = question
        self._sources_of = sources_of
        self._path = "" if state is None else str(state.path)
        self._known = None if state is None else state.known(question.place)

    def said(self) -> Generator[Said, None, None]:
        """The findings, then the result or failure."""
        sources = self._sources_of(self.question)
        try:
            known = self._usable(sources)
            if known is None and self._known is not None and self._known.answers(self.question):
                detail = "the digest that it names for this chain is not well signed: everything is read"
                yield Finding(Kind.BAD_STATE, Subject.STATE, self.question.place.bucket, self._path, detail)
            validation = ChainValidation(self.question, sources, known)
            yield from validation.findings()
            yield validation.result
        except (NoPublicKeys, ApiRefused, ApiNotReached) as failure:
            yield failure

    def _usable(self, sources: Sources) -> VerifiedDigest | None:
        known = self._known
        if known is None or not known.answers(self.question):
            return None
        digest = known.digest
        return verified_known(known, sources.public_keys.between(digest.start, digest.end + 2 * HOUR))


def _one_after_the_other(runs: Sequence[_ChainRun]) -> Generator[tuple[Question, Said], None, None]:
    for run in runs:
        for one in run.said():
            yield run.question, one


def _in_threads(runs: Sequence[_ChainRun], parallel: int) -> Generator[tuple[Question, Said], None, None]:
    crew = _Crew(runs, min(parallel, len(runs)))
    try:
        crew.start()
        for run in runs:
            for batch in crew.next_channel():
                for one in batch:
                    yield run.question, one
    finally:
        crew.stop()


class _Stopped(Exception):
    """Nobody listens any more."""


class _Channel:
    """Batches on their way from a chain's thread to whoever asked. One lock for all channels of a crew."""

    def __init__(self, changed: threading.Condition, stopped: threading.Event) -> None:
        self._changed = changed
        self._stopped = stopped
        self._batches: deque[list[Said]] = deque()
        self._error: BaseException | None = None
        self._is_closed = False

    def put(self, batch: list[Said]) -> None:
        """Waits for room. Raises _Stopped."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._batches) < _ROOM or self._stopped.is_set())
            if self._stopped.is_set():
                raise _Stopped
            self._batches.append(batch)
            self._changed.notify_all()

    def close(self, error: BaseException | None = None) -> None:
        """After the last batch; with the error that whoever asked is to see."""
        with self._changed:
            self._error, self._is_closed = error, True
            self._changed.notify_all()

    def __iter__(self) -> Iterator[list[Said]]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._batches or self._is_closed)
                if not self._batches:
                    break
                batch = self._batches.popleft()
                self._changed.notify_all()
            yield batch
        if self._error is not None:
            raise self._error


class _Crew:
    """Threads that take chains in order, a bounded number of them ahead of the one whose turn it is."""

    def __init__(self, runs: Sequence[_ChainRun], size: int) -> None:
        self._changed = threading.Condition()
        self._stopped = threading.Event()
        self._left = iter(runs)
        self._channels: deque[_Channel] = deque()
        """Of the chains that were taken and whose turn has not come, in order."""
        self._most = size * _AHEAD
        self._threads = [threading.Thread(target=self._work, name=f"chain-{number}") for number in range(size)]

    def start(self) -> None:
        """Starts the threads."""
        for thread in self._threads:
            thread.start()

    def next_channel(self) -> _Channel:
        """That of the next chain, as soon as it is taken. To be called once for each."""
        with self._changed:
            self._changed.wait_for(lambda: self._channels)
            channel = self._channels.popleft()
            self._changed.notify_all()
            return channel

    def stop(self) -> None:
        """Ends the threads and waits for them."""
        self._stopped.set()
        with self._changed:
            self._changed.notify_all()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    def _work(self) -> None:
        while (taken := self._take()) is not None:
            run, channel = taken
            try:
                self._tell(run, channel)
            except _Stopped:
                return
            except BaseException as error:  # whoever asked is to see it
                channel.close(error)
            else:
                channel.close()

    def _take(self) -> tuple[_ChainRun, _Channel] | None:
        with self._changed:
            self._changed.wait_for(lambda: len(self._channels) < self._most or self._stopped.is_set())
            run = None if self._stopped.is_set() else next(self._left, None)
            if run is None:
                return None
            channel = _Channel(self._changed, self._stopped)
            self._channels.append(channel)
            self._changed.notify_all()
            return run, channel

    def _tell(self, run: _ChainRun, channel: _Channel) -> None:
        batch: list[Said] = []
        told = time.monotonic()
        with closing(run.said()) as said:
            for one in said:
                batch.append(one)
                if self._stopped.is_set():
                    raise _Stopped
                now = time.monotonic()
                if len(batch) >= _BATCH or now - told > _BATCH_SECONDS:
                    channel.put(batch)
                    batch, told = [], now
        if batch:
            channel.put(batch)
