"""Steps 9 and 10: digests wait, with the same bytes, until they are published."""

from __future__ import annotations

import pytest

from opentrail_backends.state.port import Chain, StateError, StateStore
from tests.contracts.state.samples import HOUR, LATER, REGION, START, Clock, chain, current, digest, dump


def test_step_9_the_same_bytes_wait_until_they_are_published(store: StateStore, other: StateStore) -> None:
    store.chains.ensure_chains([chain()])
    built = digest(chain(), kms_key_id="arn:aws:kms:key", body=b"\x00\xff{}")
    store.chains.append(chain(), built, [], LATER, ended=False)
    assert other.chains.unpublished(10) == [built]
    assert other.chains.unpublished(10) == [built]


def test_step_9_digests_come_in_the_order_of_their_chains_and_no_chain_holds_up_another(store: StateStore) -> None:
    """A bucket that takes nothing has the oldest digests; with a limit they are not all that is seen."""
    for name in ("stuck", "busy"):
        store.chains.ensure_chains([chain(name, account_id=name, place=name)])
    for hour in range(1, 12):
        for name in ("stuck", "busy"):
            if name == "stuck" or hour > 9:
                head = current(store, name)
                store.chains.append(head, digest(head, START + hour * HOUR), [], LATER, ended=False)

    waiting = [(built.chain_id, built.sequence) for built in store.chains.unpublished(100)]
    assert waiting[:4] == [("stuck", 1), ("busy", 1), ("stuck", 2), ("busy", 2)]
    assert waiting[4:] == [("stuck", sequence) for sequence in range(3, 12)]
    assert len(store.chains.unpublished(3)) == 3

    store.chains.mark_published("busy", 1)
    store.chains.mark_published("stuck", 1)
    waiting = [(built.chain_id, built.sequence) for built in store.chains.unpublished(2)]
    assert waiting == [("stuck", 2), ("busy", 2)]


def test_step_10_a_published_digest_is_no_longer_waiting_and_its_bytes_are_forgotten(
    store: StateStore, clock: Clock, first: Chain
) -> None:
    store.chains.append(first, digest(first), [], LATER, ended=False)
    head = current(store)
    clock.move(3)
    store.chains.mark_published(first.id, 1)
    before = dump(store)
    clock.move(3)
    store.chains.mark_published(first.id, 1)

    assert dump(store) == before
    assert store.chains.unpublished(10) == []
    assert before["digest"][0]["body"] is None
    assert current(store) == head
    assert store.trail_status("trail-1", REGION)["digest_delivered_at"] == (START + 3) * 1000


@pytest.mark.parametrize(("chain_id", "sequence"), [("chain-1", 2), ("chain-2", 1)])
def test_step_10_only_a_digest_that_was_built_is_published(
    store: StateStore, first: Chain, chain_id: str, sequence: int
) -> None:
    store.chains.append(first, digest(first), [], LATER, ended=False)
    with pytest.raises(StateError, match="no digest"):
        store.chains.mark_published(chain_id, sequence)
