"""Who says at the end whether all is well: fsck, the AWS CLI and our own validator."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import Any

from tests import judges
from tests.servers.aws_cli import AwsCli
from tests.soak.bucket_check import TrailBucket
from tests.soak.installation import REGIONS, SPOOL_BUCKET, TRAILS, Installation, SoakTrail
from tests.soak.services import COMMAND, inherited

_SECONDS = 1200.0


def own_ends(cluster: Installation) -> Iterator[str]:
    """A process may fail to start while the broker or PostgreSQL is down; one that ran must not end by itself."""
    for service in cluster.services:
        for end in service.own_ends:
            if end.was_ready:
                yield f"{end.name} ended by itself with {end.code}: {end.printed}"


def parked_ever(cluster: Installation) -> int:
    """How many log files were parked at some time: the spool's bucket keeps versions."""
    pages = cluster.minio.client.get_paginator("list_object_versions").paginate(Bucket=SPOOL_BUCKET, Prefix="parked/")
    return sum(len(page.get("Versions", ())) for page in pages)


def fsck(cluster: Installation) -> tuple[list[str], int]:
    """What `opentrail fsck` says is wrong, and how many copies it calls left over in the spool.

    A process that was killed may leave the copy of a file that was delivered since: the only thing that may lie there.
    """
    done = subprocess.run(
        [*COMMAND, "fsck", "--deep", "--json"],
        env={**inherited(), **cluster.env},
        cwd=cluster.folder,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    if not done.stdout:
        return [f"fsck ended with {done.returncode}: {done.stderr[-3000:]}"], 0
    said: dict[str, Any] = json.loads(done.stdout)
    over = {one["subject"] for one in said["findings"] if one["kind"] == "copy-left-over"}
    wrong = [f"fsck: {one}" for one in said["findings"] if one["kind"] != "copy-left-over"]
    wrong += [f"fsck could not check {one}" for one in said["unchecked"]]
    wrong += [f"fsck ended with {done.returncode}"] if done.returncode else []
    pages = cluster.minio.client.get_paginator("list_objects_v2").paginate(Bucket=SPOOL_BUCKET)
    left = {entry["Key"] for page in pages for entry in page.get("Contents", ())}
    wrong += [f"in the spool, and fsck does not say so: {key}" for key in left if not any(key in one for one in over)]
    return wrong, len(over)


def validate(cluster: Installation, buckets: list[TrailBucket], releases: list[AwsCli]) -> list[str]:
    """What the AWS CLI and our own validator say of each chain; they must name each object of the bucket as valid."""
    findings: list[str] = []

    def check(judged: tuple[TrailBucket, str, str], env: dict[str, str]) -> None:
        bucket, account, region = judged
        trail = bucket.trail
        flags = judges.flags(trail.arn, region, account if trail.declared.organization_id else None)
        expected = {f"s3://{trail.bucket}/{key}" for key in _objects_of(bucket, account, region)}
        verdicts = {"ours": judges.ours(flags, env)}
        for release in releases:
            done = release.run("cloudtrail", "validate-logs", *flags, env=env, timeout=_SECONDS)
            verdicts[f"AWS CLI {release.version}"] = judges.Verdict(done.returncode, done.stdout, done.stderr)
        for judge, verdict in verdicts.items():
            if verdict.code != 0 or verdict.stderr or set(verdict.valid) != expected:
                findings.append(
                    f"{judge} about {trail.name} {account} {region}: exit code {verdict.code}, "
                    f"{len(verdict.valid)} of {len(expected)} objects valid; {verdict.stderr[-1000:]}"
                )

    with cluster.parts() as parts, ThreadPoolExecutor(2) as two:
        for account in sorted({trail.declared.account_id for trail in TRAILS}):
            with judges.api(parts.state, cluster.minio, account) as env:
                chains = [
                    (bucket, *chain)
                    for bucket in buckets
                    if bucket.trail.declared.account_id == account
                    for chain in product(sorted(bucket.trail.accounts), _regions_of(bucket.trail))
                ]
                list(two.map(check, chains, [env] * len(chains)))
    return findings


def _regions_of(trail: SoakTrail) -> tuple[str, ...]:
    return REGIONS if trail.declared.is_multi_region_trail else (trail.declared.home_region,)


def _objects_of(bucket: TrailBucket, account: str, region: str) -> set[str]:
    """The digests of one chain and the log files that they name."""
    digests = bucket.chains()[account, region]
    return {key for digest in digests for key in (digest.s3_object, *(entry.s3_object for entry in digest.log_files))}
