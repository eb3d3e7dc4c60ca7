"""A client of the producer that repeats itself: it asks for any of its events again until each one is accepted."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Mapping, Sequence

import grpc

from opentrail_producer.generated import producer_pb2, producer_pb2_grpc

MOST_EVENTS = 40
PATIENCE = 0.8
"""Seconds that a call may take."""
AGAIN = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
    }
)


def events_of(account: str, region: str, count: int, *, late: Mapping[int, str]) -> list[bytes]:
    """Records without ids; `late` gives some of them another `eventTime`."""
    return [
        json.dumps(
            {
                "eventVersion": "1.11",
                "userIdentity": {"type": "IAMUser", "arn": f"arn:aws:iam::{account}:user/alice"},
                "eventTime": late.get(number, "2026-01-15T10:00:00Z"),
                "eventSource": "ec2.amazonaws.com",
                "eventName": "RunInstances",
                "awsRegion": region,
                "sourceIPAddress": "192.0.2.1",
                "userAgent": "test",
                "requestID": f"{account}/{region}/{number}",
                "readOnly": False,
                "eventType": "AwsApiCall",
                "managementEvent": True,
                "recipientAccountId": account,
                "eventCategory": "Management",
            }
        ).encode()
        for number in range(count)
    ]


class RepeatingCaller:
    """Sends random runs of its events, from several threads at once, until all are accepted.

    So a run is sent again whole, in parts, together with others, before and after later ones, through whichever server
    the connection leads to, and while the first try is still under way.
    """

    def __init__(
        self, address: str, token: str, region: str, events: Sequence[bytes], *, client_id: bytes, seed: int
    ) -> None:
        self._address = address
        self._metadata = (("authorization", f"Bearer {token}"),)
        self._region = region
        self._events = events
        self._client_id = client_id
        self._lock = threading.Lock()
        self.accepted: dict[int, str] = {}
        """The `eventID` of each event that was accepted, by number."""
        self.first_verdicts: dict[int, str] = {}
        """Why events were rejected that were accepted later."""
        self.refused: set[grpc.StatusCode] = set()
        self.failures: list[BaseException] = []
        self.stopped = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(random.Random(seed + n),)) for n in range(2)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def join(self, seconds: float) -> None:
        """Waits until all is accepted; what a thread failed of is raised here."""
        end = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(end - time.monotonic(), 0.0))
        late = any(thread.is_alive() for thread in self._threads)
        self.stopped.set()
        for thread in self._threads:
            thread.join()
        if self.failures:
            raise self.failures[0]
        assert not late, f"{len(self.accepted)} of {len(self._events)} accepted in {seconds} s; {self.refused}"

    def _run(self, chance: random.Random) -> None:
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.initial_reconnect_backoff_ms", 100)]
        try:
            with grpc.insecure_channel(self._address, options) as channel:
                stub = producer_pb2_grpc.ProducerStub(channel)  # type: ignore[no-untyped-call]  # generated
                while not self.stopped.is_set() and (first := self._one_to_send(chance)) is not None:
                    begin = max(first - chance.randrange(MOST_EVENTS // 2), 0)
                    self._send(stub, begin, chance.randrange(first - begin + 1, MOST_EVENTS + 1))
                    self.stopped.wait(chance.uniform(0.0, 0.03))
        except BaseException as error:
            self.failures.append(error)

    def _one_to_send(self, chance: random.Random) -> int | None:
        with self._lock:
            missing = [number for number in range(len(self._events)) if number not in self.accepted]
        return chance.choice(missing) if missing else None

    def _send(self, stub: producer_pb2_grpc.ProducerStub, first: int, count: int) -> None:
        request = producer_pb2.PublishEventsRequest(
            events=self._events[first : first + count],
            region=self._region,
            numbers=producer_pb2.EventNumbers(client_id=self._client_id, first=first),
        )
        try:
            answer = stub.PublishEvents(request, metadata=self._metadata, timeout=PATIENCE)
        except grpc.RpcError as error:
            self.refused.add(error.code())
            unknown_region = error.code() is grpc.StatusCode.INVALID_ARGUMENT and "no region" in error.details()
            if error.code() in AGAIN or unknown_region:
                return
            raise
        with self._lock:
            for number, result in enumerate(answer.results, first):
                if result.HasField("accepted"):
                    event_id = result.accepted.event_id
                    assert self.accepted.setdefault(number, event_id) == event_id, "another id for the same event"
                elif number not in self.accepted:
                    self.first_verdicts[number] = producer_pb2.RejectionCode.Name(result.rejected.code)
