"""A trail's whole life: whatever becomes of it, each delivered file is in one digest, and a walk sees all digests."""

import random
import uuid
from dataclasses import replace
from itertools import pairwise

import pytest

from tests.crash.chain_evidence import ACCOUNT, HOUR, REGION
from tests.crash.chain_world import ChainWorld

MEMBER = "222233334444"


@pytest.fixture
def world(tmp_path):
    with ChainWorld.opened(tmp_path) as opened:
        yield opened


def starts(world):
    return sum(digest.previous is None for _, _, digest in world.digests())


def test_a_trail_that_only_runs_has_a_digest_each_hour_with_or_without_files(world):
    trail, process = world.add_trail(), world.process()
    world.deliver(trail, 3)
    process.run(5 * HOUR)
    world.deliver(trail)
    process.run(2 * HOUR)
    world.assert_walked(trail)
    digests = [digest for _, _, digest in world.digests()]
    assert {after.end - before.end for before, after in pairwise(digests)} == {HOUR}
    assert (len(digests), starts(world)) == (7, 1)


def test_stopped_and_started_within_a_second(world):
    """The second session's first digest may be due before delivery has come to the end of the first session."""
    trail, process = world.add_trail(), world.process()
    world.deliver(trail)
    process.run(2.5 * HOUR)
    world.publish(5)
    stopped = world.stop(trail)
    started = world.start(stopped)
    process.run(3 * HOUR)  # delivery stands still: neither session has ended or got a file
    world.deliver(trail)
    world.deliver(started)
    process.run(2 * HOUR)
    world.stop(started)
    process.run_until(lambda: world.ended(trail))
    world.assert_walked(trail)
    assert starts(world) == 2


@pytest.mark.parametrize("times", range(4))
def test_many_sessions_one_after_the_other_with_slow_delivery(world, times):
    chance = random.Random(times)
    trail, process = world.add_trail(), world.process()
    for _ in range(6):
        process.run(chance.choice([0, 600, 2 * HOUR]))
        if chance.random() < 0.5:
            world.publish(3)
            process.run(chance.choice([0, HOUR]))
        world.deliver(trail, chance.randint(1, 2))
        trail = world.start(world.stop(trail))
    world.stop(trail)
    process.run_until(lambda: world.ended(trail), 12 * HOUR)
    world.assert_walked(trail)


def test_validation_switched_off_and_on(world):
    trail, process = world.add_trail(), world.process()
    world.deliver(trail)
    process.run(HOUR)
    off = world.put_trail(trail, log_file_validation_enabled=False)
    world.deliver(off, 2)
    process.run(2 * HOUR)
    on = world.start(off)
    world.deliver(on)
    process.run(2 * HOUR)
    world.assert_walked(trail)
    assert starts(world) == 2
    assert len(world.log_files()) == len(world.delivered) + 2, "two files that no digest is to name"


def test_deleted_and_made_anew_under_its_name_within_a_second(world):
    trail, process = world.add_trail(), world.process()
    world.deliver(trail)
    process.run(1.5 * HOUR)
    world.publish()
    world.delete_trail(trail)
    anew = world.add_trail()
    process.run(2 * HOUR)
    world.deliver(trail)
    world.deliver(anew)
    process.run(2 * HOUR)
    world.assert_walked(anew)
    assert starts(world) == 2
    assert len({key.end_seconds for _, key, _ in world.digests()}) == len(world.digests())


class Slow:
    """The chains for a builder that stands still once, before it asks for something."""

    def __init__(self, chains, before, meanwhile):
        self._chains, self._before, self._meanwhile = chains, before, [meanwhile]

    def __getattr__(self, name):
        while name == self._before and self._meanwhile:
            self._meanwhile.pop()()
        return getattr(self._chains, name)


def test_a_builder_that_stood_still_starts_no_chain_for_a_trail_that_is_gone(world):
    trail, process = world.add_trail(), world.process()

    def made_anew():
        world.delete_trail(trail)
        world.deliver(world.add_trail())
        process.run(2 * HOUR)

    slow = world.process(chains=Slow(world.state.chains, "ensure_chains", made_anew))
    slow.turn()
    process.run(HOUR)
    slow.run(2 * HOUR)
    world.assert_walked(trail)
    assert starts(world) == 1


@pytest.mark.parametrize("incarnations", [(1, 2), (2, 1)], ids=str)
def test_builders_that_know_other_revisions_begin_a_places_chains_in_one_order(world, incarnations):
    """One still wants the second trail's chain, the other none of both: for either the first trail's goes first."""
    ids = [str(uuid.UUID(int=number)) for number in incarnations]
    trail, process = world.add_trail(incarnation=ids[0]), world.process()
    process.turn()
    world.publish()
    world.delete_trail(trail)
    anew = world.add_trail(incarnation=ids[1])  # in the same second
    process.turn()
    world.clock.move(1.5 * HOUR)

    def deleted_too():
        world.delete_trail(anew)
        world.process().turn()

    world.process(chains=Slow(world.state.chains, "due", deleted_too)).turn()
    world.deliver(trail)
    world.deliver(anew)
    process.run_until(lambda: world.ended(trail) and world.ended(anew))
    world.assert_walked(trail)
    assert starts(world) == 2


def test_a_session_that_was_over_unseen_goes_first_though_its_files_come_later(world):
    """Its chain is made when they come: after that of the next session, which has no digest yet."""
    trail, process = world.add_trail(), world.process()
    again = world.start(world.stop(trail))
    process.turn()
    world.clock.move(120)
    world.deliver(trail)
    process.turn()
    world.publish()
    world.clock.move(1.5 * HOUR)

    def stopped_too():
        world.stop(again)
        world.process().turn()

    world.process(chains=Slow(world.state.chains, "due", stopped_too)).turn()
    world.deliver(again)
    process.run_until(lambda: world.ended(trail))
    world.assert_walked(trail)
    assert starts(world) == 2


def test_a_member_that_joins_leaves_and_returns(world):
    organization = world.put_organization(MEMBER)
    trail, process = world.add_trail(organization_id=organization.id), world.process()
    world.deliver(trail, account=MEMBER)
    process.run(2 * HOUR)
    world.put_organization()
    process.run(2 * HOUR)
    world.put_organization(MEMBER)
    world.deliver(trail, account=MEMBER)
    process.run(2 * HOUR)
    world.assert_walked(trail, MEMBER)
    ends = [(key.account_id, digest.previous is None) for _, key, digest in world.digests()]
    assert ends.count((MEMBER, True)) == 2
    assert ends.count((ACCOUNT, True)) == 1


def test_a_member_that_joins_leaves_and_returns_unseen(world):
    organization = world.put_organization()
    trail = world.add_trail(organization_id=organization.id)
    world.process().run(HOUR)
    world.put_organization(MEMBER)
    world.deliver(trail, account=MEMBER)
    world.put_organization()
    process = world.process()
    process.run(2 * HOUR)
    world.assert_walked(trail, MEMBER)
    world.put_organization(MEMBER)
    world.put_organization()
    world.put_organization(MEMBER)
    world.deliver(trail, account=MEMBER)
    process.run(2 * HOUR)
    world.assert_walked(trail, MEMBER)


@pytest.mark.parametrize("change", [{"s3_bucket_name": "second-bucket"}, {"s3_key_prefix": "moved"}], ids=str)
def test_a_trail_that_moves_keeps_its_chain(world, change):
    trail, process = world.add_trail(), world.process()
    world.deliver(trail)
    process.run(1.5 * HOUR)
    world.deliver(trail)
    moved = world.put_trail(trail, **change)
    process.run(1, 1)
    cut = world.digests()[-1][2]
    assert len(cut.log_files) == 1
    assert cut.end == world.clock.milliseconds // 1000, "cut for the old place at once"
    world.deliver(moved)
    process.run(2 * HOUR)
    world.assert_each_file_in_one_digest()
    assert starts(world) == 1
    if "s3_bucket_name" in change:  # the walk takes a prefix for unchanged, as the AWS CLI does
        world.assert_walked(moved)


@pytest.mark.parametrize("unseen", [0, 1.5 * HOUR])
def test_a_trail_that_is_stopped_moved_and_started_at_once(world, unseen):
    trail, process = world.add_trail(), world.process()
    world.deliver(trail)
    process.run(1.5 * HOUR)
    world.publish()
    moved = world.start(world.put_trail(world.stop(trail), s3_bucket_name="second-bucket"))
    world.clock.move(unseen)
    process.run(2 * HOUR)
    world.deliver(trail)
    world.deliver(moved)
    process.run(2 * HOUR)
    world.assert_walked(moved)


def test_a_builder_that_was_down_builds_one_digest_for_each_missed_hour(world):
    world.settings = replace(world.settings, key_seconds=5 * HOUR)
    trail = world.add_trail()
    world.process().run(1.5 * HOUR)
    for _ in range(30):
        world.clock.move(HOUR)
        world.deliver(trail)
    world.process().run(10 * 60, step=10)
    digests = [digest for _, _, digest in world.digests()]
    assert len(digests) >= 30
    world.process().run(HOUR)
    world.assert_walked(trail)
    digests = [digest for _, _, digest in world.digests()]
    assert {after.end - before.end for before, after in pairwise(digests)} == {HOUR}
    assert len(digests) >= 31
    for digest in digests:
        keys = world.state.public_keys.between(REGION, digest.end, digest.end)
        assert digest.fingerprint in {key.fingerprint for key in keys}, "signed by a key of its own time"
    assert len({digest.fingerprint for digest in digests}) >= 6
    every = world.state.public_keys.between(REGION, 0, 2**40)
    assert all(before.valid_until < after.valid_from for before, after in pairwise(every))


def test_three_builders_build_one_line(world):
    chance = random.Random(1)
    trail = world.add_trail()
    processes = [world.process() for _ in range(3)]
    places = ["first-bucket", "second-bucket"]
    for step in range(60):
        world.clock.move(chance.choice([1, 60, 900]))
        if chance.random() < 0.5:
            world.deliver(trail)
        if step % 20 == 19:
            trail = world.put_trail(trail, s3_bucket_name=places[step // 20 % 2])
        for process in chance.sample(processes, chance.randint(1, 3)):
            process.turn()
    for process in processes:
        process.run(HOUR)
    world.assert_walked(trail)
    assert starts(world) == 1
