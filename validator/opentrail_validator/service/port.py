"""What the service needs of the outside: which chains to watch, where to read them, and whom to tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from opentrail_validator.question import Question, Sources, Span
from opentrail_validator.trail_place import TrailPlace


class CatalogueUnavailable(Exception):
    """Which chains there are cannot be asked now; the message says why."""


class NotDelivered(Exception):
    """A notice was not taken, or it is not known; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedChain:
    """A chain of digests that is validated again and again. Times are epoch seconds."""

    trail_arn: str
    place: TrailPlace
    since: int
    """When logging began, as far as it is known: there is no digest of a time before."""
    pauses: tuple[Span, ...] = ()
    """When logging or validation was off, as far as it is known: no digest covers that time. In their order."""

    @property
    def id(self) -> str:
        """Names the chain: no two that are watched have the same."""
        return f"{self.trail_arn} {self.place.account_id} {self.place.region} {self.place.bucket}/{self.place.folder}"


class ChainCatalogue(Protocol):
    """Knows the chains. Safe for use by several threads."""

    def chains(self) -> Sequence[WatchedChain]:
        """All that are to be watched, in a fixed order. Raises CatalogueUnavailable."""
        ...

    def sources(self, question: Question) -> Sources:
        """Where the objects, public keys and heads of a chain come from. Asked on the thread that reads them."""
        ...


class Notifier(Protocol):
    """Tells whoever has to know."""

    def notify(self, message: str) -> None:
        """Takes a message (JSON, at most 200 KB) over. Raises NotDelivered; the same message may come again then."""
        ...
