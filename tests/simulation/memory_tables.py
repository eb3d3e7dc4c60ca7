"""The rows of the state store in memory, and its clock. What is here is what a backup of the database holds."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields
from typing import Any

from opentrail.events.client_numbers import ClientNumbers
from opentrail.trails.configuration import Change
from opentrail_backends.state.port import (
    AccessKey,
    Chain,
    FileState,
    IntendedFile,
    Intent,
    KnownTopic,
    LostOffsets,
    NewCall,
    PublicKey,
)

Identity = tuple[str, int, str, str]
"""(incarnation, logging session, account, region): whose a chain and a file are."""


@dataclass(slots=True)
class PartitionRow:
    next_offset: int
    epoch: int = 0
    token: str = ""
    last_intent: int = 0
    last_delivered_at: int | None = None


@dataclass(slots=True)
class IntentRow:
    intent: Intent
    """Without its files."""
    closed: bool = False


@dataclass(slots=True)
class FileRow:
    id: int
    region: str
    partition: int
    intent: int
    file: IntendedFile
    state: FileState = FileState.INTENDED
    delivered_at: int | None = None
    digest: int | None = None
    """Sequence of the digest that names it."""
    size: int = 0
    parked_at: int = 0
    failing_since: int | None = None
    error: str | None = None
    unanswered: int = 0
    """Puts to its place that were not answered by a refusal."""

    @property
    def identity(self) -> Identity:
        file = self.file
        return (file.incarnation, file.logging_session, file.account_id, self.region)

    @property
    def is_of_chain(self) -> bool:
        """Delivered, to be in a digest, and in none."""
        return self.state is FileState.DELIVERED and self.file.is_digested and self.digest is None


@dataclass(slots=True)
class ChainRow:
    chain: Chain
    digest_published_at: int | None = None
    ended_at: int | None = None
    published_sequence: int = 0
    signed_head: bytes | None = None
    signed_head_sequence: int = 0
    signed_head_put: int = 0

    @property
    def identity(self) -> Identity:
        return identity_of(self.chain)


@dataclass(slots=True)
class DigestRow:
    digest: Any
    """BuiltDigest; its body is empty once it is published."""
    previous: tuple[str | None, str | None, str | None, str | None]
    """The chain's head before it."""
    place: str
    published_at: int | None = None
    unanswered: int = 0
    error: str | None = None


@dataclass(slots=True)
class Worker:
    formats: dict[str, int]
    seen_at: int


@dataclass
class Tables:
    """Everything that is durable."""

    clock: int = 0
    """The highest time that a row records."""
    head_revision: int = 0
    head_effective_at: int = 0
    changes: list[Change] = field(default_factory=list)
    tokens: dict[bytes, tuple[str, str, int | None]] = field(default_factory=dict)
    access_keys: dict[str, AccessKey] = field(default_factory=dict)
    calls_of_changes: list[NewCall] = field(default_factory=list)
    topics: dict[str, KnownTopic] = field(default_factory=dict)
    partitions: dict[tuple[str, int], PartitionRow] = field(default_factory=dict)
    intents: dict[tuple[str, int], dict[int, IntentRow]] = field(default_factory=dict)
    files: dict[int, FileRow] = field(default_factory=dict)
    next_file: int = 1
    numbers: dict[tuple[str, str, bytes], ClientNumbers] = field(default_factory=dict)
    lost: list[LostOffsets] = field(default_factory=list)
    workers: dict[str, Worker] = field(default_factory=dict)
    formats: dict[str, int] = field(default_factory=dict)
    chains: dict[str, ChainRow] = field(default_factory=dict)
    places: dict[str, int] = field(default_factory=dict)
    digests: dict[tuple[str, int], DigestRow] = field(default_factory=dict)
    keys: list[PublicKey] = field(default_factory=list)
    delivered_of_trail: dict[tuple[str, str], int] = field(default_factory=dict)

    def copy(self) -> Tables:
        """What a backup holds. Values are shared: they are never changed, only rows are."""
        made = Tables()
        for column in fields(self):
            setattr(made, column.name, _copied(getattr(self, column.name)))
        return made


def identity_of(chain: Chain) -> Identity:
    """Whose files a chain names."""
    return (chain.incarnation, chain.logging_session, chain.account_id, chain.region)


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    if isinstance(value, list):
        return list(value)
    return copy.copy(value) if hasattr(value, "__slots__") and not isinstance(value, tuple) else value


class Clock:
    """The store's clock: what it gives never falls."""

    def __init__(self, source: Callable[[], int]) -> None:
        self.source = source
        self.given = 0

    def read(self, tables: Tables) -> int:
        self.given = max(self.given, tables.clock, self.source())
        return self.given

    def record(self, tables: Tables, at_least: int = 0) -> int:
        tables.clock = max(self.read(tables), at_least)
        self.given = max(self.given, tables.clock)
        return tables.clock


def sum_by(rows: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Sums of numbers by name; names whose sum is nothing are left out."""
    sums: dict[str, int] = {}
    for name, number in rows:
        sums[name] = sums.get(name, 0) + number
    return {name: number for name, number in sums.items() if number}
