"""Continuous validation: cycle after cycle, the book written after each, and notices of what changed.

A notice is given until it is taken over; until then what it tells stays in the book, over restarts too.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from opentrail_validator.service.book import Book
from opentrail_validator.service.book_file import BookUnusable, write_book
from opentrail_validator.service.cycle import Cycle
from opentrail_validator.service.metrics import ValidatorMetrics
from opentrail_validator.service.notice import notice
from opentrail_validator.service.port import (
    CatalogueUnavailable,
    ChainCatalogue,
    NotDelivered,
    Notifier,
    WatchedChain,
)
from opentrail_validator.service.settings import WatchSettings

log = logging.getLogger(__name__)

OVERDUE_CYCLES = 3
"""After so many times `cycle_seconds` without the end of a cycle, watching is overdue."""


class Watching:
    """Runs cycles in a thread of its own.

    Args:
        book_file: where the book lies; None keeps it in memory (tests).
        now: seconds since the epoch.
        clock: seconds that only rise.
        wait: waits so many seconds, or until told to stop: whether it was.
    """

    def __init__(
        self,
        settings: WatchSettings,
        catalogue: ChainCatalogue,
        book: Book,
        cycle: Cycle,
        notifier: Notifier,
        metrics: ValidatorMetrics,
        *,
        book_file: Path | None,
        now: Callable[[], float],
        clock: Callable[[], float],
        wait: Callable[[float], bool] | None = None,
    ) -> None:
        self._settings = settings
        self._catalogue = catalogue
        self._book = book
        self._cycle = cycle
        self._notifier = notifier
        self._metrics = metrics
        self._book_file = book_file
        self._now = now
        self._clock = clock
        self._stopped = threading.Event()
        self._wait = wait or self._stopped.wait
        self._thread: threading.Thread | None = None
        self._ended_at = clock()
        """By the clock: when a cycle ended last, or the start."""
        self._chains: Mapping[str, WatchedChain] | None = None

    def start(self) -> None:
        """Begins with the first cycle."""
        self._thread = threading.Thread(target=self.run, name="validator-watching", daemon=True)
        self._thread.start()

    def stop(self, timeout: float) -> bool:
        """Ends soon, in the middle of a cycle too; whether it did within `timeout` seconds."""
        self._stopped.set()
        if self._thread is None:
            return True
        self._thread.join(timeout)
        return not self._thread.is_alive()

    @property
    def chains(self) -> Sequence[WatchedChain]:
        """What is watched. Raises CatalogueUnavailable while that is not known."""
        if self._chains is None:
            return self._catalogue.chains()
        return tuple(self._chains.values())

    def chain(self, chain_id: str) -> WatchedChain | None:
        """A watched chain by its id; None: it is watched no more. Raises CatalogueUnavailable as `chains` does."""
        known = self._chains
        return (known if known is not None else {chain.id: chain for chain in self.chains}).get(chain_id)

    @property
    def is_overdue(self) -> bool:
        """Whether no cycle has ended for so long that something must be wrong."""
        return self._clock() - self._ended_at > OVERDUE_CYCLES * self._settings.cycle_seconds

    def run(self) -> None:
        """Cycle after cycle, until told to stop."""
        while not self._stopped.is_set():
            began = self._clock()
            try:
                self.run_once()
            except Exception:
                log.exception("a cycle failed; the next one is tried when it is due")
                self._metrics.cycle_failed()
            if self._rest_until(began + self._settings.cycle_seconds):
                return

    def run_once(self) -> None:
        """One cycle, and its notice."""
        chains = self._known_chains()
        self._show()  # what was open before a restart is open all the time that this cycle takes
        if chains is None:
            self._metrics.cycle_failed()
            return
        began = self._clock()
        outcome = self._cycle.run(chains, self._stopped.is_set)
        if outcome.finished:
            self._ended_at = self._clock()
            self._metrics.cycle_ended(self._now(), self._ended_at - began, outcome.tally.unchecked)
        self._keep()  # before the notice: what is told is never forgotten
        self._tell()

    def _known_chains(self) -> Sequence[WatchedChain] | None:
        """Those of now; while they cannot be asked, those known before."""
        try:
            chains = self._catalogue.chains()
        except CatalogueUnavailable as error:
            log.warning("which chains there are cannot be asked now: %s", error)
            return None if self._chains is None else tuple(self._chains.values())
        self._chains = {chain.id: chain for chain in chains}
        return chains

    def _rest_until(self, next_cycle: float) -> bool:
        """Waits for the next cycle, and tries a notice again meanwhile; whether it was told to stop."""
        while (left := next_cycle - self._clock()) > 0:
            untold = bool(self._book.content.untold)
            if self._wait(min(left, self._settings.retry_seconds) if untold else left):
                return True
            if untold and self._clock() < next_cycle:
                self._tell()
        return self._stopped.is_set()

    def _tell(self) -> None:
        """Gives a notice of all that is untold, if anything is."""
        content = self._book.content
        if content.untold:
            try:
                self._notifier.notify(notice(content, self._chains or {}, int(self._now())))
            except NotDelivered as error:
                log.warning("a notice was not taken and is given again: %s", error)
                self._metrics.noticed(False)
            except Exception:  # a fault of who is told ends no watching
                log.exception("a notice was not taken and is given again")
                self._metrics.noticed(False)
            else:
                self._metrics.noticed(True)
                self._book.told(content.untold)
                self._keep()
        self._show()

    def _keep(self) -> None:
        if self._book_file is None:
            return
        try:
            write_book(self._book_file, self._book.content)
        except BookUnusable as error:  # watching is worth more than its memory
            log.error("%s Findings that were told are told again after a restart.", error)  # noqa: TRY400 (it says all)

    def _show(self) -> None:
        content = self._book.content
        untold = content.untold
        count = len(untold.changes) + untold.opened_beyond + untold.repaired_beyond
        self._metrics.show(self._chains or {}, content.chains, count)
