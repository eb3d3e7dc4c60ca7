"""The load generator of the whole path, a process of its own: requests that are ready to go, over several connections.

    python -m benchmarks.load ADDRESS CONNECTIONS TOKENS_JSON

It prints `ready` once its requests are made. For each line `N` on its standard input it sends N batches and prints
one line of JSON: the events that were accepted, those that were not, bytes of records, start and end (CLOCK_MONOTONIC).
"""

from __future__ import annotations

import itertools
import json
import secrets
import sys
import threading
import time
from collections import Counter

import grpc

from benchmarks.workload import BATCH_EVENTS, DIFFERENT_EVENTS, Batch, batches
from opentrail_producer.client import PUBLISH_EVENTS
from opentrail_producer.generated.producer_pb2 import EventNumbers, PublishEventsRequest, PublishEventsResponse

_TRIES = 100


class Load:
    """Sends batches in turn, each with numbers of its own; how it goes is the same as with the client."""

    def __init__(self, address: str, connections: int, tokens: dict[str, str]) -> None:
        self._requests = itertools.cycle(
            [_Request(batch, tokens[batch.account_id]) for batch in batches(DIFFERENT_EVENTS)]
        )
        self._client_id = secrets.token_bytes(16)
        self._next_number: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()
        self._left = 0
        self._totals: Counter[str] = Counter()
        # A pool of its own gives each channel a connection of its own.
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_reconnect_backoff_ms", 1000)]
        self._channels = [grpc.insecure_channel(address, options) for _ in range(connections)]

    def send(self, count: int) -> dict[str, float]:
        """Sends so many batches, two at a time on each connection; returns what became of them."""
        self._left, self._totals = count, Counter()
        started = time.monotonic()
        threads = [threading.Thread(target=self._work, args=(channel,)) for channel in self._channels * 2]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return {**self._totals, "started": started, "ended": time.monotonic()}

    def _work(self, channel: grpc.Channel) -> None:
        publish: grpc.UnaryUnaryMultiCallable[bytes, PublishEventsResponse] = channel.unary_unary(
            PUBLISH_EVENTS, None, PublishEventsResponse.FromString
        )
        while (chosen := self._next()) is not None:
            request, body = chosen
            response = self._call(publish, body, request.metadata)
            rejected = sum(result.HasField("rejected") for result in response.results)
            with self._lock:
                self._totals["accepted"] += BATCH_EVENTS - rejected
                self._totals["rejected"] += rejected
                self._totals["bytes"] += request.size

    def _call(
        self,
        publish: grpc.UnaryUnaryMultiCallable[bytes, PublishEventsResponse],
        body: bytes,
        metadata: tuple[tuple[str, str]],
    ) -> PublishEventsResponse:
        for _ in range(_TRIES):
            try:
                return publish(body, metadata=metadata, timeout=60, wait_for_ready=True)
            except grpc.RpcError as error:
                if error.code() not in {grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE}:
                    raise
                with self._lock:
                    self._totals["tries again"] += 1
                time.sleep(0.05)
        raise TimeoutError(f"no answer after {_TRIES} tries")

    def _next(self) -> tuple[_Request, bytes] | None:
        with self._lock:
            if self._left == 0:
                return None
            self._left -= 1
            request = next(self._requests)
            first = self._next_number[request.source]
            self._next_number[request.source] += BATCH_EVENTS
        # Messages of protobuf that are joined are one message with the fields of both.
        numbers = PublishEventsRequest(numbers=EventNumbers(client_id=self._client_id, first=first))
        return request, request.body + numbers.SerializeToString()


class _Request:
    """A batch as it goes over the wire, but for its numbers."""

    def __init__(self, batch: Batch, token: str) -> None:
        self.source = (batch.account_id, batch.region)
        self.body = PublishEventsRequest(events=batch.records, region=batch.region).SerializeToString()
        self.size = sum(map(len, batch.records))
        self.metadata = (("authorization", f"Bearer {token}"),)


def main(address: str, connections: str, tokens: str) -> None:
    load = Load(address, int(connections), json.loads(tokens))
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(load.send(int(line))), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
