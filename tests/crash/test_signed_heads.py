"""Signed heads (steps 10 and 11): neither a key that does not sign nor a second place that fails holds up digests."""

from __future__ import annotations

from dataclasses import replace

import pytest

from opentrail.evidence.chain_head import HEAD_FOLDER, head_key, parse_head
from opentrail.evidence.object_keys import DigestKey, parse_key
from opentrail_backends.key_management.port import KeyManagementError
from opentrail_backends.object_store.in_memory import LoseAnswer
from opentrail_backends.object_store.port import PutOptions
from tests.crash.chain_evidence import HEADS_BUCKET, HEADS_PREFIX, HOUR
from tests.crash.chain_world import ChainWorld

HEAD = b"OpenTrail chain head 1\n"
MEMBER = "222233334444"


@pytest.fixture
def world(tmp_path):
    with ChainWorld.opened(tmp_path) as opened:
        yield opened


class Keys:
    """Key management that signs digests, and heads only while it is well."""

    def __init__(self, keys):
        self._keys = keys
        self.fails = False
        self.tries = 0

    def __getattr__(self, name):
        return getattr(self._keys, name)

    def sign(self, reference, message):
        if message.startswith(HEAD):
            self.tries += 1
            if self.fails:
                raise KeyManagementError("scripted: it does not sign")
        return self._keys.sign(reference, message)


def kept(world):
    return [parse_head(head.document) for head in world.state.chains.heads()]


def numbers(heads):
    return sorted(head.sequence for head in heads)


def failures(process):
    return {
        sample.labels["error"]: sample.value
        for metric in process.metrics.head_failures.collect()
        for sample in metric.samples
        if sample.name.endswith("_total")
    }


def place_of(digest_key):
    key = parse_key(digest_key)
    assert isinstance(key, DigestKey)
    return f"{HEADS_PREFIX}/{head_key(key)}"


def test_each_digest_is_published_with_its_head_and_each_head_is_put_once(world):
    trail, process = world.add_trail(), world.process()
    world.deliver(trail)
    process.run(4.5 * HOUR)
    world.assert_newest_have_heads()
    digests = world.digests()
    (head,) = kept(world)
    bucket, key, digest = digests[-1]
    assert (head.trail_arn, head.account_id, head.region) == (trail.arn, key.account_id, key.region)
    assert (head.digest_bucket, head.digest_key, head.start, head.end) == (bucket, str(key), digest.start, digest.end)
    assert (head.sequence, head.ended, head.fingerprint) == (len(digests), False, digest.fingerprint)
    assert digest.end <= head.signed_at <= world.clock.milliseconds // 1000
    assert numbers(world.heads_put()) == list(range(1, len(digests) + 1))
    puts = [attempt for attempt in world.store.attempts if attempt.bucket == HEADS_BUCKET]
    assert len(puts) == len(digests)
    assert process.metrics.heads._value.get() == len(digests)


def test_the_last_head_of_a_chain_says_that_it_has_ended(world):
    trail, process = world.add_trail(), world.process()
    world.deliver(trail)
    process.run(1.5 * HOUR)
    world.stop(trail)
    process.run_until(lambda: world.ended(trail))
    process.run(HOUR)
    assert [head.ended for head in sorted(world.heads_put(), key=lambda head: head.sequence)] == [False, True]
    assert [head.ended for head in kept(world)] == [True]


def test_two_trails_of_one_name_have_heads_of_their_own(world):
    trail, process = world.add_trail(), world.process()
    world.deliver(trail)
    process.run(1.5 * HOUR)
    world.delete_trail(trail)
    again = world.add_trail()
    world.deliver(again)
    process.run(2 * HOUR)
    world.assert_newest_have_heads()
    heads = kept(world)
    assert {head.trail_arn for head in heads} == {again.arn} == {trail.arn}
    assert len({head.chain_id for head in heads}) == len(heads) == 2
    assert sorted(head.ended for head in heads) == [False, True]


def test_a_chain_that_begins_anew_after_it_was_forgotten_gives_no_number_twice(world):
    """Two heads with one number in one chain are what the validator calls a forgery."""
    world.add_trail(organization_id=world.put_organization(MEMBER).id)
    process = world.process()
    process.run(2.5 * HOUR)
    world.put_organization()
    process.run(4 * HOUR)
    world.state.forget(HOUR * 1000)
    assert MEMBER not in {chain.account_id for chain in world.state.chains.all_chains()}
    world.put_organization(MEMBER)
    process.run(3 * HOUR)
    heads = [head for head in world.heads_put() if head.account_id == MEMBER]
    assert sum(head.sequence == 1 for head in heads) == 2, "the second chain begins"
    assert len({(head.chain_id, head.sequence) for head in heads}) == len(heads)


def test_a_key_that_does_not_sign_heads_holds_up_no_digest_and_the_newest_is_signed_later(world):
    keys = Keys(world.keys)
    trail, process = world.add_trail(), world.process(keys=keys)
    world.deliver(trail)
    process.run(1.5 * HOUR)
    keys.fails, tries = True, keys.tries
    process.run(3 * HOUR)
    assert world.waiting() == 0
    assert len(world.digests()) >= 4
    assert numbers(kept(world)) == [1], "the one before is kept until then"
    assert failures(process)["KeyManagementError"] == keys.tries - tries
    keys.fails = False
    process.run(600)
    world.assert_newest_have_heads()
    assert numbers(world.heads_put()) == [1, len(world.digests())], "the newest alone"


def test_a_region_whose_key_does_not_sign_is_asked_again_only_after_a_rest(world):
    keys = Keys(world.keys)
    keys.fails = True
    world.add_trails([f"trail-{number}" for number in range(6)])
    process = world.process(keys=keys)
    for _ in range(130):
        world.clock.move(60)
        process.builder.run_once()
        for _ in range(20):  # rounds without a rest between them
            process.publisher.run_once()
            process.heads.run_once()
    assert len(world.digests()) >= 12
    assert 2 <= keys.tries <= 131, "once in each rest, however many digests wait"


@pytest.mark.parametrize("way", ["refuses", "gives no answer"])
def test_a_second_place_that_fails_holds_up_no_digest_and_gets_the_newest_head_afterwards(world, way):
    trail, process = world.add_trail(), world.process()
    world.deliver(trail)
    process.run(1.5 * HOUR)
    if way == "refuses":
        world.store.refusing.add(HEADS_BUCKET)
    else:
        world.store.script(f"*{HEAD_FOLDER}*", LoseAnswer(kept=False), times=None)
    process.run(3 * HOUR)
    assert world.waiting() == 0
    assert numbers(kept(world)) == [len(world.digests())]
    assert numbers(world.heads_put()) == [1]
    assert sum(failures(process).values()) >= 3
    world.store.refusing.clear()
    world.store.clear_script()
    process.run(600)
    world.assert_newest_have_heads()
    assert numbers(world.heads_put()) == [1, len(world.digests())]


def test_a_place_that_fails_is_left_alone_for_a_while(world):
    world.add_trails([f"trail-{number}" for number in range(30)])
    process = world.process()
    world.store.refusing.add(HEADS_BUCKET)
    process.run(1.2 * HOUR)
    attempts = sum(failures(process).values())
    for _ in range(50):
        process.heads.run_once()
    assert sum(failures(process).values()) == attempts
    world.clock.move(60)
    process.heads.run_once()
    assert sum(failures(process).values()) == attempts + 1, "one of thirty is tried"


def test_one_head_that_its_place_does_not_take_holds_up_no_other(world):
    world.add_trails([f"trail-{number}" for number in range(30)])
    process = world.process()
    world.store.script(f"*{HEAD_FOLDER}*_trail-7_*", LoseAnswer(kept=False), times=None)
    process.run(1.5 * HOUR, 60)
    trails = {parse_key(head.digest_key).trail_name for head in world.heads_put()}
    assert trails == {f"trail-{number}" for number in range(30)} - {"trail-7"}


def test_digests_of_one_name_in_two_buckets_have_a_head_each(world):
    """A trail's name is used again, and the two last digests end in the same second."""
    trail = world.add_trail(bucket="first-bucket")
    process = world.process()
    world.store.refusing.add(HEADS_BUCKET)
    process.run(1.2 * HOUR)
    world.store.refusing.clear()
    (ours,) = kept(world)
    (key,) = world.state.public_keys.between(ours.region, ours.end, ours.end)
    twin = replace(ours, digest_bucket="other-bucket", chain_id="another chain", digest_hash="0" * 64)
    twin = twin.signed(world.keys.sign(key.reference, twin.message()).hex())
    world.store.put(HEADS_BUCKET, place_of(ours.digest_key), twin.to_bytes(), PutOptions())
    process.run(120, 60)
    assert failures(process).get("ObjectAlreadyExists") is None, "nothing is wrong with it"
    assert not world.state.chains.heads_to_put(10)
    put = {parse_head(world.store.get(HEADS_BUCKET, info.key).body) for info in world.store.list(HEADS_BUCKET)}
    assert put == {ours, twin}
    assert ours.trail_arn == trail.arn


@pytest.mark.parametrize("forged", [False, True], ids=["signed", "forged"])
def test_a_head_of_the_same_digest_that_was_signed_before_a_restore_is_as_good_if_it_is_signed(world, forged):
    world.add_trail()
    process = world.process()
    world.store.refusing.add(HEADS_BUCKET)
    process.run(1.2 * HOUR)
    world.store.refusing.clear()
    (ours,) = kept(world)
    (key,) = world.state.public_keys.between(ours.region, ours.end, ours.end)
    before = replace(ours, signed_at=ours.signed_at - 60)
    signature = "ab" * 256 if forged else world.keys.sign(key.reference, before.message()).hex()
    before = before.signed(signature)
    world.store.put(HEADS_BUCKET, place_of(ours.digest_key), before.to_bytes(), PutOptions())
    process.run(300)
    assert bool(failures(process).get("ObjectAlreadyExists")) == forged
    assert not world.state.chains.heads_to_put(10)
    assert len(list(world.store.list(HEADS_BUCKET))) == 1 + forged


def test_without_a_second_place_heads_stay_in_the_ledger(world):
    world.settings = replace(world.settings, heads_bucket=None)
    trail, process = world.add_trail(), world.process()
    world.deliver(trail)
    process.run(2.5 * HOUR)
    assert numbers(kept(world)) == [len(world.digests())]
    assert world.heads_put() == []
    world.settings = replace(world.settings, heads_bucket=HEADS_BUCKET)
    world.process().heads.run_once()
    assert [info.key.startswith("AWSLogs/") for info in world.store.list(HEADS_BUCKET)] == [True]
