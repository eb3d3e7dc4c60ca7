"""Event history against the plainest thing that could be one: a list of events that is gone through at each lookup."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opentrail_backends.state import open_state_store
from opentrail_backends.state.port import StateStore
from opentrail_backends.state.port.event_history import HistoryCategory, HistoryCursor, HistoryEvent, HistoryQuery

NOW = 1_760_000_000
DAY = 24 * 3600
TIMES = st.sampled_from([NOW - days * DAY - second for days in (0, 1, 6, 7, 8, 20, 89, 90, 91) for second in (0, 1)])
VALUES = st.sampled_from(["a", "b", "a\0", "", "é"])
KEYS = st.sampled_from(["EventName", "ResourceName"])
ACCOUNTS, REGIONS = st.sampled_from(["111122223333", "444455556666"]), st.sampled_from(["us-east-1", "us-east-1x"])


@st.composite
def events(draw: st.DrawFn) -> HistoryEvent:
    event_id = draw(st.sampled_from("abcdefgh"))
    attributes = draw(st.lists(st.tuples(KEYS, VALUES), max_size=4))
    return HistoryEvent(
        account_id=draw(ACCOUNTS),
        region=draw(REGIONS),
        category=draw(st.sampled_from(HistoryCategory)),
        event_id=event_id,
        event_time=draw(TIMES),
        attributes=[("EventId", event_id), *attributes],
        record=draw(st.binary(max_size=10)),
    )


@st.composite
def queries(draw: st.DrawFn) -> HistoryQuery:
    attribute = st.tuples(KEYS, VALUES) | st.tuples(st.just("EventId"), st.sampled_from("abcdefgh"))
    return HistoryQuery(
        account_id=draw(ACCOUNTS),
        region=draw(REGIONS),
        category=draw(st.sampled_from(HistoryCategory)),
        attribute=draw(st.none() | attribute),
        start=draw(TIMES | st.just(0)),
        end=draw(TIMES | st.just(NOW + DAY)),
    )


class Plain(NamedTuple):
    """All events that came, in their order."""

    events: list[HistoryEvent]

    def add(self, event: HistoryEvent) -> bool:
        known = {(one.account_id, one.region, one.event_id) for one in self.events}
        is_new = (event.account_id, event.region, event.event_id) not in known and event.event_time >= NOW - 90 * DAY
        if is_new:
            self.events.append(event)
        return is_new

    def lookup(self, query: HistoryQuery) -> list[bytes]:
        matching = [
            event
            for event in self.events
            if (event.account_id, event.region, event.category) == (query.account_id, query.region, query.category)
            and (query.attribute is None or query.attribute in event.attributes)
            and query.start <= event.event_time <= query.end
        ]
        matching.reverse()  # of one second, what came last is first
        return [one.record for one in sorted(matching, key=lambda one: -one.event_time)]


@pytest.fixture(scope="module")
def store() -> Iterator[StateStore]:
    opened = open_state_store("sqlite://", clock=lambda: NOW * 1000)
    opened.migrate()
    yield opened
    opened.close()


@given(batches=st.lists(st.lists(events(), max_size=8), max_size=4), asked=st.lists(queries(), min_size=1, max_size=6))
def test_a_lookup_gives_what_going_through_all_events_gives(
    store: StateStore, batches: Sequence[Sequence[HistoryEvent]], asked: Sequence[HistoryQuery]
) -> None:
    store.history.forget(1 << 40)
    plain = Plain([])
    for batch in batches:
        position = store.history.position("us-east-1", 0, "topic")
        added = store.history.add("us-east-1", 0, "topic", (position, (position or 0) + 1), batch)
        assert added == sum(plain.add(event) for event in batch)
    for query in asked:
        assert everything(store, query, page=3) == everything(store, query, page=100) == plain.lookup(query)


def everything(store: StateStore, query: HistoryQuery, page: int) -> list[bytes]:
    records: list[bytes] = []
    after: HistoryCursor | None = None
    while found := store.history.lookup(query, page, after):
        records += [one.record for one in found]
        after = found[-1].cursor
    return records
