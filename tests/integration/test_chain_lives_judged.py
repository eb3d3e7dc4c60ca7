"""Trails with eventful lives, made in memory and laid into a real S3 server: the AWS CLI and ours judge them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from opentrail.evidence.times import format_time
from opentrail.trails.trail import Trail
from opentrail_backends.object_store import open_object_store
from opentrail_backends.object_store.port import PutOptions
from opentrail_backends.object_store.s3_settings import Credentials
from tests import judges
from tests.crash.chain_evidence import ACCOUNT, BEGINNING, HOUR, REGION
from tests.crash.chain_world import ChainWorld, Process
from tests.servers.aws_cli import AwsCli
from tests.servers.s3 import S3Server

Life = Callable[[ChainWorld, Process, S3Server], Trail]


def stopped_and_started_within_a_second(world: ChainWorld, process: Process, minio: S3Server) -> Trail:
    trail = world.add_trail("stop-start", bucket=minio.new_bucket())
    world.deliver(trail, 2)
    process.run(2.5 * HOUR)
    world.publish(3)
    started = world.start(world.stop(trail))
    process.run(2 * HOUR)
    world.deliver(trail)
    world.deliver(started)
    process.run(2 * HOUR)
    return started


def moved_away_from_a_bucket_that_refuses(world: ChainWorld, process: Process, minio: S3Server) -> Trail:
    trail = world.add_trail("refused", bucket=minio.new_bucket())
    world.deliver(trail)
    process.run(1.5 * HOUR)
    world.store.refusing.add(trail.s3_bucket_name)
    world.deliver_before_refusal(trail)
    process.run(2 * HOUR)
    moved = world.put_trail(trail, s3_bucket_name=minio.new_bucket())
    process.run(HOUR)
    world.deliver(moved)
    process.run(2 * HOUR)
    world.store.refusing.clear()
    return moved


def deleted_and_made_anew(world: ChainWorld, process: Process, minio: S3Server) -> Trail:
    trail = world.add_trail("anew", bucket=minio.new_bucket())
    world.deliver(trail)
    process.run(1.5 * HOUR)
    world.publish()
    world.delete_trail(trail)
    anew = world.add_trail("anew", bucket=trail.s3_bucket_name)
    process.run(HOUR)
    world.deliver(trail)
    world.deliver(anew)
    process.run(2 * HOUR)
    return anew


def stopped_with_files_that_come_late(world: ChainWorld, process: Process, minio: S3Server) -> Trail:
    trail = world.add_trail("late", bucket=minio.new_bucket())
    world.deliver(trail)
    world.deliver(trail, parked=True)
    process.run(1.5 * HOUR)
    stopped = world.stop(trail)
    process.run_until(lambda: world.ended(trail))
    world.deliver(trail)
    process.run(HOUR)
    assert world.deliver_parked() == 1
    process.run(HOUR)
    return stopped


def built_by_nobody_for_hours(world: ChainWorld, process: Process, minio: S3Server) -> Trail:
    trail = world.add_trail("nobody", bucket=minio.new_bucket())
    process.run(1.5 * HOUR)
    for _ in range(12):
        world.clock.move(HOUR)
        world.deliver(trail)
    process.run(1.1 * HOUR)
    process.run(60, step=1)
    return trail


LIVES: list[Life] = [
    stopped_and_started_within_a_second,
    moved_away_from_a_bucket_that_refuses,
    deleted_and_made_anew,
    stopped_with_files_that_come_late,
    built_by_nobody_for_hours,
]


@pytest.mark.s3
@pytest.mark.parametrize("life", LIVES, ids=lambda life: life.__name__)
def test_the_aws_cli_finds_each_file_and_each_digest_valid(
    tmp_path: Path, minio: S3Server, aws_cli: list[AwsCli], life: Life
) -> None:
    with ChainWorld.opened(tmp_path) as world:
        world.settings = replace(world.settings, key_seconds=4 * HOUR)
        trail = life(world, world.process(), minio)
        everything = laid_into(world, minio)
        end = world.clock.milliseconds // 1000
        times = ["--start-time", format_time(BEGINNING - HOUR), "--end-time", format_time(end)]
        flags = ["--trail-arn", trail.arn, *times, "--region", REGION, "--verbose"]
        with judges.api(world.state, minio, ACCOUNT) as env:
            for verdict in (*(judges.aws(cli, flags, env) for cli in aws_cli), judges.ours(flags, env)):
                assert (verdict.code, verdict.invalid) == (0, []), verdict
                assert sorted(verdict.valid) == everything


def laid_into(world: ChainWorld, minio: S3Server) -> list[str]:
    """Copies all buckets to the S3 server; the addresses of all objects."""
    store = open_object_store(
        f"s3://?endpoint={minio.endpoint}&region={minio.region}&allow_http=true",
        credentials=Credentials(minio.access_key, minio.secret_key),
    )
    found = []
    for bucket in world.buckets():
        for info in world.store.list(bucket):
            kept = world.store.get(bucket, info.key)
            store.put(bucket, info.key, kept.body, PutOptions(metadata=kept.metadata))
            found.append(f"s3://{bucket}/{info.key}")
    store.close()
    assert len(found) > 5
    return sorted(found)
