"""Event history: how fast events enter the index, how large it gets, how long a lookup takes, on each database.

python -m benchmarks.event_history --events 2000000
"""

from __future__ import annotations

import argparse
import itertools
import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Connection, create_engine, text

from benchmarks.cluster import Spread
from opentrail.events.lookup import LookupKey, lookup_attributes, lookup_fields
from opentrail_backends.state import open_state_store
from opentrail_backends.state.port import EventHistory, HistoryCategory, HistoryEvent, HistoryQuery, StateStore
from opentrail_cli.realistic_events import GeneratedEvent, realistic_events
from tests.servers import postgresql
from tests.servers.session import ServerSession

_DAY = 86_400
_DAYS = 89
"""Over which the events are spread, up to now."""
_BATCH = 5_000
"""Events that the indexer adds at once when it is behind."""
_GENERATED = 20_000
"""Events of the generator at once, with sessions, keys and resources of their own; three of four are management's."""
_PAGE = 51
"""What LookupEvents reads for a page of 50: one more tells whether there is a next page."""
_SAMPLE = 20_000
_MANAGEMENT = b'"eventCategory":"Management"'


@dataclass
class Database:
    """An index under measurement."""

    name: str
    store: StateStore
    url: str
    events: int = 0
    seconds: float = 0.0
    cpu: float = 0.0

    @property
    def history(self) -> EventHistory:
        """The index itself."""
        return self.store.history

    def add(self, events: Sequence[HistoryEvent]) -> None:
        """Adds what would have been read from the bus."""
        position = self.events or None
        started, cpu = time.perf_counter(), time.process_time()
        added = self.history.add("us-east-1", 0, "topic", (position, self.events + len(events)), events)
        self.seconds += time.perf_counter() - started
        self.cpu += time.process_time() - cpu
        assert added == len(events)
        self.events += added

    def size(self) -> int:
        """Bytes on disk."""
        engine = create_engine(self.url)
        with engine.connect() as connection:
            size = _size_on_postgresql(connection) if self.name == "PostgreSQL" else _size_on_sqlite(connection)
        engine.dispose()
        return size


def _size_on_postgresql(connection: Connection) -> int:
    tables = "SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relkind = 'r' AND relname LIKE 'history%'"
    return int(connection.execute(text(tables)).scalar_one())


def _size_on_sqlite(connection: Connection) -> int:
    connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    return Path(str(connection.engine.url.database)).stat().st_size


@dataclass
class Workload:
    """Events as the indexer has them after reading, oldest first, and a sample of them to look up."""

    total: int
    cpu: float = 0.0
    """Seconds that reading the records took."""
    record_bytes: int = 0
    attributes: int = 0
    sample: list[HistoryEvent] = field(default_factory=list)

    def batches(self) -> Iterator[Sequence[HistoryEvent]]:
        """All events, as many at once as the indexer adds."""
        chance = random.Random(1)
        generated = _management_events(self.total)
        for count in itertools.count():
            batch = list(itertools.islice(generated, _BATCH))
            if not batch:
                return
            started = time.process_time()
            events = [_read(one) for one in batch]
            self.cpu += time.process_time() - started
            self.record_bytes += sum(len(event.record) for event in events)
            self.attributes += sum(len(event.attributes) for event in events)
            self.sample += chance.sample(events, min(len(events), max(1, _SAMPLE * _BATCH // self.total)))
            if count % 40 == 39:
                print(f"  {(count + 1) * _BATCH:,} events", flush=True)
            yield events


def _management_events(total: int) -> Iterator[GeneratedEvent]:
    """Management events over the last days, each in its time; four accounts, two regions."""
    rounds = -(-total // (_GENERATED * 3 // 4))
    span = _DAYS * _DAY // rounds
    start = int(time.time()) - _DAYS * _DAY
    everything = (
        event
        for number in range(rounds)
        for event in realistic_events(number, start + number * span, events=_GENERATED, seconds=span)
        if _MANAGEMENT in event.record
    )
    return itertools.islice(everything, total)


def _read(event: GeneratedEvent) -> HistoryEvent:
    fields = lookup_fields(event.record)
    return HistoryEvent(
        account_id=event.account_id,
        region=event.region,
        category=HistoryCategory.MANAGEMENT,
        event_id=fields.event_id,
        event_time=event.time,
        attributes=lookup_attributes(fields),
        record=event.record,
    )


def run(events: int = 200_000, lookups: int = 500) -> None:
    """Builds an index of so many events on both databases and looks up; prints what it took."""
    with ExitStack() as stack:
        session = ServerSession.begin()
        stack.callback(session.end, keep_logs=False)
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="opentrail-bench-"))
        urls = {
            "SQLite": f"sqlite:///{Path(folder)}/state.db",
            "PostgreSQL": postgresql.shared(session).new_database(),
        }
        databases = []
        for name, url in urls.items():
            store = open_state_store(url)
            stack.callback(store.close)
            store.migrate()
            databases.append(Database(name, store, url))
        workload = Workload(events)
        for batch in workload.batches():
            for database in databases:
                database.add(batch)
        _print_building(workload, databases)
        for database in databases:
            _print_lookups(database, workload, lookups)


def _print_building(workload: Workload, databases: Sequence[Database]) -> None:
    count = databases[0].events
    print(f"\n{count:,} management events over {_DAYS} days, {workload.record_bytes / count:,.0f} B and ", end="")
    print(f"{workload.attributes / count:.1f} lookup attributes each; added {_BATCH:,} at once")
    print(f"reading a record: {workload.cpu / count * 1e6:.1f} µs of CPU\n")
    for database in databases:
        rows = workload.attributes + count  # a posting for each attribute but the id, one for none, one for the id
        per_event = database.size() / count
        print(
            f"{database.name:12} {count / database.seconds:8,.0f} events/s   {rows / database.seconds:9,.0f} rows/s   "
            f"{database.cpu / count * 1e6:5.1f} µs of our CPU   {per_event:6,.0f} B an event on disk"
        )
        together = workload.cpu / count + database.seconds / count
        print(f"{'':12} {1 / together:8,.0f} events/s with reading")


def _print_lookups(database: Database, workload: Workload, lookups: int) -> None:
    print(f"\n{database.name}: {lookups} lookups each, a page of 50")
    chance = random.Random(2)
    kinds = [*LookupKey, "none", "none, an hour", "EventName, a day", "EventName, third page", "nothing there"]
    for kind in kinds:
        times, found = [], 0
        for _ in range(lookups):
            seconds, count = _look_up(database.history, chance.choice(workload.sample), kind, chance)
            times.append(seconds)
            found += count
        print(f"  {kind:22} {Spread.of(times)}   {found / lookups:5.1f} events", flush=True)


def _look_up(history: EventHistory, event: HistoryEvent, kind: str, chance: random.Random) -> tuple[float, int]:
    """The seconds of a lookup that finds this event or newer ones like it, and how many it found."""
    attribute: tuple[str, str] | None = None
    if kind in set(LookupKey) or kind.startswith("EventName"):
        key = kind.partition(",")[0]
        values = [value for name, value in event.attributes if name == key]
        if not values:
            values = ["no event has this"]
        attribute = key, chance.choice(values)
    elif kind == "nothing there":
        attribute = LookupKey.RESOURCE_NAME.value, f"nothing-{chance.random()}"
    reach = {"none, an hour": 1_800, "EventName, a day": _DAY // 2}.get(kind)
    query = HistoryQuery(
        account_id=event.account_id,
        region=event.region,
        attribute=attribute,
        start=0 if reach is None else event.event_time - reach,
        end=1 << 40 if reach is None else event.event_time + reach,
    )
    after = None
    if kind.endswith("third page"):
        for _ in range(2):
            before = history.lookup(query, _PAGE - 1, after)
            after = before[-1].cursor if before else after
    started = time.perf_counter()
    found = history.lookup(query, _PAGE, after)
    return time.perf_counter() - started, len(found)


def main() -> None:
    """How event history fills, grows and answers."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.event_history", description=main.__doc__)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--lookups", type=int, default=500, help="for each attribute")
    given = parser.parse_args()
    run(given.events, given.lookups)


if __name__ == "__main__":
    main()
