"""Step 11 where somebody has put something else at a head's place: it is left alone, and holds up no other head."""

from __future__ import annotations

from dataclasses import replace

import pytest

from opentrail_backends.object_store import names
from opentrail_backends.object_store.port import PutOptions
from tests.crash.chain_evidence import HEADS_BUCKET, HOUR
from tests.crash.chain_world import ChainWorld
from tests.crash.test_signed_heads import failures, kept, place_of


@pytest.fixture
def world(tmp_path):
    with ChainWorld.opened(tmp_path) as opened:
        yield opened


def names_of(head):
    first = place_of(head.digest_key)
    return first, f"{first.removesuffix('.json')}_{head.chain_id[:8]}.json"


def with_heads_to_put(world, *trails):
    """A process, and the heads that are signed; the bucket took none, and would now."""
    world.add_trails(list(trails))
    process = world.process()
    world.store.refusing.add(HEADS_BUCKET)
    process.run(1.2 * HOUR)
    world.store.refusing.clear()
    return process, kept(world)


def test_something_foreign_at_a_heads_place_is_left_alone_and_the_head_gets_another_name(world):
    process, (planted, other) = with_heads_to_put(world, "one", "two")
    first = place_of(planted.digest_key)
    world.store.put(HEADS_BUCKET, first, b"{}", PutOptions())
    process.run(120, 60)
    assert world.store.get(HEADS_BUCKET, first).body == b"{}"
    assert failures(process)["ObjectAlreadyExists"] == 1
    assert not world.state.chains.heads_to_put(10)
    world.store.delete(HEADS_BUCKET, first)
    assert {head.digest_key for head in world.heads_put()} == {planted.digest_key, other.digest_key}


def test_who_plants_under_both_names_holds_up_no_other_head(world):
    process, (planted, other) = with_heads_to_put(world, "one", "two")
    for place in names_of(planted):
        world.store.put(HEADS_BUCKET, place, b"{}", PutOptions())
    process.run(120, 60)
    world.store.get(HEADS_BUCKET, place_of(other.digest_key))
    assert [head.chain_id for head in world.state.chains.heads_to_put(10)] == [planted.chain_id]
    tries = failures(process)["ObjectAlreadyExists"]
    for _ in range(10):
        process.heads.run_once()
    assert failures(process)["ObjectAlreadyExists"] == tries, "it is tried again after a rest"
    for place in names_of(planted):
        world.store.delete(HEADS_BUCKET, place)
    process.run(120, 60)
    assert {head.digest_key for head in world.heads_put()} == {planted.digest_key, other.digest_key}


def test_what_is_larger_than_any_head_is_foreign_and_not_read(world, monkeypatch):
    process, (head,) = with_heads_to_put(world, "one")
    monkeypatch.setattr(names, "MAX_OBJECT_BYTES", 100_000)
    world.store.put(HEADS_BUCKET, place_of(head.digest_key), bytes(100_001), PutOptions())
    process.run(120, 60)
    assert failures(process)["ObjectAlreadyExists"] == 1
    assert not world.state.chains.heads_to_put(10), "it has its second name"


@pytest.mark.parametrize("changes", [{"region": "eu\0"}, {"region": "\ud800"}, {"extra": {"x": "nested"}}], ids=str)
def test_what_is_planted_as_a_head_that_cannot_be_looked_up_or_verified_is_foreign(world, changes):
    """Names that no database takes, and nesting that can be read and not be written again."""
    process, (planted, other) = with_heads_to_put(world, "one", "two")
    for depth in range(900, 1000) if "extra" in changes else [0]:
        document = replace(planted, **changes).to_bytes().replace(b'"nested"', b"[" * depth + b"]" * depth)
        for place in names_of(planted):
            world.store.delete(HEADS_BUCKET, place)
            world.store.put(HEADS_BUCKET, place, document, PutOptions())
        for _ in range(2):  # the first round may begin behind the other one
            world.clock.move(60)
            process.heads.run_once()
    world.store.get(HEADS_BUCKET, place_of(other.digest_key))
    assert [head.chain_id for head in world.state.chains.heads_to_put(10)] == [planted.chain_id]
