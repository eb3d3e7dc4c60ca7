"""Sends the records of files through the producer's own client, and tells what became of each.

An event's number depends on nothing but the files: a run that is repeated with the same client id gives each event the
number that it had (see `ingest_journal`), whatever tokens there are and whatever is accepted.
"""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

from opentrail_cli.record_files import FoundRecord, UnreadableFile
from opentrail_producer.client import (
    ClientSettings,
    ClientTls,
    NotConfirmed,
    Outcome,
    ProducerClient,
    Refused,
    Rejected,
)

NOT_CONFIRMED = "NOT_CONFIRMED"
"""The code of a record without an answer: it may have been taken all the same."""
KEPT_REJECTIONS = 10_000
"""Rejections that are kept to be listed; more are only counted."""

_UNUSUAL_REGION = "us-east-1"
"""For records that name none that could be sent under; the service judges them by what they say."""


class UnknownAccount(Exception):
    """There is no token for a record's account; the message says why."""


class NotAccepted(NamedTuple):
    """A record that the service did not take, and why."""

    file: Path
    position: int
    code: str
    message: str


@dataclass(slots=True)
class Summary:
    """What became of everything."""

    accepted: int = 0
    not_accepted: list[NotAccepted] = field(default_factory=list)
    not_accepted_count: int = 0
    by_code: Counter[str] = field(default_factory=Counter)
    unreadable: list[tuple[Path, str]] = field(default_factory=list)
    per_account: Counter[str] = field(default_factory=Counter)

    @property
    def is_clean(self) -> bool:
        """Whether every record of every file was accepted."""
        return not self.not_accepted_count and not self.unreadable


class Ingestion:
    """Sends records, each with the token of its account. Safe for the client's threads to call back.

    Args:
        target: the producer's address.
        token_for: the token for an account, or for records that name none (None); may raise UnknownAccount.
        tls: whom to trust; None sends in the clear.
        give_up: seconds after which a batch without an answer is given up.
        client_id: under which the events are numbered; None: random ones.
    """

    def __init__(
        self,
        target: str,
        token_for: Callable[[str | None], str],
        *,
        tls: ClientTls | None = None,
        give_up: float = 60.0,
        client_id: bytes | None = None,
    ) -> None:
        self.summary = Summary()
        self._target = target
        self._token_for = token_for
        self._tls = tls
        self._settings = ClientSettings(give_up=give_up)
        self._client_id = client_id
        self._clients: dict[tuple[str, bool], ProducerClient] = {}
        self._unnamed: Counter[str] = Counter()
        """How many records without an account there were, by region."""
        self._lock = threading.Lock()

    def send_files(
        self, files: Iterable[tuple[Path, Iterable[FoundRecord]]], on_file_done: Callable[[], object] = lambda: None
    ) -> Summary:
        """Sends all records of the files and waits for all answers. A file that cannot be read stops no other."""
        try:
            for file, records in files:
                try:
                    self.send(records)
                except UnreadableFile as error:
                    self.summary.unreadable.append((file, str(error)))
                on_file_done()
        finally:
            self.close()
        return self.summary

    def send(self, records: Iterable[FoundRecord]) -> None:
        """Queues records; waits while too many are under way."""
        for found in records:
            region = found.region or _UNUSUAL_REGION
            number = None if found.account_id else self._next_unnamed(region)
            try:
                token = self._token_for(found.account_id)
            except UnknownAccount as error:
                self._note_refusal(NotAccepted(found.file, found.position, "UNKNOWN_ACCOUNT", str(error)))
                continue
            self._client(token, is_named=bool(found.account_id)).send(
                found.record,
                region=region,
                number=number,
                on_outcome=partial(self._note, found.file, found.position, found.account_id),
            )

    def close(self) -> None:
        """Waits for all answers."""
        for client in self._clients.values():
            client.close()
        self._clients.clear()

    def _next_unnamed(self, region: str) -> int:
        """The number of a record that names no account.

        Whose it is depends on which accounts there are, and may change from one run, or record, to the next. So these
        records are counted by themselves, also those that cannot be sent. An account that is named is known for a
        whole run or not at all: its records are counted as they are sent.
        """
        self._unnamed[region] += 1
        return self._unnamed[region] - 1

    def _client(self, token: str, *, is_named: bool) -> ProducerClient:
        client = self._clients.get((token, is_named))
        if client is None:
            client = self._clients[token, is_named] = ProducerClient(
                self._target,
                region=_UNUSUAL_REGION,
                token=token,
                tls=self._tls,
                settings=self._settings,
                client_id=self._client_id if is_named else _id_for_unnamed(self._client_id),
            )
        return client

    def _note(self, file: Path, position: int, account_id: str | None, outcome: Future[Outcome]) -> None:
        try:
            result = outcome.result()
        except Refused as error:
            self._note_refusal(NotAccepted(file, position, error.code, str(error).removeprefix(f"{error.code}: ")))
        except NotConfirmed as error:
            self._note_refusal(NotAccepted(file, position, NOT_CONFIRMED, str(error)))
        else:
            if isinstance(result, Rejected):
                self._note_refusal(NotAccepted(file, position, result.code, result.message))
                return
            with self._lock:
                self.summary.accepted += 1
                self.summary.per_account[account_id or ""] += 1

    def _note_refusal(self, refusal: NotAccepted) -> None:
        with self._lock:
            self.summary.not_accepted_count += 1
            self.summary.by_code[refusal.code] += 1
            if len(self.summary.not_accepted) < KEPT_REJECTIONS:
                self.summary.not_accepted.append(refusal)


def _id_for_unnamed(client_id: bytes | None) -> bytes | None:
    """Another client id: records with and without an account's name may be of one account, and are counted apart."""
    return None if client_id is None else hashlib.sha256(client_id + b"unnamed").digest()[: len(client_id)]
