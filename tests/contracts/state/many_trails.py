"""Thousand accounts with five trails each, whose files are delivered and digested for months of a clock of its own.

Steps 3 and 5 go through the ledger. Steps 8 and 10 are done for all chains at once, by the statements of the store in
bulk: one call for each of 5,000 chains takes minutes. A test compares the rows with those of the store itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from sqlalchemy import bindparam, func, insert, select, update

from opentrail.events.client_numbers import ClientNumbers
from opentrail_backends.state import tables
from opentrail_backends.state.chain_rows import IDENTITY
from opentrail_backends.state.port import BuiltDigest, Chain, IntendedFile, Intent, StateStore
from opentrail_backends.state.waiting_digests import MOVE_TO_END, head_of
from tests.contracts.state.samples import HOUR, PARKED, REGION, START, Clock, chain

DAY = 24 * HOUR
_file, _chain, _digest, _place = tables.file, tables.chain, tables.digest, tables.place


@dataclass
class ManyTrails:
    """The deployment, and what each account's client has sent so far."""

    store: StateStore
    clock: Clock
    accounts: int
    trails: int
    partitions: int = 4
    sessions: dict[str, int] = field(default_factory=dict)
    clients: dict[tuple[str, bytes], int] = field(default_factory=dict)

    def names(self) -> list[tuple[str, str]]:
        """(account, incarnation) of each trail."""
        return [
            (f"{account:012}", f"{account:012}-4c1f-8a53-{trail:012}")
            for account in range(self.accounts)
            for trail in range(self.trails)
        ]

    def start_chains(self) -> None:
        """A chain for each trail's session."""
        now = self.clock.milliseconds // 1000
        self.store.chains.ensure_chains(self._chain(*name, now) for name in self.names())

    def deliver(self, parked: int = 0) -> None:
        """One window of each partition: a file of each trail, numbered events of one new client of each account."""
        names = self.names()
        for partition in range(self.partitions):
            lease, _ = self.store.ledger.own(REGION, partition, 0)
            number = lease.last_intent + 1
            own = [name for name in names if int(name[0]) % self.partitions == partition]
            files = [self._file(*name, number) for name in own]
            end = lease.next_offset + 1000
            window = Intent(number, lease.next_offset, end, {"revisions": []}, files)
            lease = self.store.ledger.write_intent(lease, window)
            aside = {file.object_key: PARKED for file in files[: parked // self.partitions]}
            numbers = self._numbers(sorted({account for account, _ in own}), number)
            self.store.ledger.deliver(lease, window, aside, numbers)

    def digest(self, ended: Sequence[str] = ()) -> None:
        """Steps 8 and 10 for all chains: one digest each of what is delivered; those trails' sessions end."""
        chains = [found for found in self.store.chains.all_chains() if not found.ended]
        now = self.clock.milliseconds // 1000
        with self.store._transactions.writing() as connection:  # type: ignore[attr-defined]
            files: dict[tuple[Any, ...], list[int]] = {}
            waiting = select(_file.c.id, *(_file.c[name] for name in IDENTITY)).where(
                _file.c.digest.is_(None), _file.c.delivered_at < now * 1000
            )
            for file_id, *identity in connection.execute(waiting.order_by(_file.c.id)):
                files.setdefault(tuple(identity), []).append(file_id)
            rows = []
            for head in chains:
                built = self._digest(head, now)
                named = files.get(tuple(getattr(head, name) for name in IDENTITY), [])
                rows.append((head, built, named, head.incarnation in ended))
            self._write(connection, rows)

    def _write(self, connection: Any, rows: list[tuple[Chain, BuiltDigest, list[int], bool]]) -> None:
        """Statement by statement what `append` and `mark_published` do."""
        stamps = update(_place).where(_place.c.place == bindparam("of_place")).values(last_stamp=bindparam("stamp"))
        connection.execute(stamps, [{"of_place": head.place, "stamp": built.end} for head, built, _, _ in rows])
        heads = update(_chain).where(_chain.c.id == bindparam("of_id"))
        names = [
            "sequence",
            "last_end",
            "next_end",
            "ended",
            "head_bucket",
            "head_key",
            "head_sha256",
            "head_signature",
        ]
        connection.execute(
            heads.values(**{name: bindparam(f"to_{name}") for name in names}),
            [
                {
                    "of_id": head.id,
                    "to_sequence": built.sequence,
                    "to_last_end": built.end,
                    "to_next_end": built.end + HOUR,
                    "to_ended": ended,
                    **{f"to_{name}": value for name, value in head_of(built).items()},
                }
                for head, built, _, ended in rows
            ],
        )
        marks = update(_file).where(_file.c.id == bindparam("of_id")).values(digest=bindparam("sequence"))
        values = [{"of_id": file_id, "sequence": built.sequence} for _, built, ids, _ in rows for file_id in ids]
        if values:
            connection.execute(marks, values)
        connection.execute(
            insert(_digest),
            [
                asdict(built)
                | {"place": head.place, "files": ids, "starting": head.head_key is None, "unanswered_puts": 0}
                | {"ended": ended}
                for head, built, ids, ended in rows
            ],
        )
        published = update(_digest).where(
            _digest.c.chain_id == bindparam("of_id"), _digest.c.sequence == bindparam("of_sequence")
        )
        now = self.store._clock.record(connection)  # type: ignore[attr-defined]
        connection.execute(
            published.values(published_at=now, body=None, files=None),
            [{"of_id": built.chain_id, "of_sequence": built.sequence} for _, built, _, _ in rows],
        )
        connection.execute(
            heads.values(digest_published_at=now, digest_error=None, published_sequence=bindparam("of_sequence")),
            [{"of_id": head.id, "of_sequence": built.sequence} for head, built, _, _ in rows],
        )
        connection.execute(
            MOVE_TO_END, [{"chain_id": built.chain_id, "sequence": built.sequence} for _, built, _, _ in rows]
        )

    def bytes_used(self) -> int:
        """What the rows and indexes of SQLite's file take, free pages left out."""
        with self.store._transactions.reading() as connection:  # type: ignore[attr-defined]
            pages, free, size = (
                connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
                for name in ("page_count", "freelist_count", "page_size")
            )
        return int((pages - free) * size)

    def rows(self) -> dict[str, int]:
        """How many rows each table has."""
        with self.store._transactions.reading() as connection:  # type: ignore[attr-defined]
            return {
                table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
                for table in tables.metadata.sorted_tables
            }

    def _chain(self, account: str, incarnation: str, now: int) -> Chain:
        session = self.sessions.setdefault(incarnation, 1)
        return chain(
            f"{incarnation}/{session}",
            incarnation=incarnation,
            account_id=account,
            logging_session=session,
            place=f"audit-logs-of-{account}||{account}|{REGION}|{incarnation}|{REGION}",
            bucket=f"audit-logs-of-{account}",
            last_end=now - HOUR,
            next_end=now,
        )

    def _file(self, account: str, incarnation: str, number: int) -> IntendedFile:
        folder, name = f"AWSLogs/{account}/CloudTrail/{REGION}/2023/11/14", f"{account}_CloudTrail_{REGION}"
        return IntendedFile(
            incarnation=incarnation,
            logging_session=self.sessions[incarnation],
            account_id=account,
            part=0,
            bucket=f"audit-logs-of-{account}",
            object_key=f"{folder}/{name}_20231114T2213Z_{number:016}.json.gz",
            sha256=f"{number:064x}",
            events=1000,
            oldest_event_time=START,
            newest_event_time=START,
            trail_arn=_arn(account, incarnation),
            owner=account,
        )

    def _digest(self, head: Chain, end: int) -> BuiltDigest:
        folder, name = (
            f"AWSLogs/{head.account_id}/CloudTrail-Digest/{REGION}/2023/11/14",
            f"{head.account_id}_CloudTrail",
        )
        return BuiltDigest(
            chain_id=head.id,
            sequence=head.sequence + 1,
            bucket=head.bucket,
            object_key=f"{folder}/{name}_{REGION}_{head.incarnation}_{REGION}_{end}.json.gz",
            start=head.last_end,
            end=end,
            body=b"{" + b" " * 2000 + b"}",
            sha256=f"{end:064x}",
            signature=f"{end:0512x}",
            fingerprint="f" * 32,
            trail_arn=_arn(head.account_id, head.incarnation),
        )

    def _numbers(self, accounts: Sequence[str], number: int) -> dict[tuple[str, bytes], ClientNumbers | None]:
        """Each account's client was started anew; one that was not seen for 35 days is forgotten (`bounded`)."""
        now = self.clock.milliseconds
        seen = {(account, number.to_bytes(16, "big")): now for account in accounts}
        mine = set(accounts)
        old = [client for client, at in self.clients.items() if client[0] in mine and at < now - 35 * DAY * 1000]
        for client in old:
            del self.clients[client]
        self.clients.update(seen)
        gone: dict[tuple[str, bytes], ClientNumbers | None] = dict.fromkeys(old)
        return gone | {client: ClientNumbers(999, ((7, 9),), 0, at) for client, at in seen.items()}


def _arn(account: str, incarnation: str) -> str:
    return f"arn:aws:cloudtrail:{REGION}:{account}:trail/{incarnation}"
