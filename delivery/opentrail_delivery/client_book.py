"""Step 2: an event that its client sent twice is delivered once.

The book holds what is known of the clients' numbers after the newest window that was built. Step 5 writes what a
window changed in the transaction that delivers it, so a redo starts from the state after the window before it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from opentrail.events.batch import EventBatch, EventGroup, numbers_of, ranges_of, select
from opentrail.events.client_numbers import (
    MAX_CLIENTS,
    ClientNumbers,
    Ranges,
    Taken,
    bounded,
    count_of,
    take,
)
from opentrail_backends.event_bus.port import Message

_ACCOUNTS_KEPT = 1_000

ReadNumbers = Callable[[str], Mapping[bytes, ClientNumbers]]
"""An account's clients as the ledger knows them. Raises StateError."""


class DeadLetter(NamedTuple):
    """A message with events that may be new or not: it goes to the spool."""

    message: Message
    unknown: Ranges
    """Their numbers: below a hole that was given up. The message's other numbers are delivered."""


class GivenUpHoles(NamedTuple):
    """Holes of a client that were given up: what fits them later was never delivered before."""

    message: Message
    """The message that was taken then, so that a redo finds the same."""
    account_id: str
    client_id: bytes
    holes: Ranges


@dataclass(slots=True)
class WindowNumbers:
    """What one window makes of its clients' numbers; nothing of the book is changed until `accept`."""

    read: ReadNumbers
    accounts: dict[str, dict[bytes, ClientNumbers]] = field(default_factory=dict)
    changed: dict[tuple[str, bytes], ClientNumbers | None] = field(default_factory=dict)
    """What step 5 writes; None: forgotten."""
    known: dict[str, frozenset[bytes]] = field(default_factory=dict)
    """The clients of each account before the window."""
    repeats: int = 0
    """Events that were delivered before, and dropped."""
    dead_letters: list[DeadLetter] = field(default_factory=list)
    given_up: list[GivenUpHoles] = field(default_factory=list)

    def without_repeats(self, message: Message, batch: EventBatch) -> EventBatch:
        """The batch without the events that were delivered before. An unnumbered batch passes as it is."""
        if not batch.client_id:
            return batch
        clients = self.accounts.get(batch.account_id)
        is_first = clients is None
        if clients is None:
            clients = self.accounts[batch.account_id] = dict(self.read(batch.account_id))
            self.known[batch.account_id] = frozenset(clients)
        known = clients.get(batch.client_id, ClientNumbers())
        taken = take(known, batch.number_ranges, message.append_time)
        clients[batch.client_id] = taken.numbers
        self.changed[batch.account_id, batch.client_id] = taken.numbers
        # Clients that were not seen for long are looked for once a window.
        if is_first or len(clients) > MAX_CLIENTS or len(taken.numbers.holes) > len(known.holes):
            self._keep_bounds(message, batch.account_id, clients)
        if not taken.repeats and not taken.unknown:
            return batch
        self.repeats += count_of(taken.repeats)
        if taken.unknown:
            self.dead_letters.append(DeadLetter(message, taken.unknown))
        return _only_new(batch, taken)

    def _keep_bounds(self, message: Message, account_id: str, clients: dict[bytes, ClientNumbers]) -> None:
        within, given_up = bounded(clients)
        for client_id, numbers in clients.items():
            if client_id not in within and client_id not in self.known[account_id]:
                del self.changed[account_id, client_id]  # it came in this window, and was never in the ledger
            elif within.get(client_id) != numbers:
                self.changed[account_id, client_id] = within.get(client_id)
        self.given_up += [GivenUpHoles(message, account_id, client_id, holes) for client_id, holes in given_up.items()]
        clients.clear()
        clients.update(within)


class ClientBook:
    """The clients of one partition's accounts. For one thread only."""

    def __init__(self, read: ReadNumbers) -> None:
        self._read = read
        self._accounts: dict[str, dict[bytes, ClientNumbers]] = {}

    def window(self) -> WindowNumbers:
        """A new window's view of the book."""
        return WindowNumbers(self._known)

    def accept(self, window: WindowNumbers) -> None:
        """The window's intent is in the ledger, or it was planned: the next window goes on from there."""
        self._accounts.update(window.accounts)

    def rest(self) -> None:
        """No window is in flight: what takes much memory is freed and read from the ledger when asked for again."""
        if len(self._accounts) > _ACCOUNTS_KEPT:
            self._accounts.clear()

    def _known(self, account_id: str) -> Mapping[bytes, ClientNumbers]:
        known = self._accounts.get(account_id)
        return self._read(account_id) if known is None else known


def _only_new(batch: EventBatch, taken: Taken) -> EventBatch:
    dropped = {number for first, last in (*taken.repeats, *taken.unknown) for number in range(first, last + 1)}
    groups: list[EventGroup] = []
    for group in batch.groups:
        kept = [index for index, number in enumerate(numbers_of(group)) if number not in dropped]
        if kept:
            groups.append(select(group, kept))
    numbers = [number for group in groups for number in numbers_of(group)]
    return replace(batch, groups=groups, number_ranges=ranges_of(numbers))
