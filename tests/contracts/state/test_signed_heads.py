"""Steps 10 and 11: each chain keeps the signed head of its newest published digest, and knows which one was put."""

from __future__ import annotations

import pytest

from opentrail_backends.state.port import BuiltDigest, Chain, StateError, StateStore
from tests.contracts.state.plans import looks_at_every, plans_of
from tests.contracts.state.samples import HOUR, START, chain, current, digest, dump


def build(store: StateStore, chain_id: str = "chain-1", *, ended: bool = False, **changes: object) -> BuiltDigest:
    head = current(store, chain_id)
    built = digest(head, ended=ended, **changes)
    assert store.chains.append(head, built, [], built.end + HOUR, ended=ended)
    return built


def publish(store: StateStore, built: BuiltDigest, head: bytes | None = None) -> None:
    store.chains.mark_published(built.chain_id, built.sequence, built.signature, head)


def kept(store: StateStore) -> list[tuple[str, int, bytes]]:
    return [(head.chain_id, head.sequence, head.document) for head in store.chains.heads()]


def to_put(store: StateStore) -> list[tuple[str, int]]:
    return [(head.chain_id, head.sequence) for head in store.chains.heads_to_put(10)]


def unsigned(store: StateStore) -> list[tuple[str, int]]:
    return [(built.chain_id, built.sequence) for built in store.chains.unsigned(10)]


def test_step_10_a_digest_is_published_with_its_head(store: StateStore, other: StateStore, first: Chain) -> None:
    built = build(store)
    assert kept(store) == []
    assert unsigned(store) == []
    publish(store, built, b"{head of 1}")
    (head,) = other.chains.heads()
    assert (head.chain_id, head.sequence, head.document) == (first.id, 1, b"{head of 1}")
    assert (head.bucket, head.object_key, head.trail_arn) == (built.bucket, built.object_key, built.trail_arn)
    assert (head.account_id, head.region) == (first.account_id, first.region)
    assert unsigned(other) == []
    assert to_put(other) == [(first.id, 1)]


def test_a_chain_keeps_only_its_newest_head(store: StateStore, first: Chain) -> None:
    one, two = build(store), build(store)
    publish(store, two, b"two")
    publish(store, one, b"one")
    assert kept(store) == [(first.id, 2, b"two")]
    publish(store, two, b"two again")
    assert kept(store) == [(first.id, 2, b"two")], "what was kept is not replaced"


def test_a_digest_that_was_restamped_meanwhile_gets_no_head(store: StateStore, first: Chain) -> None:
    built = build(store)
    store.chains.mark_published(built.chain_id, built.sequence, "another signature", b"head")
    assert kept(store) == unsigned(store) == []


def test_a_withdrawn_digest_never_had_a_head_and_the_next_one_gets_its_own(store: StateStore, first: Chain) -> None:
    publish(store, build(store), b"one")
    build(store)
    assert store.chains.withdraw(first.id) == 1
    assert kept(store) == [(first.id, 1, b"one")]
    four = build(store)
    assert four.sequence == 4, "the withdrawal has taken a number, too"
    publish(store, four, b"four")
    assert kept(store) == [(first.id, 4, b"four")]


def test_a_digest_that_was_published_without_a_head_gets_it_later(store: StateStore, first: Chain) -> None:
    publish(store, build(store), b"one")
    built = build(store, ended=True)
    publish(store, built)
    assert kept(store) == [(first.id, 1, b"one")], "the old one stays until then"
    (waiting,) = store.chains.unsigned(10)
    assert waiting.body == b""
    known = (waiting.sequence, waiting.bucket, waiting.object_key, waiting.start, waiting.end, waiting.ended)
    assert known == (2, built.bucket, built.object_key, built.start, built.end, True)
    signed = (waiting.sha256, waiting.signature, waiting.fingerprint, waiting.trail_arn)
    assert signed == (built.sha256, built.signature, built.fingerprint, built.trail_arn)
    store.chains.keep_head(first.id, 2, b"two")
    assert kept(store) == [(first.id, 2, b"two")]
    assert unsigned(store) == []


def test_only_the_newest_of_several_without_a_head_waits_for_it(store: StateStore, first: Chain) -> None:
    for _ in range(3):
        publish(store, build(store))
    assert unsigned(store) == [(first.id, 3)]


def test_a_head_that_was_signed_late_replaces_no_newer_one_and_none_of_what_is_not_published(
    store: StateStore, first: Chain
) -> None:
    one = build(store)
    store.chains.keep_head(first.id, 1, b"not published")
    assert kept(store) == []
    publish(store, one)
    publish(store, build(store), b"two")
    before = dump(store)
    for sequence in (1, 2, 3):
        store.chains.keep_head(first.id, sequence, b"late")
    store.chains.keep_head("no chain", 1, b"late")
    assert dump(store) == before


def test_step_11_a_head_is_to_be_put_once(store: StateStore, other: StateStore, first: Chain) -> None:
    publish(store, build(store), b"one")
    store.chains.mark_heads_put([(first.id, 1)])
    assert to_put(other) == []
    publish(store, build(store), b"two")
    assert to_put(other) == [(first.id, 2)]
    other.chains.mark_heads_put([(first.id, 1), ("no chain", 7)])
    assert to_put(store) == [(first.id, 2)], "who notes an older one late takes nothing back"
    other.chains.mark_heads_put([(first.id, 2)])
    store.chains.mark_heads_put([(first.id, 1)])
    store.chains.mark_heads_put([])
    assert to_put(store) == []


def test_heads_come_in_pages_by_chain(store: StateStore) -> None:
    for number in range(5):
        store.chains.ensure_chains([chain(f"chain-{number}", account_id=f"{number}" * 12, place=f"place-{number}")])
        publish(store, build(store, f"chain-{number}", trail_arn=f"arn-{9 - number}"), b"%d" % number)
    assert [head.document for head in store.chains.heads_to_put(2)] == [b"0", b"1"]
    assert [head.document for head in store.chains.heads_to_put(9, "chain-1")] == [b"2", b"3", b"4"]
    assert [head.document for head in store.chains.heads()] == [b"4", b"3", b"2", b"1", b"0"], "by trail"
    for number in range(5):
        publish(store, build(store, f"chain-{number}"))
    assert [built.chain_id for built in store.chains.unsigned(2)] == ["chain-0", "chain-1"]
    assert [built.chain_id for built in store.chains.unsigned(9, "chain-3")] == ["chain-4"]


def test_a_chain_that_has_ended_keeps_its_head_also_when_it_starts_again(store: StateStore, first: Chain) -> None:
    publish(store, build(store, ended=True), b"last")
    assert kept(store) == [(first.id, 1, b"last")]
    store.chains.ensure_chains([chain()])
    assert kept(store) == [(first.id, 1, b"last")]
    again = build(store)
    assert not again.ended
    publish(store, again, b"again")
    assert kept(store) == [(first.id, 2, b"again")]


def test_two_incarnations_in_one_place_have_heads_of_their_own(store: StateStore, first: Chain) -> None:
    store.chains.ensure_chains([chain("chain-2", incarnation="trail-2")])
    publish(store, build(store), b"of the first")
    publish(store, build(store, "chain-2"), b"of the second")
    assert {document for *_, document in kept(store)} == {b"of the first", b"of the second"}


def test_whether_a_digest_is_its_chains_last_one_is_kept_with_it(store: StateStore, first: Chain) -> None:
    one, last = build(store), build(store, ended=True)
    assert [built.ended for built in store.chains.unpublished(10)] == [False, True]
    assert [built.ended for built in store.chains.begin_puts([(first.id, 1), (first.id, 2)])] == [False, True]
    assert (one.ended, last.ended) == (False, True)


def test_a_head_of_a_digest_that_is_not_there_is_not_kept(store: StateStore, first: Chain) -> None:
    with pytest.raises(StateError, match="no digest"):
        store.chains.mark_published(first.id, 1, None, b"head")
    assert kept(store) == []


def test_who_looks_for_heads_does_not_look_at_every_chain(store: StateStore) -> None:
    chains = [
        chain(f"chain-{number:04}", account_id=f"{number:012}", place=f"place-{number}", last_end=START)
        for number in range(300)
    ]
    store.chains.ensure_chains(chains)
    with store._transactions.writing() as connection:  # type: ignore[attr-defined]
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("ANALYZE")
    for call in (lambda: store.chains.unsigned(200), lambda: store.chains.heads_to_put(200)):
        plan = plans_of(store, call)
        assert not looks_at_every("chain", plan), plan
        assert "chain_unsigned" in plan or "chain_head_to_put" in plan, plan
