"""Each transaction of a chain's life, made to fail in each way, while the trail is refused, moves and is deleted."""

from contextlib import suppress

import pytest

from opentrail_backends.state.port import StateError
from tests.crash.chain_evidence import HEADS_BUCKET, HOUR
from tests.crash.chain_world import ChainWorld
from tests.crash.faults import Effect, Faulty, Step, Then
from tests.crash.world import Crash

STEPS = [
    Step(7, "start a chain", "chains", "ensure_chains"),
    Step(7, "end a chain", "chains", "mark_ending"),
    Step(8, "append a digest", "chains", "append"),
    Step(8, "move a chain", "chains", "move"),
    Step(9, "begin puts", "chains", "begin_puts"),
    Step(9, "take failed puts back", "chains", "fail_puts"),
    Step(9, "withdraw digests", "chains", "withdraw"),
    Step(10, "mark it published", "chains", "mark_published"),
    Step(11, "put a head", "store", "put", lambda bucket, *_: bucket == HEADS_BUCKET),
    Step(11, "note which heads are put", "chains", "mark_heads_put"),
]

FATES = [(Effect.LOST, Then.GOES_ON), (Effect.KEPT, Then.GOES_ON), (Effect.KEPT, Then.DIES)]


@pytest.fixture
def world(tmp_path):
    with ChainWorld.opened(tmp_path) as opened:
        yield opened


@pytest.mark.parametrize(("effect", "then"), FATES, ids=str)
@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.what)
def test_a_fault_in_a_chains_life_leaves_each_file_in_one_digest(world, step, effect, then):
    fault = Faulty(world.store if step.port == "store" else world.state.chains, step, effect, then)
    process = world.process(**{step.port: fault})

    def live(seconds):
        nonlocal process
        for _ in range(int(seconds / 600)):
            world.clock.move(600)
            try:
                for turn in (process.builder.run_once, process.publisher.run_once, process.heads.run_once):
                    with suppress(StateError):
                        turn()
            except Crash:
                process = world.process(**{step.port: fault})

    trail = world.add_trail()
    world.deliver(trail, 2)
    live(1.2 * HOUR)
    world.store.refusing.add(trail.s3_bucket_name)
    world.deliver_before_refusal(trail)
    live(HOUR)
    moved = world.put_trail(trail, s3_bucket_name="second-bucket")
    live(HOUR)
    world.store.refusing.clear()
    world.deliver(moved)
    live(HOUR)
    world.delete_trail(moved)
    live(HOUR)
    world.deliver(moved)
    live(2 * HOUR)
    assert fault.fired
    assert world.ended(trail)
    world.assert_walked(moved)
    world.assert_newest_have_heads()
