"""Each durable step x {lost, kept but reported as failed} x {the process dies, goes on}, on every state store and bus.

All faults hit one world, one after the other, so each finds what the earlier ones left behind. In the end the whole
bucket is read by us, by `validate-logs` and by the AWS CLI.
"""

import itertools
import uuid
from collections import Counter
from dataclasses import replace

import pytest

from opentrail.evidence.chain_head import parse_head
from opentrail.evidence.digest import Digest
from opentrail.evidence.object_keys import DigestKey
from opentrail.evidence.signature import verify
from opentrail.trails.trail import Trail
from tests import judges
from tests.crash.faults import STEPS, Effect, Faulty, Step, Then
from tests.crash.world import ACCOUNT, REGION, Crash, Worker, World, assert_chains_unforked, assert_exactly_once

FAULTS = [
    (step, effect, then)
    for step, effect, then in itertools.product(STEPS, Effect, Then)
    # Committing a hint raises nothing: its port says so.
    if not (step.port == "reader" and then is Then.GOES_ON)
]


@pytest.mark.s3
@pytest.mark.timeout(600)
def test_every_fault_at_every_durable_step_leaves_each_event_in_one_digested_file(world, minio, aws_cli, subtests):
    trails = []
    for number, (step, effect, then) in enumerate(FAULTS):
        with subtests.test(f"step {step.number} ({step.what}): {effect}, {then}"):
            # Its chain is new too, and a signing key is valid for so short that each fault finds one to be made.
            trail = world.add_trail(f"trail-{number}", s3_key_prefix=f"fault-{number}")
            trails.append(trail)
            published = hit(world, trail, step, effect, then)
            assert_exactly_once(world.evidence(f"fault-{number}/"), [trail.name], published)
            world.put_trail(replace(trail, is_logging=False))
    with judges.api(world.state, minio, ACCOUNT) as env:
        for trail in trails[:: len(trails) // 3]:
            flags = judges.flags(trail.arn, REGION)
            for verdict in (judges.aws(aws_cli[0], flags, env), judges.ours(flags, env)):
                assert (verdict.code, verdict.invalid) == (0, [])
                assert len(verdict.valid) >= 2
    whole = world.evidence()
    assert whole.digested() == Counter(dict.fromkeys(whole.log_files, 1))
    assert_chains_unforked(whole)
    assert_heads(world)


def assert_heads(world: World) -> None:
    """Each chain's newest digest has its head, in the ledger and in the second place; each head is true."""
    chains, worker = world.state.chains, world.worker()
    worker.run_until(lambda: not (chains.unpublished(1) or chains.unsigned(1) or chains.heads_to_put(1)))
    worker.close()
    digests = world.evidence().digests
    bucket, _, prefix = (world.settings.heads_bucket or "").partition("/")
    put = [parse_head(world.store.get(bucket, info.key).body) for info in world.store.list(bucket, f"{prefix}/")]
    kept = [parse_head(head.document) for head in chains.heads()]
    for head in [*kept, *put]:
        key, digest = digests[head.digest_key]
        assert (head.digest_bucket, head.start, head.end) == (world.bucket, digest.start, digest.end)
        (public,) = [
            one
            for one in world.state.public_keys.between(key.region, digest.end, digest.end)
            if one.fingerprint == digest.fingerprint == head.fingerprint
        ]
        verify(public.der, head.signature, head.message())
    newest = {(key.trail_name, key.account_id, key.region): str(key) for key, _ in sorted(digests.values(), key=_end)}
    assert set(newest.values()) <= {head.digest_key for head in kept}
    assert set(newest.values()) <= {head.digest_key for head in put}
    assert len({head.chain_id for head in kept}) == len(kept) >= len(FAULTS)


def _end(item: tuple[DigestKey, Digest]) -> int:
    return item[1].end


def hit(world: World, trail: Trail, step: Step, effect: Effect, then: Then) -> list[str]:
    """Publishes, lets one step fail, restarts where the process died, publishes again; returns the events' ids."""
    # A numbered client sends its first batch again after each failure: the repeats are dropped.
    client_id = uuid.uuid4().bytes
    numbered = [str(uuid.uuid4()) for _ in range(5)]
    world.put_on_bus(numbered, client_id=client_id, numbers=range(5))
    published = numbered + world.publish(7)
    world.put_on_bus(numbered[:3], client_id=client_id, numbers=range(3))
    worker, fault = faulty_worker(world, step, effect, then)
    if then is Then.DIES:
        with pytest.raises(Crash):
            worker.run_until(lambda: False)
    else:
        worker.run_until(lambda: fault.fired)
        worker.run_until_digested(trail, len(published))
    assert fault.fired
    worker.close()
    published += world.publish(3)
    world.put_on_bus(numbered[2:], client_id=client_id, numbers=range(2, 5))
    worker = world.worker()
    worker.run_until_digested(trail, len(published))
    worker.close()
    return published


def faulty_worker(world: World, step: Step, effect: Effect, then: Then) -> tuple[Worker, Faulty]:
    if step.port == "reader":
        faults: list[Faulty] = []

        def wrap(reader):
            faults.append(Faulty(reader, step, effect, then))
            return faults[0]

        return world.worker(reader=wrap), faults[0]
    port = world.store if step.port == "store" else getattr(world.state, step.port)
    fault = Faulty(port, step, effect, then)
    return world.worker(**{step.port: fault}), fault
