"""What the benchmarks work on: records of the realistic generator, cut into batches, and five mixed trails."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import cycle, islice
from typing import Any, NamedTuple

from opentrail.events.record import CheckedRecord, Rejection, check_records
from opentrail_cli.first_account import EVERYTHING
from opentrail_cli.realistic_events import REGIONS, realistic_events
from opentrail_producer.event_ids import random_event_id

BATCH_EVENTS = 500
"""As the client sends them."""
DIFFERENT_EVENTS = 20_000
"""Records that are made; a larger workload repeats them."""
START = 1_760_000_000

SELECTORS: dict[str, list[dict[str, Any]]] = {
    "everything": EVERYTHING,
    "management": [{"ReadWriteType": "All"}],
    "writes": [{"ReadWriteType": "WriteOnly"}],
    "no-kms": [{"ExcludeManagementEventSources": ["kms.amazonaws.com"]}],
    "reads": [{"ReadWriteType": "ReadOnly"}],
}
"""The event selectors of five mixed trails, by name; the first wants everything."""


class Batch(NamedTuple):
    """Records of one account and region, as a client would send them together."""

    account_id: str
    region: str
    records: list[bytes]


def batches(events: int) -> Iterator[Batch]:
    """At least `events` records in full batches; accounts and regions have the shares that the generator gives them."""
    sources: dict[tuple[str, str], list[bytes]] = {}
    for event in realistic_events(1, START, events=DIFFERENT_EVENTS):
        sources.setdefault((event.account_id, event.region), []).append(event.record)
    total = sum(map(len, sources.values()))
    endless = {source: cycle(records) for source, records in sources.items()}
    sent = dict.fromkeys(sources, 0)
    for _ in range(-(-events // BATCH_EVENTS)):
        # Whoever is furthest behind its share is next.
        source = min(sources, key=lambda one: (sent[one] + 1) * total / len(sources[one]))
        sent[source] += 1
        yield Batch(*source, list(islice(endless[source], BATCH_EVENTS)))


def check(batch: Batch) -> list[CheckedRecord | Rejection]:
    """What the producer makes of a batch's records."""
    return check_records(
        batch.records,
        account_id=batch.account_id,
        regions=REGIONS,
        default_region=batch.region,
        now=START + 10**6,
        new_event_id=lambda _position: random_event_id(),
    )


def least_cpu(work: Callable[[], object], rounds: int) -> float:
    """Seconds of CPU of the fastest of several rounds: what others do on the machine only makes it slower."""
    times = []
    for _ in range(rounds):
        started = time.process_time()
        work()
        times.append(time.process_time() - started)
    return min(times)
