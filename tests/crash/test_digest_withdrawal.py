"""Digests that their bucket refuses are withdrawn once their trail has left it, if no put of them may still appear."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from opentrail_backends.object_store.in_memory import LoseAnswer, Throttle
from tests.crash.chain_evidence import HOUR
from tests.crash.chain_world import ChainWorld

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


@pytest.mark.parametrize("again", [False, True], ids=["stopped", "stopped and started"])
def test_a_session_that_is_over_when_its_trail_leaves_a_bucket_that_refuses(world, again):
    """Its last digest comes at once, and waits behind those that were refused."""
    process = world.process()
    moved = refused_then_moved(world, process)
    trail = world.start(world.stop(moved)) if again else world.stop(moved)
    process.run_until(lambda: not world.waiting() and world.digests()[-1][2].s3_bucket == NEW, 600, step=10)
    if again:
        world.deliver(trail)
        process.run(2 * HOUR)
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
