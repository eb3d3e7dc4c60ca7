"""Numbers that clients give their events, so that an event that is sent twice is delivered once (design §3).

A client that got no answer sends again, through another producer perhaps, split, or overtaken by later events.
So what is kept of a client is the newest number and the *holes* below it: a number in a hole is new and fills it,
any other old one is a repeat. Holes that stay tell that a client lost events. What is kept is bounded per account.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import NamedTuple

Ranges = Sequence[tuple[int, int]]
"""First and last of runs of numbers, rising, apart from each other."""

MAX_CLIENTS = 1_000
"""Clients that are remembered per account and region."""
MAX_HOLES = 10_000
"""Holes that are remembered per account and region, over all its clients."""
MAX_UNSEEN_MS = 35 * 24 * 3600 * 1000
"""How long a client is remembered, by the bus's append times: as long as the bus keeps its messages."""


@dataclass(frozen=True, slots=True)
class ClientNumbers:
    """What is known of one client's numbers in one account and region."""

    newest: int = -1
    """The highest number that was delivered."""
    holes: tuple[tuple[int, int], ...] = ()
    """Runs of numbers below `newest` that were not delivered."""
    floor: int = 0
    """Below it holes were given up: an old number there may be a repeat or not."""
    seen_at: int = 0
    """Append time (ms) of the newest message of the client."""
    repeats: int = 0
    """How many numbers came again and were dropped."""
    given_up: int = 0
    """How many numbers lay in holes that were given up."""

    @property
    def missing(self) -> int:
        """How many numbers have not come: events that the client lost, or will send again."""
        return count_of(self.holes)


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a message's numbers."""

    numbers: ClientNumbers
    repeats: Ranges = ()
    """Delivered before: dropped."""
    unknown: Ranges = ()
    """Below the floor: dropped, but kept as dead letters, since they may be new."""


def take(known: ClientNumbers, ranges: Ranges, seen_at: int) -> Taken:
    """Takes a message's numbers in. The same state and numbers always give the same answer."""
    holes = list(known.holes)
    newest = known.newest
    repeats: list[tuple[int, int]] = []
    unknown: list[tuple[int, int]] = []
    for first, last in ranges:
        if first <= newest:
            old = (first, min(last, newest))
            met = _where_they_meet(holes, old)
            filled = [part for hole in holes[met] for part in _clip(hole, *old)]
            holes[met] = [part for hole in holes[met] for part in _outside(hole, [old])]
            for missing in _outside(old, filled):
                repeats += _clip(missing, known.floor, newest)
                unknown += _clip(missing, 0, known.floor - 1)
        if last > newest:
            if first > newest + 1:
                holes.append((newest + 1, first - 1))
            newest = last
    numbers = ClientNumbers(
        newest=newest,
        holes=tuple(holes),
        floor=known.floor,
        seen_at=max(known.seen_at, seen_at),
        repeats=known.repeats + count_of(repeats),
        given_up=known.given_up,
    )
    return Taken(numbers, tuple(repeats), tuple(unknown))


class Bounded(NamedTuple):
    """What is kept of an account's clients."""

    clients: dict[bytes, ClientNumbers]
    given_up: dict[bytes, Ranges]
    """Holes that were given up now, by client: what fits them later is not known to be new or a repeat."""


def bounded(
    clients: Mapping[bytes, ClientNumbers],
    max_clients: int = MAX_CLIENTS,
    max_holes: int = MAX_HOLES,
    max_unseen_ms: int = MAX_UNSEEN_MS,
) -> Bounded:
    """An account's clients within the bounds: the least recently seen goes first, by append time, never by a clock.

    A client over `max_clients`, or not seen for `max_unseen_ms` before the account's newest message, is forgotten.
    Holes over `max_holes` are given up, oldest first, client by client.
    """
    by_age = sorted(clients, key=lambda client_id: (clients[client_id].seen_at, client_id))
    oldest = max((numbers.seen_at for numbers in clients.values()), default=0) - max_unseen_ms
    kept = {
        client_id: clients[client_id]
        for client_id in by_age[max(len(by_age) - max_clients, 0) :]
        if clients[client_id].seen_at >= oldest
    }
    given_up_holes: dict[bytes, Ranges] = {}
    over = sum(len(numbers.holes) for numbers in kept.values()) - max_holes
    for client_id, numbers in kept.items():
        if over <= 0:
            break
        gone, left = numbers.holes[:over], numbers.holes[over:]
        if gone:
            given_up = numbers.given_up + count_of(gone)
            kept[client_id] = replace(numbers, holes=left, floor=gone[-1][1] + 1, given_up=given_up)
            given_up_holes[client_id] = gone
            over -= len(gone)
    return Bounded(kept, given_up_holes)


def count_of(ranges: Ranges) -> int:
    """How many numbers lie in the ranges."""
    return sum(last - first + 1 for first, last in ranges)


def covers(ranges: Ranges, number: int) -> bool:
    """Whether a number lies in one of the ranges."""
    return any(first <= number <= last for first, last in ranges)


def _where_they_meet(ranges: Ranges, span: tuple[int, int]) -> slice:
    """Which of the ranges have numbers in a span: all others cost nothing, however many there are."""
    first = bisect_left(ranges, span[0], key=itemgetter(1))
    return slice(first, bisect_right(ranges, span[1], lo=first, key=itemgetter(0)))


def _clip(span: tuple[int, int], first: int, last: int) -> list[tuple[int, int]]:
    low, high = max(span[0], first), min(span[1], last)
    return [(low, high)] if low <= high else []


def _outside(span: tuple[int, int], parts: Ranges) -> list[tuple[int, int]]:
    """What of a span lies in none of the parts."""
    left, (first, last) = [], span
    for low, high in parts:
        left += _clip((first, low - 1), first, last)
        first = max(first, high + 1)
    return left + _clip((first, last), first, last)
