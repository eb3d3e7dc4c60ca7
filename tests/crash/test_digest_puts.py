"""Buckets that do not take digests, and those that nobody there is to hold up."""

import gzip
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest

from opentrail_backends.key_management.port import KeyManagementError
from opentrail_backends.object_store.in_memory import Refuse
from opentrail_backends.object_store.port import PutOptions
from tests.crash.chain_evidence import HOUR, REGION
from tests.crash.chain_ports import Bus
from tests.crash.chain_world import ChainWorld

OLD, NEW = "first-bucket", "second-bucket"


@pytest.fixture
def world(tmp_path):
    with ChainWorld.opened(tmp_path) as opened:
        yield opened


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
    assert took < 60


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
    taken, *_, newest = world.state.chains.unpublished(1000)
    world.store.put(OLD, taken.object_key, gzip.compress(b"{}"), PutOptions())
    process.run(600, step=10)
    assert world.waiting() == 0
    assert process.metrics.foreign_objects._value.get() == 1
    world.store.delete(OLD, taken.object_key)
    world.assert_each_file_in_one_digest()
    if not later:
        world.assert_walked(trail)
        assert newest.end + 1 in {digest.end for _, _, digest in world.digests()}
