"""A restored ledger, a cut log and a topic made anew on Kafka and MinIO: each is noticed, settled, and validates."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from opentrail.trails.trail import Trail
from opentrail_backends.event_bus import open_event_bus
from opentrail_backends.key_management import open_key_management
from opentrail_backends.object_store import open_object_store
from opentrail_backends.object_store.in_memory import InMemoryObjectStore
from opentrail_backends.object_store.s3_settings import Credentials
from opentrail_delivery.settings import DeliverySettings
from opentrail_delivery.spool import Spool
from tests import judges
from tests.crash.operating import dump, next_offset, open_state, restore, settle
from tests.crash.world import ACCOUNT, REGION, World, assert_exactly_once
from tests.servers.aws_cli import AwsCli
from tests.servers.s3 import S3Server


@pytest.fixture
def world(kafka_bootstrap: str, minio: S3Server, tmp_path: Path) -> Iterator[World]:
    name = f"settle-{uuid.uuid4().hex[:12]}"  # all tests share the broker
    bus = open_event_bus(f"kafka://{kafka_bootstrap}?prefix={name}.&replication=1&min_insync=1")
    bus.ensure_topic(REGION, 1)
    store = open_object_store(
        f"s3://?endpoint={minio.endpoint}&region={minio.region}&allow_http=true",
        credentials=Credentials(minio.access_key, minio.secret_key),
    )
    keys = open_key_management(f"file://{tmp_path}/keys")
    settings = DeliverySettings(window_seconds=0, digest_seconds=1, put_threads=4)
    spool = Spool(InMemoryObjectStore(["spool-bucket"]), "spool-bucket")
    world = World(bus, store, open_state(tmp_path), keys, minio.new_bucket(), spool, settings)
    yield world
    bus.close()
    store.close()
    world.state.close()


def deliver(world: World, trail: Trail, *counts: int) -> None:
    worker = world.worker()
    for count in counts:
        world.publish(count)
        worker.run_until_digested(trail, len(world.published))
    worker.close()


def halts(world: World, said: str) -> None:
    """The partition is noticed before anything is written, and the message names the command."""
    before = [info.key for info in world.store.list(world.bucket)]
    worker = world.worker()
    deadline = time.monotonic() + 60
    while not worker.status.snapshot()["halted"]:
        assert time.monotonic() < deadline
        worker.share.run_once()
    (reason,) = worker.status.snapshot()["halted"].values()
    worker.close()
    assert said in reason
    assert "opentrail settle" in reason
    assert [info.key for info in world.store.list(world.bucket)] == before


def admin(world: World) -> Any:
    return world.bus._cluster._client()  # type: ignore[attr-defined]


def cut_start(world: World, below: int) -> None:
    from kafka import TopicPartition

    topic = world.bus.topics()[REGION]
    admin(world).delete_records({TopicPartition(topic.name, 0): below})


def make_topic_anew(world: World) -> None:
    admin(world).delete_topics([world.bus.topics()[REGION].name])
    deadline = time.monotonic() + 60
    while REGION in world.bus.topics():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    world.bus.ensure_topic(REGION, 1)


@pytest.mark.kafka
@pytest.mark.s3
@pytest.mark.timeout(600)
def test_each_of_them_is_noticed_settled_and_validates(
    world: World, minio: S3Server, aws_cli: list[AwsCli], tmp_path: Path
) -> None:
    trail = world.add_trail("trail")
    deliver(world, trail, 5)
    copy = dump(tmp_path)
    deliver(world, trail, 4, 3)

    restore(world, tmp_path, copy)
    halts(world, "restored from a backup")
    report = settle(world)
    assert report.adopted_digests > 0
    assert [(one.trouble, one.next_offset, one.adopted) for one in report.partitions] == [("ledger-behind", 3, 2)]
    assert report.strange_digests == []
    deliver(world, trail, 2)

    lost = [*world.publish(3), *world.publish(1)]
    world.publish(2)
    cut_start(world, 6)
    halts(world, "deleted before they were delivered")
    (done,) = settle(world).partitions
    assert (done.trouble, done.next_offset) == ("cut-at-start", 6)
    world.published = [one for one in world.published if one not in lost]
    deliver(world, trail, 2)

    make_topic_anew(world)
    world.publish(2)
    halts(world, "made anew")
    (done,) = settle(world).partitions
    assert (done.trouble, done.next_offset) == ("topic-anew", 0)
    deliver(world, trail, 3)
    assert next_offset(world) == 2

    assert_exactly_once(world.evidence(), ["trail"], world.published)
    recorded = {(one.first_offset, one.end_offset) for one in world.state.ledger.lost_offsets()}
    assert recorded == {(4, 6), (8, 8)}
    with judges.api(world.state, minio, ACCOUNT) as env:
        flags = judges.flags(trail.arn, REGION)
        for verdict in (judges.aws(aws_cli[0], flags, env), judges.ours(flags, env)):
            assert (verdict.code, verdict.invalid) == (0, []), verdict
            assert len(verdict.valid) >= len(world.evidence().log_files)
