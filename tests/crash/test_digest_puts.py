"""Buckets that do not take digests: what waits, what is withdrawn when the trail has moved, and who is not held up."""

import gzip
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace

import pytest

from opentrail_backends.key_management.port import KeyManagementError
from opentrail_backends.object_store.in_memory import LoseAnswer, Refuse, Throttle
from opentrail_backends.object_store.port import PutOptions
from tests.crash.chain_world import HOUR, REGION, Bus, ChainWorld

OLD, NEW = "first-bucket", "second-bucket"
DIGESTS = "*CloudTrail-Digest*"


@pytest.fixture
def world(tmp_path):
    with ChainWorld.opened(tmp_path) as opened:
        yield opened


class Between:
    """Chains that let something happen right after what waits was read."""

    def __init__(self, chains, then):
        self._chains = chains
        self._then = then

    def __getattr__(self, name):
        return getattr(self._chains, name)

    def unpublished(self, *args):
        waiting = self._chains.unpublished(*args)
        if waiting and self._then:
            self._then.pop()()
        return waiting


class Dies(BaseException):
    """The process."""


# --- withdrawal ---------------------------------------------------------------------------------------


def refused_then_moved(world, process, hours=3):
    """A trail whose bucket refuses for some hours, until it moves to another one."""
    trail = world.add_trail(bucket=OLD)
    world.deliver(trail)
    process.run(1.5 * HOUR)
    world.store.refusing.add(OLD)
    for _ in range(hours):
        world.deliver_before_refusal(trail)
        process.run(HOUR)
    assert world.waiting() == hours
    return world.put_trail(trail, s3_bucket_name=NEW)


def test_digests_that_were_refused_are_withdrawn_when_the_trail_has_moved(world):
    process = world.process()
    moved = refused_then_moved(world, process)
    process.run(10 * 60)
    assert world.waiting() == 0
    world.deliver(moved)
    process.run(2 * HOUR)
    world.store.refusing.clear()
    process.run(2 * HOUR)
    world.assert_walked(moved)
    assert [digest.previous is None for _, _, digest in world.digests()].count(True) == 1, "one line"
    old = [digest for bucket, _, digest in world.digests() if bucket == OLD]
    new = [digest for bucket, _, digest in world.digests() if bucket == NEW]
    assert new[0].start == old[-1].end
    assert len(new[0].log_files) == 4


def test_a_chain_without_a_published_digest_begins_anew_in_the_new_place(world):
    process = world.process()
    world.store.refusing.add(OLD)
    trail = world.add_trail(bucket=OLD)
    world.deliver_before_refusal(trail)
    process.run(2 * HOUR)
    moved = world.put_trail(trail, s3_bucket_name=NEW)
    process.run(2 * HOUR)
    world.assert_walked(moved)
    assert {bucket for bucket, _, _ in world.digests()} == {NEW}


def test_a_bucket_that_takes_the_digests_before_the_move_is_seen_keeps_them(world):
    process = world.process()
    moved = refused_then_moved(world, process)
    world.store.refusing.clear()
    process.run(2 * HOUR)
    world.assert_walked(moved)
    assert len([1 for bucket, _, _ in world.digests() if bucket == OLD]) >= 4


def test_nothing_is_withdrawn_while_the_trail_stays(world):
    trail, process = world.add_trail(bucket=OLD), world.process()
    world.store.refusing.add(OLD)
    world.deliver_before_refusal(trail)
    process.run(5 * HOUR)
    assert world.waiting() == 5
    world.store.refusing.clear()
    process.run(HOUR)
    world.assert_walked(trail)


@pytest.mark.parametrize("kept", ["late", True])
def test_a_digest_whose_answer_was_lost_is_never_withdrawn(world, kept):
    process = world.process()
    trail = world.add_trail(bucket=OLD)
    world.deliver(trail)
    world.store.script(DIGESTS, LoseAnswer(kept=kept))
    process.run_until(lambda: [a for a in world.store.attempts if a.outcome == "OutcomeUnknown"])
    world.store.refusing.add(OLD)
    process.run(HOUR)
    moved = world.put_trail(trail, s3_bucket_name=NEW)
    world.deliver(moved)
    process.run(4 * HOUR)
    assert world.state.chains.unpublished(1)[0].bucket == OLD, "the later ones are not put before it"
    assert not [bucket for bucket, _, _ in world.digests() if bucket == NEW]
    world.store.release_late()
    world.store.refusing.clear()
    process.run(2 * HOUR)
    world.assert_walked(moved)
    assert [digest.previous is None for _, _, digest in world.digests()].count(True) == 1


def test_a_process_that_died_while_it_put_leaves_a_digest_that_is_never_withdrawn(world):
    trail, process = world.add_trail(bucket=OLD), world.process()
    world.deliver(trail)
    process.run(1.1 * HOUR)
    dying = world.process()

    def dies(*_):
        raise Dies

    dying.publisher._lane_tools = replace(dying.publisher._lane_tools, store=SimpleNamespace(put=dies))
    world.clock.move(HOUR)
    dying.builder.run_once()
    (begun,) = world.state.chains.unpublished(10)
    with pytest.raises(Dies):
        dying.publisher.run_once()
    world.store.refusing.add(OLD)
    moved = world.put_trail(trail, s3_bucket_name=NEW)
    process.run(3 * HOUR)
    assert world.state.chains.unpublished(1) == [begun]
    world.store.refusing.clear()
    process.run(2 * HOUR)
    world.assert_walked(moved)


def test_who_read_a_digest_before_it_was_withdrawn_does_not_put_it(world):
    first = world.process()
    moved = refused_then_moved(world, first)
    world.clock.move(60)
    first.builder.run_once()
    before = world.digests()

    def withdraws():
        world.clock.move(60)
        first.publisher.run_once()
        assert world.waiting() == 0
        world.store.refusing.clear()

    second = world.process(chains=Between(world.state.chains, [withdraws]))
    second.publisher.run_once()
    assert world.digests() == before
    first.run(2 * HOUR)
    world.assert_walked(moved)


def test_a_throttled_digest_is_not_withdrawn(world):
    process = world.process()
    trail = world.add_trail(bucket=OLD)
    world.deliver(trail)
    process.run(HOUR)
    world.store.script(DIGESTS, Throttle(), times=None)
    process.run(HOUR)
    moved = world.put_trail(trail, s3_bucket_name=NEW)
    process.run(600)
    assert world.waiting() >= 2
    world.store.clear_script()
    process.run(HOUR)
    world.assert_walked(moved)


# --- who is not held up -------------------------------------------------------------------------------


def crowd(world, count):
    """So many trails of one bucket."""
    world.add_trails([f"trail-{number}" for number in range(count)], bucket=OLD)


def test_six_hundred_chains_of_a_bucket_that_refuses_starve_nobody(world):
    process = world.process()
    crowd(world, 600)
    process.builder.run_once()
    world.clock.move(HOUR)
    process.builder.run_once()
    process.builder.run_once()
    world.clock.move(HOUR)
    world.add_trail("good", bucket=NEW)
    process.builder.run_once()
    world.clock.move(HOUR)
    process.builder.run_once()
    process.builder.run_once()
    world.store.refusing.add(OLD)
    assert world.waiting() > 600
    process.publisher.run_once()
    assert [key.trail_name for _, key, _ in world.digests()] == ["good"]


def test_one_trail_among_six_hundred_that_their_bucket_refuses(world):
    """All in one bucket: the refusals are about the trails."""
    process = world.process()
    crowd(world, 600)
    world.add_trail("zgood", bucket=OLD, s3_key_prefix="zgood")
    process.builder.run_once()
    world.clock.move(HOUR)
    process.builder.run_once()
    process.builder.run_once()
    world.store.script("trail-*", Refuse("AccessDenied"), times=None)
    rounds = 0
    while not [1 for _, key, _ in world.digests() if key.trail_name == "zgood"]:
        rounds += 1
        assert rounds < 120
        world.clock.move(1)
        process.publisher.run_once()


def test_buckets_that_do_not_answer_hold_up_no_others(world):
    with ThreadPoolExecutor(16) as pool:
        process = world.process(executor=pool, threads=16)
        silent = [f"silent-{number}" for number in range(8)]
        for number, bucket in enumerate(silent):
            for twin in range(3):
                world.add_trail(f"quiet-{number}-{twin}", bucket=bucket, s3_key_prefix=f"{twin}")
        good = [world.add_trail(f"good-{number}", bucket=f"good-{number}") for number in range(3)]
        process.builder.run_once()
        world.store.silent = {bucket: threading.Event() for bucket in silent}
        began = time.monotonic()
        for _ in range(5):
            world.clock.move(HOUR)
            process.turn()
        process.publisher.run_once()
        took = time.monotonic() - began
        put = {key.trail_name for _, key, _ in world.digests()}
        waiting = world.waiting()
        for event in world.store.silent.values():
            event.set()
        world.store.silent = {}
        process.publisher.finish(10)
    assert put == {trail.name for trail in good}
    assert waiting >= 5 * len(silent)
    assert took < 20


def test_a_region_without_its_key_holds_up_no_other(world):
    """However many chains it has."""
    other = "us-east-1"
    world.bus = Bus(REGION, other)
    process = world.process()
    crowd(world, 520)
    process.builder.run_once()
    world.clock.move(2 * HOUR)
    world.add_trail("elsewhere", home_region=other, bucket=NEW)
    create = world.keys.create_signing_key

    def fails(region):
        if region == REGION:
            raise KeyManagementError("gone")
        return create(region)

    world.keys.create_signing_key = fails
    process.turn()
    world.clock.move(HOUR)
    for _ in range(3):
        process.turn()
    assert {key.trail_name for _, key, _ in world.digests()} == {"elsewhere"}


class Capped:
    """Chains that wait with fewer digests than in earnest."""

    def __init__(self, chains, most_waiting):
        self._chains = chains
        self._most_waiting = most_waiting

    def __getattr__(self, name):
        return getattr(self._chains, name)

    def due(self, now, limit):
        return self._chains.due(now, limit, self._most_waiting)


def test_a_bucket_that_takes_nothing_does_not_fill_the_store(world):
    trail, process = world.add_trail(bucket=OLD), world.process(chains=Capped(world.state.chains, 20))
    world.deliver(trail)
    process.run(HOUR)
    world.store.refusing.add(OLD)
    process.run(40 * HOUR, step=HOUR)
    assert world.waiting() == 20
    world.deliver_before_refusal(trail)
    process.run(HOUR)
    assert world.waiting() == 20
    world.store.refusing.clear()
    process.run(HOUR, step=10)
    world.assert_walked(trail)
    ends = [digest.end for _, _, digest in world.digests()]
    assert {after - before for before, after in pairwise(ends)} == {HOUR}, "one for each hour, also those since"
    assert len(ends) >= 41


@pytest.mark.parametrize("later", [False, True], ids=["alone", "another chain has used later stamps"])
def test_a_foreign_object_in_a_place_with_more_digests_behind_it_than_are_read_at_once(world, later):
    trail, process = world.add_trail(bucket=OLD), world.process()
    world.deliver(trail)
    process.run(HOUR)
    for _ in range(22):
        world.clock.move(24 * HOUR)
        process.builder.run_once()
    if later:
        trail = world.start(world.stop(trail))
        for _ in range(4):
            world.clock.move(HOUR)
            process.builder.run_once()
    taken = world.state.chains.unpublished(1)[0]
    world.store.put(OLD, taken.object_key, gzip.compress(b"{}"), PutOptions())
    process.run(600, step=10)
    assert world.waiting() == 0
    assert process.metrics.foreign_objects._value.get() == 1
    world.store.delete(OLD, taken.object_key)
    world.assert_each_file_in_one_digest()
    if not later:
        world.assert_walked(trail)
