"""Event history: what was added is found by each of its attributes, newest first, by its own account only."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import inspect

from opentrail_backends.state.port import StateStore
from opentrail_backends.state.port.event_history import HistoryCategory, HistoryMoved
from tests.contracts.state.history_samples import DAY, TOPIC, WEEK, add, event, found, names, pages, query
from tests.contracts.state.plans import looks_at_every, plans_of
from tests.contracts.state.samples import ACCOUNT, REGION, START, Clock
from tests.contracts.state.test_statements import statements

INSIGHT = HistoryCategory.INSIGHT
OTHER_ACCOUNT = "444455556666"


@pytest.fixture(autouse=True)
def without_tables_of_weeks(store: StateStore) -> Iterator[None]:
    """PostgreSQL's database is that of all tests, which only removes rows."""
    yield
    store.history.forget(1 << 40)


def tables_of_weeks(store: StateStore) -> set[str]:
    with store._transactions.reading() as connection:  # type: ignore[attr-defined]
        return {name for name in inspect(connection).get_table_names() if name[-1].isdigit() and "history_" in name}


# --- What is found


def test_an_event_is_found_by_each_of_its_attributes(store: StateStore) -> None:
    attributes = [("EventName", "GetUser"), ("ResourceName", "a, b"), ("ResourceName", "ü\0"), ("Username", "root")]
    assert add(store, event("one", 0, *attributes), event("two", 1, ("EventName", "ListUsers"))) == 2
    for attribute in [*attributes, ("EventId", "one")]:
        assert found(store, attribute) == ["one"]
    assert found(store, ("EventName", "ListUsers")) == ["two"]
    assert found(store) == ["two", "one"]
    for attribute in [("EventName", "getuser"), ("Username", "GetUser"), ("EventId", "three"), ("", "x"), ("x", "")]:
        assert found(store, attribute) == []


def test_the_newest_come_first_and_of_one_second_those_that_came_last(store: StateStore) -> None:
    add(store, event("a", 10), event("b", 20), event("c", 10))
    add(store, event("d", 10), event("e", -WEEK), event("f", 3 * DAY - 4 * WEEK))
    assert found(store) == ["b", "d", "c", "a", "e", "f"]


def test_cursors_tell_time_and_order(store: StateStore) -> None:
    add(store, event("a", 10), event("b", -WEEK), event("c", 10))
    events = store.history.lookup(query(), 10)
    assert names(events) == ["c", "a", "b"]
    assert [one.cursor.event_time for one in events] == [START + 10, START + 10, START - WEEK]
    assert sorted((one.cursor for one in events), reverse=True) == [one.cursor for one in events]


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (START - 10, START + 10, ["late", "now", "early"]),
        (START - 9, START + 9, ["now"]),
        (START, START, ["now"]),
        (START + 11, START + 20, []),
        (START + 1, START - 1, []),
        (-(10**9), START - 10, ["early", "a week ago"]),
        (START - WEEK, START - WEEK, ["a week ago"]),
    ],
)
def test_a_range_of_times_has_both_its_ends(store: StateStore, start: int, end: int, expected: list[str]) -> None:
    add(store, event("early", -10), event("now"), event("late", 10), event("a week ago", -WEEK))
    assert found(store, start=start, end=end) == expected


def test_nobody_sees_another_account_or_region_or_category(store: StateStore) -> None:
    mine = ("EventName", "GetUser")
    add(store, event("mine", 0, mine))
    add(store, event("theirs", 0, mine, account_id=OTHER_ACCOUNT), event("abroad", 0, mine, region="eu-west-1"))
    add(store, event("strange", 0, mine, category=INSIGHT))
    assert found(store, mine) == found(store) == ["mine"]
    assert found(store, ("EventId", "mine")) == ["mine"]
    for attribute in (mine, None):
        assert found(store, attribute, account_id=OTHER_ACCOUNT) == ["theirs"]
        assert found(store, attribute, region="eu-west-1") == ["abroad"]
        assert found(store, attribute, category=INSIGHT) == ["strange"]
    for name in ("theirs", "abroad", "strange"):
        assert found(store, ("EventId", name)) == []
    # The parts of what is asked for cannot be moved from one to the next.
    assert found(store, account_id=f"{ACCOUNT}u", region="s-east-1") == []
    assert found(store, ("EventNameG", "etUser")) == []


def test_records_come_back_whole_however_many_and_large(store: StateStore) -> None:
    large = bytes(range(256)) * 1_024
    events = [event(f"{n}", n, record=b"%d" % n) for n in range(300)]
    add(store, *events, event("large", 300, record=large), event("empty", 301, record=b""))
    newest, second, *rest = store.history.lookup(query(), 1_000)
    assert (newest.record, second.record) == (b"", large)
    assert [int(one.record) for one in rest] == list(range(299, -1, -1))


def test_an_attribute_that_comes_twice_counts_once(store: StateStore) -> None:
    add(store, event("a", 0, ("ResourceName", "x"), ("ResourceName", "x")))
    assert found(store, ("ResourceName", "x")) == ["a"]


# --- What is left out


def test_the_first_event_of_an_id_wins(store: StateStore) -> None:
    first = event("first", event_id="id")
    assert add(store, first, event("in the same batch", event_id="id")) == 1
    assert add(store, event("later", event_id="id"), event("new")) == 1
    assert add(store, event("in another week", -3 * WEEK, event_id="id")) == 0
    assert add(store, event("insight", event_id="id", category=INSIGHT), partition=1) == 0
    assert add(store, first) == 0
    assert found(store) == ["new", "first"]
    assert found(store, ("EventId", "id")) == ["first"]
    assert add(store, event("theirs", event_id="id", account_id=OTHER_ACCOUNT)) == 1
    assert add(store, event("abroad", event_id="id", region="eu-west-1")) == 1


def test_what_is_too_old_or_too_far_in_the_future_is_left_out(store: StateStore) -> None:
    ages = {"old": -90 * DAY - 1, "just": -90 * DAY, "soon": 30 * 60, "never": 30 * 60 + 1}
    assert add(store, *(event(name, at) for name, at in ages.items()), event("9999", 250 * 10**9)) == 2
    assert found(store) == ["soon", "just"]


def test_what_has_become_too_old_is_not_found(store: StateStore, clock: Clock) -> None:
    add(store, event("a", 0, ("Username", "x")), event("b", 60, ("Username", "x")))
    clock.move(90 * DAY)
    assert found(store, ("Username", "x")) == ["b", "a"]
    clock.move(1)
    assert found(store, ("Username", "x")) == found(store) == ["b"]
    assert found(store, ("EventId", "a")) == []


# --- Positions


def test_a_position_belongs_to_a_partition_of_a_topic(store: StateStore) -> None:
    history = store.history
    assert history.position(REGION, 0, TOPIC) is None
    assert history.add(REGION, 0, TOPIC, (None, 5), [event("a")]) == 1
    assert history.add(REGION, 0, TOPIC, (5, 9), []) == 0
    assert history.add(REGION, 1, TOPIC, (None, 3), []) == 0
    assert history.add("eu-west-1", 0, TOPIC, (None, 4), []) == 0
    assert history.add(REGION, 0, "made anew", (None, 1), []) == 0
    positions = [("us-east-1", 0, TOPIC), ("us-east-1", 1, TOPIC), ("eu-west-1", 0, TOPIC), (REGION, 0, "made anew")]
    assert [history.position(*place) for place in positions] == [9, 3, 4, 1]
    assert history.add(REGION, 0, TOPIC, (9, 2), []) == 0  # the log was cut: what is there is indexed from its start
    assert history.position(REGION, 0, TOPIC) == 2


@pytest.mark.parametrize("before", [None, 4, 6])
def test_who_holds_an_old_position_writes_nothing(store: StateStore, before: int | None) -> None:
    store.history.add(REGION, 0, TOPIC, (None, 5), [event("a")])
    with pytest.raises(HistoryMoved):
        store.history.add(REGION, 0, TOPIC, (before, 9), [event("b")])
    assert store.history.position(REGION, 0, TOPIC) == 5
    assert found(store) == ["a"]


def test_the_first_of_a_topic_cannot_expect_a_position(store: StateStore) -> None:
    with pytest.raises(HistoryMoved):
        store.history.add(REGION, 0, TOPIC, (0, 9), [event("b")])
    assert store.history.position(REGION, 0, TOPIC) is None
    assert found(store) == []


# --- Pages


def test_pages_hold_each_event_once_while_new_ones_come(store: StateStore) -> None:
    some = ("Username", "x")
    add(store, *(event(f"{n}", n // 7, some) for n in range(40)), *(event(f"old {n}", n - WEEK) for n in range(5)))
    for attribute, expected in ((some, 40), (None, 45)):
        before = found(store, attribute)
        seen: list[str] = []
        for number, page in enumerate(pages(store.history, query(attribute), 6)):
            seen += names(page)
            add(store, *(event(f"new {attribute} {number} {at}", at, some) for at in (3, 100)))
        assert len(before) >= expected
        assert [name for name in seen if name in before] == before
        assert len(set(seen)) == len(seen)


def test_a_page_is_short_only_at_the_end(store: StateStore) -> None:
    add(store, *(event(f"{n}", -n * 3 * DAY) for n in range(20)))
    assert [len(page) for page in pages(store.history, query(), 8)] == [8, 8, 4]
    assert [len(page) for page in pages(store.history, query(start=START - 9 * DAY), 3)] == [3, 1]


def test_a_lookup_reads_no_more_than_it_needs(store: StateStore) -> None:
    for week in range(4):
        add(store, *(event(f"{week} {n}", -week * WEEK - n, ("Username", f"{n % 50}")) for n in range(500)))
    if store._transactions.is_postgresql:  # type: ignore[attr-defined]
        with store._transactions.writing() as connection:  # type: ignore[attr-defined]
            connection.exec_driver_sql("ANALYZE")
    for attribute in (None, ("Username", "7"), ("EventId", "2 7")):
        plan = plans_of(store, lambda asked=attribute: store.history.lookup(query(asked), 50))  # type: ignore[misc]
        assert not any(looks_at_every(table, plan) for table in tables_of_weeks(store)), plan


def test_a_lookup_takes_few_statements_however_many_weeks_there_are(store: StateStore) -> None:
    add(store, *(event(f"{week} {n}", -week * WEEK - n, ("Username", f"{n}")) for week in range(12) for n in range(9)))
    for attribute, limit, most in (
        (None, 9, 4),
        (None, 200, 5),
        (("Username", "7"), 50, 5),
        (("EventId", "9 7"), 50, 4),
    ):
        asked = query(attribute)
        said = statements(store, lambda asked=asked, limit=limit: store.history.lookup(asked, limit))  # type: ignore[misc]
        assert len(said) == most, said


# --- Retention


def test_forgetting_drops_the_tables_of_whole_weeks(store: StateStore) -> None:
    start_of_week = START - START % WEEK
    add(store, event("old", -3 * WEEK), event("last", event_time=start_of_week - 1), event("now"))
    assert len(tables_of_weeks(store)) == 9
    assert store.history.forget(start_of_week - 1) == 3
    assert found(store) == ["now", "last"]
    assert len(tables_of_weeks(store)) == 6
    assert store.history.forget(start_of_week - 1) == 0
    assert store.history.forget(start_of_week) == 3
    assert found(store) == ["now"]
    assert add(store, event("late", -3 * WEEK)) == 1  # its week is made again
    assert found(store) == ["now", "late"]


def test_an_empty_history_has_nothing_to_find_or_forget(store: StateStore) -> None:
    assert found(store) == []
    assert store.history.forget(START) == 0
