"""Steps 1 to 6: what the ledger promises one owner. Two owners: `test_fence.py`."""

from __future__ import annotations

from dataclasses import replace

import pytest

from opentrail.events.client_numbers import ClientNumbers
from opentrail_backends.state.port import KnownTopic, LedgerLost, StateError, StateStore
from tests.contracts.state.samples import (
    ACCOUNT,
    PARKED,
    REGION,
    START,
    Clock,
    chain,
    delivered,
    dump,
    intended_file,
    intent,
)


def test_a_topic_is_recorded_once(store: StateStore) -> None:
    assert store.ledger.known_topic(REGION) is None
    assert store.ledger.record_topic(REGION, "topic-a", 8) == KnownTopic("topic-a", 8)
    assert store.ledger.record_topic(REGION, "topic-b", 4) == KnownTopic("topic-a", 8)
    assert store.ledger.known_topic(REGION) == KnownTopic("topic-a", 8)
    assert store.ledger.known_topic("eu-west-1") is None


def test_step_1_an_unknown_partition_starts_where_it_is_told_and_a_known_one_where_it_was(store: StateStore) -> None:
    first, _ = store.ledger.own(REGION, 3, 17)
    again, _ = store.ledger.own(REGION, 3, 99)

    assert (first.region, first.partition, first.next_offset, first.last_intent) == (REGION, 3, 17, 0)
    assert again.next_offset == 17
    assert again.epoch == first.epoch + 1
    assert again.token != first.token


def test_partitions_of_regions_are_their_own(store: StateStore) -> None:
    delivered(store, ["a"])
    lease, open_intents = store.ledger.own("eu-west-1", 0, 5)
    assert (lease.epoch, lease.next_offset, open_intents) == (1, 5, [])


def test_step_3_an_open_intent_is_given_to_the_next_owner_as_it_was_written(store: StateStore) -> None:
    lease, _ = store.ledger.own(REGION, 0, 0)
    body = {"format": 1, "revisions": [[0, 4], [7, 5]], "text": "ü\x00\U0001f600", "none": None, "big": 2**60, "f": 0.1}
    window = replace(intent(1, 0, 10, intended_file("b", part=1), intended_file("a")), body=body)

    assert store.ledger.write_intent(lease, window) == replace(lease, last_intent=1)

    _, open_intents = store.ledger.own(REGION, 0, 0)
    assert open_intents == [window]


def test_open_intents_come_oldest_first_also_beyond_the_ninth(store: StateStore) -> None:
    lease, _ = store.ledger.own(REGION, 0, 0)
    for number in range(1, 12):
        lease = store.ledger.write_intent(
            lease, intent(number, number * 10 - 10, number * 10, intended_file(str(number)))
        )

    lease, open_intents = store.ledger.own(REGION, 0, 0)
    assert [found.number for found in open_intents] == list(range(1, 12))
    assert (lease.last_intent, lease.next_offset) == (11, 0)


@pytest.mark.parametrize(
    ("number", "first", "end"),
    [(1, 10, 20), (3, 10, 20), (2, 9, 20), (2, 11, 20), (2, 0, 10), (2, 10, 10), (2, 10, 9)],
    ids=["old number", "number left out", "offset twice", "offset left out", "same again", "empty", "backwards"],
)
def test_step_3_an_intent_that_does_not_follow_is_refused_and_leaves_nothing(
    store: StateStore, number: int, first: int, end: int
) -> None:
    lease, _ = store.ledger.own(REGION, 0, 0)
    lease = store.ledger.write_intent(lease, intent(1, 0, 10, intended_file("a")))
    before = dump(store)

    with pytest.raises(StateError) as refused:
        store.ledger.write_intent(lease, intent(number, first, end, intended_file("b")))

    assert not isinstance(refused.value, LedgerLost)
    assert dump(store) == before
    store.ledger.write_intent(lease, intent(2, 10, 20))


def test_a_window_after_a_delivered_one_begins_at_the_next_offset(store: StateStore) -> None:
    lease = delivered(store, ["a"])
    with pytest.raises(StateError, match="begins at offset 11"):
        store.ledger.write_intent(lease, intent(2, 11, 20))
    assert store.ledger.write_intent(lease, intent(2, 10, 20)).last_intent == 2


def test_step_4_a_renamed_file_is_redone_under_its_new_key(store: StateStore) -> None:
    lease, _ = store.ledger.own(REGION, 0, 0)
    first, second = intended_file("a"), intended_file("b", part=1)
    lease = store.ledger.write_intent(lease, intent(1, 0, 10, first, second))

    store.ledger.rename_file(lease, 1, first.object_key, "AWSLogs/c.json.gz")

    _, (window,) = store.ledger.own(REGION, 0, 0)
    assert window.files == [replace(first, object_key="AWSLogs/c.json.gz"), second]


@pytest.mark.parametrize(("number", "key"), [(2, "AWSLogs/a.json.gz"), (1, "AWSLogs/x.json.gz")])
def test_step_4_only_a_file_of_an_open_intent_is_renamed(store: StateStore, number: int, key: str) -> None:
    lease, _ = store.ledger.own(REGION, 0, 0)
    lease = store.ledger.write_intent(lease, intent(1, 0, 10, intended_file("a")))
    with pytest.raises(LedgerLost):
        store.ledger.rename_file(lease, number, key, "AWSLogs/new.json.gz")


def test_step_4_a_delivered_file_keeps_its_key(store: StateStore) -> None:
    lease = delivered(store, ["a"])
    with pytest.raises(LedgerLost):
        store.ledger.rename_file(lease, 1, "AWSLogs/a.json.gz", "AWSLogs/new.json.gz")


def test_step_5_delivers_files_closes_the_intent_and_moves_on(store: StateStore, clock: Clock) -> None:
    lease, _ = store.ledger.own(REGION, 0, 0)
    window = intent(1, 0, 10, intended_file("b"), intended_file("a"))
    lease = store.ledger.write_intent(lease, window)
    assert store.chains.undigested(chain(), START + 1000) == []
    clock.move(7)

    assert store.ledger.deliver(lease, window) == replace(lease, next_offset=10)

    files = store.chains.undigested(chain(), START + 1000)
    assert [(file.object_key, file.delivered_at) for file in files] == [
        ("AWSLogs/a.json.gz", (START + 7) * 1000),
        ("AWSLogs/b.json.gz", (START + 7) * 1000),
    ]
    lease, open_intents = store.ledger.own(REGION, 0, 0)
    assert (lease.next_offset, lease.last_intent, open_intents) == (10, 1, [])


def test_step_5_parked_files_are_not_delivered(store: StateStore) -> None:
    lease, _ = store.ledger.own(REGION, 0, 0)
    window = intent(1, 0, 10, intended_file("a"), intended_file("b"), intended_file("c"))
    lease = store.ledger.write_intent(lease, window)

    lease = store.ledger.deliver(lease, window, parked={"AWSLogs/b.json.gz": PARKED})

    assert [file.object_key for file in store.chains.undigested(chain(), START + 1000)] == [
        "AWSLogs/a.json.gz",
        "AWSLogs/c.json.gz",
    ]
    assert lease.next_offset == 10
    assert [row["state"] for row in dump(store)["file"]] == ["delivered", "parked", "delivered"]


def test_step_5_a_parked_key_that_the_intent_does_not_have_stops_it(store: StateStore) -> None:
    lease, _ = store.ledger.own(REGION, 0, 0)
    window = intent(1, 0, 10, intended_file("a"))
    lease = store.ledger.write_intent(lease, window)
    before = dump(store)
    with pytest.raises(StateError, match="nothing was delivered"):
        store.ledger.deliver(lease, window, parked={"AWSLogs/x.json.gz": PARKED})
    assert dump(store) == before


def test_step_5_twice_is_refused(store: StateStore) -> None:
    lease, _ = store.ledger.own(REGION, 0, 0)
    window = intent(1, 0, 10, intended_file("a"))
    lease = store.ledger.write_intent(lease, window)
    after = store.ledger.deliver(lease, window)
    before = dump(store)

    for stale in (lease, after):
        with pytest.raises(LedgerLost):
            store.ledger.deliver(stale, window)

    assert dump(store) == before


def test_step_5_windows_are_delivered_in_their_order(store: StateStore) -> None:
    lease, _ = store.ledger.own(REGION, 0, 0)
    first, second = intent(1, 0, 10, intended_file("a")), intent(2, 10, 20, intended_file("b"))
    lease = store.ledger.write_intent(store.ledger.write_intent(lease, first), second)
    before = dump(store)

    with pytest.raises(LedgerLost):
        store.ledger.deliver(lease, second)
    assert dump(store) == before

    lease = store.ledger.deliver(store.ledger.deliver(lease, first), second)
    assert lease.next_offset == 20


def test_step_5_an_intent_that_was_never_written_is_refused(store: StateStore) -> None:
    lease, _ = store.ledger.own(REGION, 0, 0)
    lease = store.ledger.write_intent(lease, intent(1, 0, 10, intended_file("a")))
    for wrong in (intent(1, 0, 11), intent(2, 0, 10)):
        with pytest.raises(LedgerLost):
            store.ledger.deliver(lease, wrong)


def test_a_window_that_no_trail_wants_has_no_files_and_is_still_delivered(store: StateStore) -> None:
    lease, _ = store.ledger.own(REGION, 0, 0)
    window = intent(1, 0, 10)
    assert store.ledger.deliver(store.ledger.write_intent(lease, window), window).next_offset == 10


def test_closed_intents_are_forgotten_once_the_next_is_closed(store: StateStore) -> None:
    for _ in range(3):
        delivered(store, ["a"])
    assert [row["number"] for row in dump(store)["intent"]] == [3]
    assert len(dump(store)["file"]) == 3


def test_an_intent_of_5000_files(store: StateStore) -> None:
    lease, _ = store.ledger.own(REGION, 0, 0)
    window = intent(1, 0, 10, *(intended_file(f"{part:04}", part=part) for part in range(5000)))
    lease = store.ledger.write_intent(lease, window)
    _, open_intents = store.ledger.own(REGION, 0, 0)
    assert open_intents == [window]
    lease, _ = store.ledger.own(REGION, 0, 0)
    store.ledger.deliver(lease, window, parked={file.object_key: PARKED for file in window.files[:2500]})
    assert len(store.chains.undigested(chain(), START + 1)) == 2500


def test_windows_show_where_each_partition_stands(store: StateStore, clock: Clock) -> None:
    delivered(store, ["a"], partition=1)
    lease, _ = store.ledger.own("eu-west-1", 0, 4)
    lease = store.ledger.write_intent(lease, intent(1, 4, 9))
    store.ledger.write_intent(lease, intent(2, 9, 12))
    assert store.ledger.windows() == [
        {"region": "eu-west-1", "partition": 0, "next_offset": 4, "open_intents": 2, "last_delivered_at": None},
        {"region": REGION, "partition": 1, "next_offset": 10, "open_intents": 0, "last_delivered_at": START * 1000},
    ]


def test_a_trails_status_is_its_newest_delivery_in_the_region_over_all_partitions(
    store: StateStore, clock: Clock
) -> None:
    assert set(store.trail_status("trail-1", REGION).values()) == {None}
    delivered(store, ["a"], partition=0)
    clock.move(10)
    delivered(store, ["b"], partition=1)
    clock.move(10)
    delivered(store, ["c"], partition=0, incarnation="trail-2")
    assert store.trail_status("trail-1", REGION)["delivered_at"] == (START + 10) * 1000
    assert store.trail_status("trail-2", REGION)["delivered_at"] == (START + 20) * 1000
    assert store.trail_status("trail-1", "eu-west-1")["delivered_at"] is None


def test_a_window_whose_files_are_all_parked_is_no_delivery_of_the_trail(store: StateStore) -> None:
    lease, _ = store.ledger.own(REGION, 0, 0)
    window = intent(1, 0, 10, intended_file("a"))
    store.ledger.deliver(store.ledger.write_intent(lease, window), window, parked={"AWSLogs/a.json.gz": PARKED})
    assert store.trail_status("trail-1", REGION)["delivered_at"] is None


def test_step_5_writes_what_a_window_changed_of_its_clients(store: StateStore) -> None:
    lease, _ = store.ledger.own(REGION, 0, 0)
    written = store.ledger.write_intent(lease, intent(1, 0, 10))
    first = {
        (ACCOUNT, b"a" * 16): ClientNumbers(7, ((0, 1), (4, 4)), 0, 5),
        (ACCOUNT, b"b" * 16): ClientNumbers(2**62, (), 3, 6),
        ("444455556666", b"a" * 16): ClientNumbers(1),
    }
    assert store.ledger.client_numbers(REGION, ACCOUNT) == {}
    written = store.ledger.deliver(written, intent(1, 0, 10), numbers=first)
    assert store.ledger.client_numbers(REGION, ACCOUNT) == {key: n for (_, key), n in first.items() if n.seen_at}
    assert store.ledger.client_numbers("eu-west-9", ACCOUNT) == {}
    following = intent(2, 10, 20)
    newest = store.ledger.write_intent(written, following)
    changed = {(ACCOUNT, b"a" * 16): ClientNumbers(9), (ACCOUNT, b"b" * 16): None, (ACCOUNT, b"c" * 16): None}
    store.ledger.deliver(newest, following, numbers=changed)
    assert store.ledger.client_numbers(REGION, ACCOUNT) == {b"a" * 16: ClientNumbers(9)}


def test_a_lost_owner_changes_nothing_of_the_clients(store: StateStore) -> None:
    lease, _ = store.ledger.own(REGION, 0, 0)
    written = store.ledger.write_intent(lease, intent(1, 0, 10))
    store.ledger.own(REGION, 0, 0)
    with pytest.raises(LedgerLost):
        store.ledger.deliver(written, intent(1, 0, 10), numbers={(ACCOUNT, b"a" * 16): ClientNumbers(1)})
    assert store.ledger.client_numbers(REGION, ACCOUNT) == {}
