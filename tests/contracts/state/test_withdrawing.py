"""Digests that are taken back: only those that no put can make appear any more."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from threading import Barrier

import pytest

from opentrail_backends.state.port import BuiltDigest, Chain, DigestFailure, StateError, StateStore
from tests.contracts.state.samples import (
    HOUR,
    LATER,
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


def build(store: StateStore, *names: str, ended: bool = False) -> BuiltDigest:
    """The next digest of the chain, with files that are delivered for it."""
    if names:
        delivered(store, names)
    head = current(store)
    built = digest(head, ended=ended)
    assert store.chains.append(head, built, ids(store, head, built.end), built.end + HOUR, ended=ended)
    return built


def refuse(store: StateStore, *digests: BuiltDigest, is_answered: bool = True) -> None:
    """A try of step 9 that failed."""
    keys = [(built.chain_id, built.sequence) for built in digests]
    assert store.chains.begin_puts(keys) == list(digests)
    store.chains.fail_puts([DigestFailure(*key, "AccessDenied", is_answered) for key in keys])


def test_a_withdrawn_digest_leaves_its_files_to_the_next_one_and_links_to_the_one_before(
    store: StateStore, first: Chain, clock: Clock
) -> None:
    published = build(store, "a")
    store.chains.mark_published(first.id, 1)
    before = current(store)
    two, three = build(store, "b", "c"), build(store, "d")
    refuse(store, two, three)
    assert ids(store, first) == []

    assert store.chains.withdraw(first.id) == 2

    chain_now = current(store)
    assert chain_now == replace(before, sequence=4, next_end=three.end + HOUR)
    assert (chain_now.head_signature, chain_now.last_end) == (published.signature, published.end)
    assert store.chains.unpublished(10) == []
    assert len(ids(store, first)) == 3
    assert [row["sequence"] for row in dump(store)["digest"]] == [1]
    again = digest(chain_now)
    assert (again.start, again.sequence) == (published.end, 5)
    assert not store.chains.append(chain_now, replace(again, end=three.end), [], LATER, ended=False), "a used stamp"
    assert store.chains.append(chain_now, again, ids(store, first), LATER, ended=False)
    assert ids(store, first) == []
    assert store.chains.withdraw(first.id) == 1


def test_a_chain_of_which_nothing_is_published_begins_again_where_it_began(store: StateStore, first: Chain) -> None:
    refuse(store, build(store, "a"), build(store))
    assert store.chains.withdraw(first.id) == 2
    assert current(store) == replace(first, sequence=3, next_end=first.next_end + 2 * HOUR)
    assert len(ids(store, first)) == 1


def test_a_chain_that_was_started_again_is_not_linked_to_the_digest_before_its_start(
    store: StateStore, first: Chain
) -> None:
    build(store, "a", ended=True)
    store.chains.mark_published(first.id, 1)
    store.chains.ensure_chains([chain()])
    restarted = current(store)
    refuse(store, build(store, "b"))
    assert store.chains.withdraw(first.id) == 1
    again = current(store)
    assert (again.head_key, again.last_end, again.sequence) == (None, restarted.last_end, 3)


@pytest.mark.parametrize("first_of", ["two", "three"])
def test_a_digest_that_may_still_appear_stays_and_all_before_it(store: StateStore, first: Chain, first_of: str) -> None:
    one, two, three = build(store, "a"), build(store, "b"), build(store, "c")
    refuse(store, one, two, three)
    unanswered = two if first_of == "two" else three
    refuse(store, unanswered, is_answered=False)
    withdrawn = store.chains.withdraw(first.id)
    assert withdrawn == (1 if first_of == "two" else 0)
    left = [one, two] if first_of == "two" else [one, two, three]
    assert store.chains.unpublished(10) == left
    head = current(store)
    assert (head.head_signature, head.last_end) == (left[-1].signature, left[-1].end)
    store.chains.mark_published(first.id, 1)
    assert store.chains.withdraw(first.id) == 0


def test_a_crash_after_begin_keeps_the_digest(store: StateStore, other: StateStore, first: Chain) -> None:
    built = build(store, "a")
    store.chains.begin_puts([(first.id, 1)])
    assert other.chains.withdraw(first.id) == 0
    assert other.chains.unpublished(10) == [built]
    refuse(other, built)
    assert other.chains.withdraw(first.id) == 0, "the first put is still not answered"


def test_an_unknown_chain_and_one_that_has_not_left_are_left_as_they_are(store: StateStore, first: Chain) -> None:
    refuse(store, build(store, "a"))
    before = dump(store)
    assert store.chains.withdraw("nothing") == 0
    assert store.chains.withdraw(first.id, (first.bucket, first.key_prefix, first.organization_id)) == 0
    assert dump(store) == before
    assert store.chains.withdraw(first.id, ("another-bucket", None, None)) == 1


def test_a_chain_that_has_ended_gets_its_last_digest_again(store: StateStore, first: Chain) -> None:
    refuse(store, build(store, "a", ended=True))
    assert store.chains.withdraw(first.id, ("another-bucket", None, None)) == 1
    (due,) = store.chains.due(0, 10)
    assert (due.ending, due.ended, due.head_key) == (True, False, None)
    assert len(store.chains.undigested(due, LATER)) == 1


def test_a_chain_that_is_ending_goes_on_to_its_last_digest(store: StateStore, first: Chain) -> None:
    refuse(store, build(store, "a"))
    store.chains.mark_ending(first.id)
    assert store.chains.withdraw(first.id) == 1
    (due,) = store.chains.due(START, 10)
    assert store.chains.append(due, digest(due, LATER), ids(store, due), LATER, ended=True)
    assert ids(store, first) == []


def test_a_published_digest_and_all_before_it_stay_whatever_was_published_first(
    store: StateStore, first: Chain
) -> None:
    one, two, three = build(store, "a"), build(store, "b"), build(store, "c")
    refuse(store, one, two, three)
    store.chains.mark_published(first.id, 2)
    assert store.chains.withdraw(first.id) == 1
    assert store.chains.unpublished(10) == [one]
    assert current(store).head_signature == two.signature


def test_who_still_has_a_withdrawn_digest_or_the_old_head_can_do_nothing_with_it(
    store: StateStore, other: StateStore, first: Chain
) -> None:
    """Else its bytes would appear in the old bucket, or a digest would link to one that does not exist."""
    built = build(store, "a")
    old_head = current(other)
    refuse(store, built)
    assert store.chains.withdraw(first.id) == 1
    assert other.chains.begin_puts([(first.id, 1)]) == []
    other.chains.fail_puts([DigestFailure(first.id, 1, "AccessDenied", is_answered=False)])
    with pytest.raises(StateError, match="no digest"):
        other.chains.mark_published(first.id, 1)
    assert not other.chains.replace_waiting([built], [replace(built, end=built.end + 1, signature="new")])
    assert not other.chains.append(old_head, digest(old_head), [], LATER, ended=False)
    assert not other.chains.append(first, digest(first, LATER), [], LATER, ended=False)
    assert not other.chains.move(old_head, "new", None, None, "place-2")
    assert store.trail_status("trail-1", REGION)["digest_error"] is None
    replaced = build(store)
    assert replaced.sequence == 3


def test_begin_tells_which_bytes_are_to_be_put_now(store: StateStore, other: StateStore, first: Chain) -> None:
    old, published = build(store, "a"), chain("published", account_id="999999999999", place="place-2")
    store.chains.ensure_chains([published])
    assert store.chains.append(published, digest(published), [], LATER, ended=False)
    store.chains.mark_published("published", 1)
    new = replace(old, object_key="later", end=old.end + 1, signature="new", body=b"{}")
    assert other.chains.replace_waiting([old], [new])
    assert store.chains.begin_puts([("published", 1), (first.id, 1), (first.id, 1)]) == [new]
    assert store.chains.begin_puts([]) == []
    assert store.chains.begin_puts([(first.id, sequence) for sequence in range(2, 12_000)]) == []
    store.chains.fail_puts([])
    store.chains.fail_puts([DigestFailure(first.id, 1, "AccessDenied", is_answered=True)])
    assert store.chains.withdraw(first.id) == 1, "named twice, begun once"


def test_the_error_of_a_digest_is_shown_until_one_is_published(store: StateStore, first: Chain) -> None:
    def error() -> object:
        return store.trail_status("trail-1", REGION)["digest_error"]

    one, two = build(store, "a"), build(store)
    assert error() is None
    refuse(store, one)
    assert error() == "AccessDenied"
    assert store.trail_status("trail-1", "eu-west-1")["digest_error"] is None
    store.chains.mark_published(first.id, 1)
    assert error() is None
    store.chains.fail_puts([DigestFailure(first.id, 1, "late", is_answered=True)])
    assert error() is None, "a try that lost against another process's"
    refuse(store, two)
    assert error() == "AccessDenied"
    assert store.chains.withdraw(first.id) == 1
    assert error() is None


def test_withdraw_against_publishers_and_builders_leaves_one_line(
    store: StateStore, other: StateStore, first: Chain
) -> None:
    """Whoever wins: what a publisher was told to put is never withdrawn, and each file waits or is in one digest."""
    for turn in range(8):
        built = build(store, f"{turn}")
        refuse(store, built)
        start = Barrier(3)

        def publish(built: BuiltDigest = built, start: Barrier = start) -> bool:
            start.wait()
            put = other.chains.begin_puts([(built.chain_id, built.sequence)])
            if put:
                other.chains.mark_published(built.chain_id, built.sequence)
            return bool(put)

        def withdraw(start: Barrier = start) -> int:
            start.wait()
            return store.chains.withdraw(first.id)

        def go_on(start: Barrier = start) -> bool:
            head = current(other)
            start.wait()
            return other.chains.append(head, digest(head), [], head.next_end + HOUR, ended=False)

        with ThreadPoolExecutor(3) as threads:
            published, withdrawn, went_on = (threads.submit(f) for f in (publish, withdraw, go_on))  # type: ignore[arg-type]
            assert published.result() or withdrawn.result() or went_on.result()
        rows = [row for row in dump(store)["digest"] if row["chain_id"] == first.id]
        by_sequence = {row["sequence"]: row for row in rows}
        assert (built.sequence in by_sequence) or withdrawn.result()
        if published.result():
            assert by_sequence[built.sequence]["published_at"] is not None
        for earlier, later in pairwise(rows):
            assert earlier["end"] == later["start"]
        assert (rows[-1]["end"] if rows else first.last_end) == current(store).last_end
        assert (rows[-1]["signature"] if rows else None) == current(store).head_signature
        named = {row["digest"] for row in dump(store)["file"]} - {None}
        assert named <= set(by_sequence)


def test_withdrawn_files_of_many_digests_are_all_free_again(store: StateStore, first: Chain) -> None:
    lease, _ = store.ledger.own(REGION, 5, 0)
    window = intent(1, 0, 10, *(intended_file(f"{part:05}", part=part) for part in range(6000)))
    store.ledger.deliver(store.ledger.write_intent(lease, window), window)
    refuse(store, build(store))
    assert ids(store, first) == []
    assert store.chains.withdraw(first.id) == 1
    assert len(ids(store, first)) == 6000
