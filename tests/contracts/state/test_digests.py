"""Step 8: the head moves once, and each file is in one digest only."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier
from typing import Any

import pytest

from opentrail_backends.state.port import Chain, StateError, StateStore
from tests.contracts.state.samples import (
    BUCKET,
    HOUR,
    LATER,
    PARKED,
    REGION,
    START,
    Clock,
    chain,
    current,
    delivered,
    digest,
    dump,
    ids,
    intended_file,
    intent,
)


def test_step_8_moves_the_head_and_marks_exactly_the_named_files(store: StateStore, first: Chain) -> None:
    delivered(store, ["a", "b", "c"])
    a, b, c = ids(store, first)
    built = digest(first)

    assert store.chains.append(first, built, [a, c], first.next_end + HOUR, ended=False)

    assert ids(store, first) == [b]
    assert current(store) == replace(
        first,
        sequence=1,
        last_end=built.end,
        next_end=built.end + HOUR,
        head_bucket=BUCKET,
        head_key=built.object_key,
        head_sha256=built.sha256,
        head_signature=built.signature,
    )
    assert store.chains.unpublished(10) == [built]


def test_step_8_twice_moves_nothing(store: StateStore, first: Chain) -> None:
    delivered(store, ["a", "b"])
    assert store.chains.append(first, digest(first), ids(store, first)[:1], first.next_end + HOUR, ended=False)
    before = dump(store)
    assert not store.chains.append(first, digest(first), [], first.next_end + HOUR, ended=False)
    assert not store.chains.append(first, digest(first, LATER), ids(store, first), LATER + HOUR, ended=True)
    assert dump(store) == before


def test_step_8_of_builders_that_race_one_appends(store: StateStore, other: StateStore, first: Chain) -> None:
    delivered(store, ["a", "b"])
    file_ids = ids(store, first)
    racers = 6
    start = Barrier(racers)

    def build(index: int) -> bool:
        built = digest(first, first.next_end + index, object_key=f"digest-{index}")
        start.wait()
        return (store, other)[index % 2].chains.append(first, built, file_ids, LATER, ended=False)

    with ThreadPoolExecutor(racers) as threads:
        won = list(threads.map(build, range(racers)))

    assert won.count(True) == 1
    (built,) = store.chains.unpublished(10)
    assert built.object_key == f"digest-{won.index(True)}" == current(store).head_key
    assert current(store).last_end == built.end
    assert ids(store, first) == []


def test_step_8_two_builders_that_go_on_make_one_line(store: StateStore, other: StateStore, first: Chain) -> None:
    names = [f"{n:02}" for n in range(12)]
    delivered(store, names)

    def build(own_store: StateStore) -> None:
        for _ in range(10):
            head = current(own_store)
            taken = [file.id for file in own_store.chains.undigested(head, LATER)][:1]
            own_store.chains.append(head, digest(head), taken, head.next_end + HOUR, ended=False)

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(build, (store, other)))

    digests = store.chains.unpublished(100)
    assert [built.sequence for built in digests] == list(range(1, len(digests) + 1))
    assert [built.start for built in digests[1:]] == [built.end for built in digests[:-1]]
    marked = [row["digest"] for row in dump(store)["file"] if row["digest"] is not None]
    assert sorted(marked) == list(range(1, min(12, len(digests)) + 1))


@pytest.mark.parametrize(
    "unfit", ["in a digest", "of another chain", "not delivered", "unknown", "delivered at the end", "parked"]
)
def test_step_8_a_file_that_does_not_belong_in_the_digest_stops_it(
    store: StateStore, clock: Clock, first: Chain, unfit: str
) -> None:
    delivered(store, ["good"])
    (good,) = ids(store, first)
    clock.move(1)
    end = first.next_end
    if unfit == "in a digest":
        delivered(store, ["bad"])
        (bad,) = (id_ for id_ in ids(store, first) if id_ != good)
        assert store.chains.append(first, digest(first, START + 1800), [bad], end, ended=False)
    elif unfit == "of another chain":
        delivered(store, ["bad"], account_id="999999999999")
        (bad,) = ids(store, chain(account_id="999999999999"))
    elif unfit == "delivered at the end":
        clock.move(end - START - 1)
        delivered(store, ["bad"])
        (bad,) = (id_ for id_ in ids(store, first) if id_ != good)
    elif unfit == "unknown":
        bad = good + 1000
    else:
        lease, _ = store.ledger.own(REGION, 1, 0)
        window = intent(1, 0, 10, intended_file("bad"))
        lease = store.ledger.write_intent(lease, window)
        if unfit == "parked":
            store.ledger.deliver(lease, window, parked={"AWSLogs/bad.json.gz": PARKED})
        bad = max(row["id"] for row in dump(store)["file"])
    head = current(store)
    before = dump(store)

    with pytest.raises(StateError, match="nothing was written"):
        store.chains.append(head, digest(head, end), [good, bad], end + HOUR, ended=False)

    assert dump(store) == before
    assert store.chains.append(head, digest(head, end), [good], end + HOUR, ended=False)


@pytest.mark.parametrize(
    "wrong",
    [{"sequence": 0}, {"sequence": 2}, {"chain_id": "chain-2"}, {"end": START}, {"end": START - 1}],
    ids=["same sequence", "sequence left out", "another chain", "empty time", "backwards"],
)
def test_step_8_a_digest_that_does_not_follow_is_refused(
    store: StateStore, first: Chain, wrong: dict[str, Any]
) -> None:
    before = dump(store)
    with pytest.raises(StateError, match="cannot follow"):
        store.chains.append(first, replace(digest(first), **wrong), [], LATER, ended=False)
    assert dump(store) == before


def test_step_8_stamps_of_a_place_rise_over_all_its_chains(store: StateStore, first: Chain) -> None:
    """Two sessions of one trail are due at the same second: the second one's key would be the first one's."""
    store.chains.ensure_chains([chain("session-2", logging_session=2)])
    second = current(store, "session-2")
    assert second.next_end == first.next_end
    assert store.chains.append(first, digest(first), [], first.next_end + HOUR, ended=True)
    before = dump(store)

    assert not store.chains.append(second, digest(second), [], second.next_end + HOUR, ended=False)
    assert not store.chains.append(second, digest(second, second.next_end - 5), [], LATER, ended=False)
    assert dump(store) == before

    again = current(store, "session-2")
    assert again.next_end == first.next_end + 1
    assert store.chains.due(first.next_end, 10) == []
    assert store.chains.due(first.next_end + 1, 10) == [again]
    assert store.chains.append(again, digest(again), [], again.next_end + HOUR, ended=False)


def test_step_8_a_digest_of_20000_files(store: StateStore, first: Chain) -> None:
    for window in range(4):
        delivered(store, [f"{window}-{n:04}" for n in range(5000)])
    file_ids = ids(store, first)
    assert len(file_ids) == 20_000
    assert store.chains.append(first, digest(first), file_ids, LATER, ended=False)
    assert ids(store, first) == []
