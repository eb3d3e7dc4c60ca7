"""Each durable step x {lost, kept but reported as failed} x {the process dies, goes on}, on every state store and bus.

All faults hit one world, one after the other, so each finds what the earlier ones left behind. In the end the whole
bucket is read by us, by `validate-logs` and by the AWS CLI.
"""

import itertools
from collections import Counter
from dataclasses import replace

import pytest

from opentrail.trails.trail import Trail
from opentrail_backends.event_bus import open_event_bus
from opentrail_backends.key_management import open_key_management
from opentrail_backends.object_store import open_object_store
from opentrail_backends.object_store.s3_settings import Credentials
from opentrail_backends.state import open_state_store
from tests import judges
from tests.crash.faults import STEPS, Effect, Faulty, Step, Then
from tests.crash.world import ACCOUNT, REGION, Crash, Worker, World, assert_chains_unforked, assert_exactly_once

FAULTS = [
    (step, effect, then)
    for step, effect, then in itertools.product(STEPS, Effect, Then)
    # Committing a hint raises nothing: its port says so.
    if not (step.port == "reader" and then is Then.GOES_ON)
]


@pytest.fixture(params=["sqlite", "postgresql"])
def state(request, tmp_path):
    url = f"sqlite:///{tmp_path}/state.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_database")()
    store = open_state_store(url, secret_key=b"k" * 32)
    store.migrate()
    yield store
    store.close()


@pytest.fixture(params=["embedded", pytest.param("kafka", marks=pytest.mark.kafka)])
def bus(request, tmp_path):
    url = f"embedded:///{tmp_path}/bus.db"
    if request.param == "kafka":
        url = f"kafka://{request.getfixturevalue('kafka_bootstrap')}?prefix=crash.{tmp_path.name}.&replication=1&min_insync=1"
    bus = open_event_bus(url)
    bus.ensure_topic(REGION, 1)
    yield bus
    bus.close()


@pytest.fixture
def world(state, bus, minio, tmp_path):
    store = open_object_store(
        f"s3://?endpoint={minio.endpoint}&region={minio.region}&allow_http=true",
        credentials=Credentials(minio.access_key, minio.secret_key),
    )
    keys = open_key_management(f"file://{tmp_path}/keys")
    yield World(bus, store, state, keys, minio.new_bucket())
    store.close()


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


def hit(world: World, trail: Trail, step: Step, effect: Effect, then: Then) -> list[str]:
    """Publishes, lets one step fail, restarts where the process died, publishes again; returns the events' ids."""
    published = world.publish(5) + world.publish(7)
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
