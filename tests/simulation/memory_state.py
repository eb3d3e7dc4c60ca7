"""A state store in memory that keeps the whole contract of the port: for tests that need thousands of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from opentrail.trails.configuration import Change
from opentrail_backends.state.port import (
    AccessKey,
    FileState,
    NewCall,
    NewChange,
    ProducerToken,
    PublicKey,
    RevisionConflict,
    Turn,
)
from tests.simulation.memory_chains import MemoryChains
from tests.simulation.memory_ledger import MemoryLedger
from tests.simulation.memory_tables import Clock, Tables

_TOKEN_HASH_BYTES = 32


@dataclass
class MemoryConfiguration:
    """See the port `ConfigurationStore`."""

    tables: Tables
    clock: Clock

    def now(self) -> int:
        return self.clock.read(self.tables)

    def changes_after(self, revision: int) -> Sequence[Change]:
        return [change for change in self.tables.changes if change.revision > revision]

    def apply(
        self, changes: Sequence[NewChange], expected_revision: int | None = None, calls: Sequence[NewCall] = ()
    ) -> int:
        before = self.tables.head_revision
        if expected_revision not in {None, before}:
            raise RevisionConflict(f"The configuration is at revision {before}, not {expected_revision}.")
        if not changes:
            return before
        self.tables.calls_of_changes += calls
        first = max(self.clock.record(self.tables), self.tables.head_effective_at + 1)
        last = first + len(changes) - 1
        self.clock.record(self.tables, at_least=last)
        self.tables.changes += [
            Change(before + 1 + index, first + index, change.kind, change.id, change.body)
            for index, change in enumerate(changes)
        ]
        self.tables.head_revision = before + len(changes)
        self.tables.head_effective_at = last
        return self.tables.head_revision

    def add_token(self, token_hash: bytes, account_id: str, name: str, expires_at: int | None = None) -> None:
        if len(token_hash) != _TOKEN_HASH_BYTES:
            raise ValueError(f"a token is kept as its SHA-256, not as {len(token_hash)} bytes")
        self.tables.tokens[token_hash] = (account_id, name, expires_at)

    def account_of_token(self, token_hash: bytes) -> str | None:
        account, _, expires_at = self.tables.tokens.get(token_hash, (None, "", None))
        return None if expires_at is not None and expires_at <= self.now() else account

    def tokens(self, account_id: str) -> Sequence[ProducerToken]:
        kept = [ProducerToken(token_hash, *row) for token_hash, row in self.tables.tokens.items()]
        mine = [token for token in kept if token.account_id == account_id]
        return sorted(mine, key=lambda token: (token.name, token.token_hash))

    def remove_token(self, token_hash: bytes) -> bool:
        return self.tables.tokens.pop(token_hash, None) is not None

    def put_access_key(self, key: AccessKey) -> None:
        self.tables.access_keys[key.access_key_id] = key

    def access_key(self, access_key_id: str) -> AccessKey | None:
        return self.tables.access_keys.get(access_key_id)

    def access_keys(self, account_id: str) -> Sequence[AccessKey]:
        keys = sorted(self.tables.access_keys.items())
        return [replace(key, secret_access_key="") for _, key in keys if key.account_id == account_id]

    def remove_access_key(self, access_key_id: str) -> bool:
        return self.tables.access_keys.pop(access_key_id, None) is not None


@dataclass
class MemoryCalls:
    """What delivery asks of the port `ApiCalls`."""

    tables: Tables

    def oldest_pending(self) -> Mapping[tuple[str, str], int]:
        return {(call.account_id, call.region): 0 for call in self.tables.calls_of_changes}


class MemoryNotifications:
    """See the port `NotificationQueue`: no trail of the simulation has a topic, so nothing ever waits."""

    def waiting(self) -> int:
        return 0

    def expire(self, _waiting_ms: int) -> int:
        return 0

    def take_turns(self, _limit: int, _lease_ms: int) -> Sequence[Turn]:
        return ()


@dataclass
class MemoryPublicKeys:
    """See the port `PublicKeys`."""

    tables: Tables

    def add(self, key: PublicKey) -> PublicKey:
        if key.valid_until < key.valid_from:
            raise ValueError("a key's validity ends before it begins")
        existing = self.covering(key.region, key.valid_from)
        if existing is None:
            self.tables.keys.append(key)
        return existing or key

    def covering(self, region: str, seconds: int) -> PublicKey | None:
        found = self.between(region, seconds, seconds)
        return found[-1] if found else None

    def between(self, region: str, start_seconds: int, end_seconds: int) -> Sequence[PublicKey]:
        meets = [
            key
            for key in self.tables.keys
            if key.region == region and key.valid_from <= end_seconds and key.valid_until >= start_seconds
        ]
        return sorted(meets, key=lambda key: key.valid_from)


class MemoryStateStore:
    """See the port `StateStore`: what delivery asks of it.

    A backup can be taken and restored; then all ports see the restored rows.
    """

    def __init__(self, clock: Callable[[], int], audit: Callable[..., None] = lambda *_: None) -> None:
        self.tables = Tables()
        self.clock = Clock(clock)
        self._tokens = 0
        self.unmet: list[str] = []
        self.configuration = MemoryConfiguration(self.tables, self.clock)
        self.ledger = MemoryLedger(self.tables, self.clock, self._new_token, audit)
        self.chains = MemoryChains(self.tables, self.clock, audit)
        self.public_keys = MemoryPublicKeys(self.tables)
        self.calls = MemoryCalls(self.tables)
        self.notifications = MemoryNotifications()

    def _new_token(self) -> str:
        self._tokens += 1  # never twice, also after a restore
        return f"{self._tokens:032x}"

    def snapshot(self) -> Tables:
        """A backup of everything."""
        return self.tables.copy()

    def restore(self, backup: Tables) -> None:
        """The database is as it was; its clock is read anew."""
        self.tables = backup.copy()
        self.clock.given = 0
        for port in (self.configuration, self.ledger, self.chains, self.public_keys, self.calls):
            port.tables = self.tables

    def migrate(self) -> None:
        """There is no schema."""

    def trail_status(self, incarnation: str, region: str) -> Mapping[str, Any]:
        parked = [
            row
            for row in self.tables.files.values()
            if (row.file.incarnation, row.region) == (incarnation, region)
            and row.state in {FileState.PARKED, FileState.EXPIRED}
        ]
        chains = [
            row
            for row in self.tables.chains.values()
            if (row.chain.incarnation, row.chain.region) == (incarnation, region)
        ]
        waiting = [
            row
            for (chain_id, _), row in sorted(self.tables.digests.items())
            if row.published_at is None and any(chain.chain.id == chain_id for chain in chains)
        ]
        published = [row.digest_published_at for row in chains if row.digest_published_at is not None]
        failing = [row.failing_since for row in parked if row.failing_since is not None]
        return {
            "delivered_at": self.tables.delivered_of_trail.get((incarnation, region)),
            "digest_delivered_at": max(published, default=None),
            "delivery_error": next((row.error for row in reversed(parked) if row.error), None),
            "digest_error": next((row.error for row in reversed(waiting) if row.error), None),
            "failing_since": min(failing, default=None),
            "notified_at": None,  # nobody is told here
            "notification_error": None,
            "notification_failing_since": None,
        }

    def unmet_conditions(self) -> Sequence[str]:
        return list(self.unmet)

    def forget(self, kept_ms: int, limit: int = 5_000) -> int:
        tables = self.tables
        before = self.clock.read(tables) - kept_ms
        published = {key: row.published_at for key, row in tables.digests.items()}
        forgotten = 0
        for file in list(tables.files.values())[:limit]:
            chain = next((row.chain.id for row in tables.chains.values() if row.identity == file.identity), None)
            ended_at = (
                file.delivered_at if not file.file.is_digested else published.get((chain or "", file.digest or 0))
            )
            if file.state is FileState.DELIVERED and ended_at is not None and ended_at < before:
                del tables.files[file.id]
                forgotten += 1
        for (chain_id, sequence), row in list(tables.digests.items())[:limit]:
            chain_row = tables.chains[chain_id]
            is_head = sequence in {chain_row.published_sequence, chain_row.signed_head_sequence}
            if row.published_at is not None and row.published_at < before and not is_head:
                del tables.digests[chain_id, sequence]
                forgotten += 1
        return forgotten

    def close(self) -> None:
        """Nothing to free."""
