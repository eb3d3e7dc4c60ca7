"""Sessions that are over: their last digests, and files of which a builder knew nothing or that came after them."""

import pytest

from opentrail_backends.event_bus.port import Topic
from opentrail_backends.state.port import Settlement
from tests.crash.chain_evidence import ACCOUNT, HOUR, REGION
from tests.crash.chain_world import ChainWorld


@pytest.fixture
def world(tmp_path):
    with ChainWorld.opened(tmp_path) as opened:
        yield opened


def starts(world):
    return sum(digest.previous is None for _, _, digest in world.digests())


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


def test_a_last_digest_names_what_is_delivered_in_its_second(world):
    trail, process = world.add_trail(), world.process()
    world.deliver(trail)
    process.run(HOUR)
    world.delete_trail(trail)
    world.clock.move(1)
    world.deliver(trail)
    process.turn()
    process.run_until(lambda: world.ended(trail))
    process.run(HOUR)
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


def test_a_final_digest_waits_for_the_call_that_ended_its_trail(world):
    """It is an event of the trail as it was before: the last one in its chain, not a late one after it."""
    trail, process = world.add_trail(), world.process()
    world.deliver(trail)
    process.run(HOUR)
    world.delete_trail(trail, by_a_call_of=ACCOUNT)
    process.run(2 * HOUR)
    assert not world.ended(trail), "the call is not on the bus yet"
    world.publish_calls()
    process.run(2 * HOUR)
    assert not world.ended(trail), "delivery has not passed it yet"
    world.deliver(trail)
    process.run_until(lambda: world.ended(trail))
    world.assert_walked(trail)
    assert starts(world) == 1


def test_a_call_that_comes_to_the_bus_while_the_builder_looks_is_waited_for(world):
    """Whether it is there is asked before the end of the bus: else it could be missing in both answers."""

    class Calls:
        def oldest_pending(self):
            world.publish_calls()
            return world.state.calls.oldest_pending()

    trail, process = world.add_trail(), world.process(calls=Calls())
    world.deliver(trail)
    process.run(HOUR)
    world.delete_trail(trail, by_a_call_of=ACCOUNT)
    process.run(2 * HOUR)
    assert not world.ended(trail)
    world.deliver(trail)
    process.run_until(lambda: world.ended(trail))
    world.assert_walked(trail)
    assert starts(world) == 1


def test_a_final_digest_waits_for_calls_that_were_answered_before_the_end(world):
    """They changed nothing, and belong to the trail: who looks around and then stops it is seen looking."""
    trail, process = world.add_trail(), world.process()
    world.deliver(trail)
    process.run(HOUR)
    world.call(ACCOUNT)
    world.delete_trail(trail)
    process.run(2 * HOUR)
    assert not world.ended(trail), "the call is not on the bus yet"
    world.publish_calls()
    world.deliver(trail)
    process.run_until(lambda: world.ended(trail))
    world.assert_walked(trail)
    assert starts(world) == 1


def test_calls_after_the_end_hold_no_final_digest_up(world):
    """They are governed by what came after: an account that calls all the time does not keep its chains from ending."""
    trail, process = world.add_trail(), world.process()
    world.deliver(trail)
    world.delete_trail(trail)
    world.call(ACCOUNT)
    process.run_until(lambda: world.ended(trail))
    world.assert_walked(trail)


@pytest.mark.parametrize(("account", "region"), [("444455556666", REGION), (ACCOUNT, "eu-west-1")])
def test_calls_of_others_hold_no_final_digest_up(world, account, region):
    """They enter other chains: nobody can keep another account's chains from their end."""
    trail, process = world.add_trail(), world.process()
    world.deliver(trail)
    world.delete_trail(trail, by_a_call_of=account, region=region)
    process.run_until(lambda: world.ended(trail))
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
