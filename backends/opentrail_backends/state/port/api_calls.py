"""The API's own calls on their way to the bus: an outbox that a change and its call enter in one transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class NewCall:
    """A call that was answered: a CloudTrail record of the account, recorded in the region."""

    account_id: str
    region: str
    record: bytes
    """JSON, with its `eventID`."""


@dataclass(frozen=True, slots=True)
class PendingCall:
    """A call that is not known to be on the bus."""

    id: int
    account_id: str
    region: str
    client_id: bytes
    """128 random bits that no account can guess: whose numbers these are (design §3, *numbers of clients*).

    An account and region gets new ones after 30 days without a call, before delivery forgets the old ones, and when
    its region is settled, since a ledger from a backup knows numbers that the bus has already.
    """
    number: int
    """Rises by one with each call of the client, from 0: numbered events are delivered once, however often sent."""
    judged_at: int
    """Which configuration governs it: the one in force at this time (ms), that of its answer. 0: there was none yet.

    The call that made a change is governed by the revision before it, so that a trail's last event is the one that
    ended it (design §3, *which configuration*). All calls between two changes have the same time.
    """
    record: bytes


class ApiCalls(Protocol):
    """Calls are kept until `done`; a crash before it sends them again, with the same numbers. Raises StateError."""

    def record(self, calls: Collection[NewCall]) -> None:
        """Keeps calls that changed nothing. Those that changed something are given to `ConfigurationStore.apply`."""
        ...

    def claim(self, limit: int, lease_ms: int) -> Sequence[PendingCall]:
        """The oldest calls that are not claimed, by id; they are ours for that long, then anybody's.

        Those of an account and region come in order: none is given while an older one is claimed, also by ourselves.
        """
        ...

    def done(self, ids: Collection[int]) -> None:
        """The bus has these: they are forgotten."""
        ...

    def oldest_pending(self) -> Mapping[tuple[str, str], int]:
        """The lowest `judged_at` of the calls that are not on the bus yet, by account and region.

        No chain of that account and region that a later change ended may end before they are: they belong to the trail
        as it was. Others need not wait: they enter none of them.
        """
        ...
