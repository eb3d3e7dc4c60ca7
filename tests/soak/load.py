"""The load: clients that send numbered events without an end, and a book of what became of each."""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from opentrail_producer.client import Accepted, ClientSettings, NotConfirmed, Outcome, ProducerClient
from tests.soak.installation import REGIONS, EventKind

SETTINGS = ClientSettings(batch_events=50, call_timeout=4.0, give_up=25.0, first_backoff=0.05, longest_backoff=1.0)
_CLIENT_LIVES = (3.0, 25.0)
"""Seconds after which a client is closed and made anew."""
_IMPATIENT_SHARE = 0.3
"""Of the clients that are closed without waiting for their answers."""
_WITHOUT_ID_SHARE = 0.2
"""Of the events that leave their `eventID` to the service."""


@dataclass(slots=True)
class Sent:
    """An event: where it belongs, and the `eventID` that it was given or accepted under."""

    kind: EventKind
    event_id: str | None


@dataclass
class Book:
    """What became of each event, by its serial number."""

    sent: dict[int, Sent] = field(default_factory=dict)
    accepted: set[int] = field(default_factory=set)
    unknown: set[int] = field(default_factory=set)
    """No answer came: the event may be there once, or not at all."""
    failures: Counter[str] = field(default_factory=Counter)
    """Events that were refused, by reason: there must be none."""
    clients: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def new(self, kind: EventKind, event_id: str | None) -> int:
        """The serial number of a new event."""
        with self._lock:
            serial = len(self.sent)
            self.sent[serial] = Sent(kind, event_id)
        return serial

    def close(self, serial: int, outcome: Future[Outcome]) -> None:
        """Notes what became of an event."""
        error = outcome.exception()
        with self._lock:
            if isinstance(error, NotConfirmed):
                self.unknown.add(serial)
            elif error is not None:
                self.failures[f"{type(error).__name__}: {error}"] += 1
            elif isinstance(answer := outcome.result(), Accepted):
                event = self.sent[serial]
                if event.event_id not in {None, answer.event_id}:
                    self.failures["accepted under another eventID"] += 1
                event.event_id = answer.event_id
                self.accepted.add(serial)
            else:
                self.failures[f"{answer.code}: {answer.message}"] += 1


class Load:
    """One thread for each account, each with a client that is now and then made anew."""

    def __init__(self, addresses: Sequence[str], tokens: dict[str, str], events_per_second: float, seed: int) -> None:
        self.book = Book()
        self._addresses = addresses
        self._pause = len(tokens) / events_per_second
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._send, args=(account, token, random.Random(f"{seed} {account}")))
            for account, token in tokens.items()
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Sends no more; returns when the outcome of each event is known, or given up."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _send(self, account: str, token: str, chance: random.Random) -> None:
        while not self._stop.is_set():
            # A client that loses one producer goes on with the other: the retry comes there.
            target = "ipv4:" + ",".join(chance.sample(self._addresses, len(self._addresses)))
            client = ProducerClient(target, region=chance.choice(REGIONS), token=token, settings=SETTINGS)
            self.book.clients += 1
            ends_at = time.monotonic() + chance.uniform(*_CLIENT_LIVES)
            while time.monotonic() < ends_at and not self._stop.is_set():
                count = chance.randint(1, 20)
                for _ in range(count):
                    self._send_one(client, account, chance)
                self._stop.wait(count * self._pause)
            is_impatient = chance.random() < _IMPATIENT_SHARE and not self._stop.is_set()
            client.close(0 if is_impatient else SETTINGS.give_up + SETTINGS.call_timeout)

    def _send_one(self, client: ProducerClient, account: str, chance: random.Random) -> None:
        kind = EventKind(account, chance.choice(REGIONS), chance.random() < 0.4)
        event_id = (
            None if chance.random() < _WITHOUT_ID_SHARE else str(uuid.UUID(int=chance.getrandbits(128), version=4))
        )
        serial = self.book.new(kind, event_id)
        record = _record(serial, kind, event_id)
        client.send(record, on_outcome=lambda outcome: self.book.close(serial, outcome))


def _record(serial: int, kind: EventKind, event_id: str | None) -> dict[str, Any]:
    given = {} if event_id is None else {"eventID": event_id}
    return {
        "eventVersion": "1.11",
        "userIdentity": {
            "type": "IAMUser",
            "principalId": "AIDAEXAMPLE",
            "arn": f"arn:aws:iam::{kind.account}:user/alice",
            "accountId": kind.account,
            "userName": "alice",
        },
        "eventTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "eventSource": "ec2.amazonaws.com",
        "eventName": "DescribeInstances" if kind.read_only else "RunInstances",
        "awsRegion": kind.region,
        "sourceIPAddress": "198.51.100.7",
        "userAgent": "aws-cli/2",
        "requestParameters": {"serial": serial},
        "responseElements": None,
        "readOnly": kind.read_only,
        "eventType": "AwsApiCall",
        "managementEvent": True,
        "eventCategory": "Management",
        **given,
    }
