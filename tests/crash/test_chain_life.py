"""A trail's whole life: whatever becomes of it, each delivered file is in one digest, and a walk sees all digests."""

import random
from dataclasses import replace
from itertools import pairwise

import pytest

from opentrail_backends.event_bus.port import Topic
from opentrail_backends.state.port import Settlement
from tests.crash.chain_world import ACCOUNT, HOUR, REGION, ChainWorld

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


def test_a_final_digest_waits_until_delivery_has_passed_the_trails_end(world):
    trail, process = world.add_trail(), world.process()
    world.deliver(trail)
    process.run(HOUR)
    world.publish(4)
    world.delete_trail(trail)
    process.run(5 * HOUR)
    assert not world.ended(trail)
    world.deliver(trail)
    process.run_until(lambda: world.ended(trail))
    world.assert_walked(trail)
    assert starts(world) == 1


def test_a_final_digest_after_a_restart_asks_for_the_end_of_the_bus_anew(world):
    trail, process = world.add_trail(), world.process()
    world.deliver(trail)
    process.run(HOUR)
    world.publish()
    world.delete_trail(trail)
    process.run(HOUR)
    world.publish()
    restarted = world.process()
    restarted.run(HOUR)
    assert not world.ended(trail)
    world.deliver(trail)
    restarted.run_until(lambda: world.ended(trail))
    world.assert_walked(trail)


def test_no_final_digest_while_the_bus_has_another_topic_than_the_ledger(world):
    trail, process = world.add_trail(), world.process()
    world.deliver(trail)
    process.run(HOUR)
    world.publish(5)
    world.delete_trail(trail)
    process.run(HOUR)
    world.bus.of_region[REGION] = Topic(REGION, "anew", "made-anew", 1)
    world.bus.ends[REGION] = 0
    process.run(2 * HOUR)
    assert not world.ended(trail), "offsets of another topic say nothing"
    restarted = world.process()
    restarted.run(2 * HOUR)
    assert not world.ended(trail)


def test_the_end_in_a_topic_that_was_accepted_anew_is_asked_for_anew(world):
    trail, process = world.add_trail(), world.process()
    world.deliver(trail)
    world.publish(1000)
    world.delete_trail(trail)
    process.turn()
    lease, _ = world.state.ledger.own(REGION, 0, 0)
    anew = world.bus.of_region[REGION] = Topic(REGION, "anew", "made-anew", 1)
    world.bus.ends[REGION] = 3
    world.state.ledger.settle(lease, Settlement(topic_id=anew.id, partitions=1, next_offset=3))
    process.run_until(lambda: world.ended(trail))
    world.assert_walked(trail)


def test_a_session_that_was_over_before_anyone_looked(world):
    trail = world.add_trail()
    stopped = world.stop(trail)
    again = world.start(stopped)
    world.stop(again)
    world.deliver(trail, 2)
    world.deliver(again)
    process = world.process()
    process.run_until(lambda: world.ended(trail))
    process.run_until(lambda: starts(world) == 2)
    world.assert_walked(trail)


def test_a_trail_that_came_and_went_unseen(world):
    trail = world.add_trail()
    world.deliver(trail)
    world.delete_trail(trail)
    world.process().run_until(lambda: world.ended(trail))
    findings = world.assert_walked(trail)
    assert len(findings) >= 2


def test_files_that_come_after_the_last_digest_get_a_starting_digest_of_their_own(world):
    """The bus's clock was behind the store's, or the files were parked."""
    trail, process = world.add_trail(), world.process()
    world.deliver(trail)
    world.deliver(trail, parked=True)
    process.run(HOUR)
    world.delete_trail(trail)
    process.run_until(lambda: world.ended(trail))
    world.deliver(trail, 2)
    process.run_until(lambda: starts(world) == 2 and world.ended(trail))
    process.run(20 * 24 * HOUR, step=HOUR)
    assert world.deliver_parked() == 1
    process.run_until(lambda: starts(world) == 3 and world.ended(trail))
    world.assert_walked(trail)
    assert len(world.digests()) <= 6, "a late file does not bring digests for the days that it was late"


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


def test_a_trail_that_is_stopped_moved_and_started_at_once(world):
    trail, process = world.add_trail(), world.process()
    world.deliver(trail)
    process.run(1.5 * HOUR)
    world.publish()
    moved = world.start(world.put_trail(world.stop(trail), s3_bucket_name="second-bucket"))
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


def test_a_trail_that_ended_while_the_builder_was_down_gets_its_missed_hours_too(world):
    trail = world.add_trail()
    world.process().run(1.5 * HOUR)
    for _ in range(4):
        world.clock.move(HOUR)
        world.deliver(trail)
    world.delete_trail(trail)
    process = world.process()
    process.run_until(lambda: world.ended(trail))
    world.assert_walked(trail)
    assert len(world.digests()) >= 5


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


def test_who_had_to_end_a_chain_died_before_it(world):
    """Another builder that saw the same change, and was done with it, looks at all chains once in a while."""
    trail = world.add_trail()
    first, second = world.process(), world.process()
    world.deliver(trail)
    first.run(HOUR)
    world.delete_trail(trail)
    first.run_until(lambda: world.ended(trail))
    second.turn()
    world.deliver(trail)
    adopting = world.process()
    adopting.builder.run_once()  # made a chain of the late file, and dies
    second.run_until(lambda: world.ended(trail))
    world.assert_walked(trail)
