"""One real record is sent, delivered, digested and proven, for somebody who has nothing but the proof and the keys."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from opentrail_cli.reading import export_public_keys
from opentrail_validator import LocalDirectory, Question, Sources, TrailPlace, read_storage_key
from opentrail_validator.proof import Outcome, check_proof
from opentrail_validator.prove import prove
from tests import judges
from tests.conformance.event_proof_checkers import PROVE, VALIDATE, check_by_hand, run
from tests.evidence_maker.in_memory import pinned
from tests.evidence_maker.maker import HOUR
from tests.pipeline.pipeline import pipeline
from tests.servers.s3 import S3Server

ACCOUNT, REGION = "123837392027", "us-east-1"
"""Of the real records."""


@dataclass
class Delivered:
    """What delivery has left, and what an auditor needs of it."""

    folder: Path
    trail_arn: str
    bucket: str
    records: list[dict[str, Any]]
    keys: list[dict[str, Any]]


@pytest.fixture(scope="module")
def delivered(tmp_path_factory: pytest.TempPathFactory, real_records: Path) -> Iterator[Delivered]:
    """Real records that were sent, delivered and digested, and the public keys as an operator exports them."""
    folder = tmp_path_factory.mktemp("pipeline")
    files = sorted((real_records / "log-files").glob("*.json.gz"))[:12]
    records = [record for file in files for record in json.loads(gzip.decompress(file.read_bytes()))["Records"]]
    with pipeline(folder, regions=(REGION,)) as running:
        trail = running.add_trail("audit", account_id=ACCOUNT, home_region=REGION)
        running.start_delivery()
        for start in range(0, len(records), 100):
            running.publish_over_grpc(records[start : start + 100], ACCOUNT, REGION)
        running.wait_until_digested(len(records), trail)
        running.stop_delivery()
        keys = export_public_keys(running.state, (REGION,))
        (folder / "keys.json").write_text(json.dumps(keys))
        yield Delivered(folder, trail.arn, running.bucket, records, keys["PublicKeyList"])


@pytest.mark.real_records
def test_one_real_record_out_of_what_delivery_wrote(delivered: Delivered, tmp_path: Path):
    wanted = delivered.records[len(delivered.records) // 2]
    began = datetime.now(UTC) - timedelta(hours=2)
    made = run(
        PROVE,
        wanted["eventID"],
        *("--trail-arn", delivered.trail_arn, "--s3-bucket", delivered.bucket, "--directory", "objects"),
        *("--storage-key", "keys/storage.key", "--public-keys", "keys.json"),
        *("--event-time", wanted["eventTime"], "--start-time", f"{began:%Y-%m-%dT%H:%M:%SZ}"),
        folder=delivered.folder,
    )
    assert (made.returncode, made.stderr) == (0, "")
    (tmp_path / "proof.json").write_text(made.stdout)
    (tmp_path / "keys.json").write_text(json.dumps(delivered.keys))
    checked = run(VALIDATE, "--proof", "proof.json", "--public-keys", "keys.json", folder=tmp_path)
    assert (checked.returncode, checked.stderr) == (0, "")
    assert checked.stdout.startswith(f"Proof of event {wanted['eventID']}: valid\n")
    proven = json.loads(json.loads(made.stdout)["record"])
    assert proven.items() >= {name: value for name, value in wanted.items() if name != "eventID"}.items()
    by_hand = check_by_hand(tmp_path / "empty", made.stdout.encode(), delivered.keys)
    assert (by_hand.returncode, by_hand.stdout.splitlines()[-1]) == (0, "Verified OK"), by_hand.stderr


@pytest.mark.real_records
def test_every_record_that_delivery_wrote_can_be_proven(delivered: Delivered):
    objects = LocalDirectory(delivered.folder / "objects", read_storage_key(delivered.folder / "keys" / "storage.key"))
    sources = Sources(objects=objects, public_keys=pinned(*delivered.keys))
    now = int(time.time())
    place = TrailPlace(
        bucket=delivered.bucket,
        prefix=None,
        organization_id=None,
        account_id=ACCOUNT,
        region=REGION,
        trail_name="audit",
        home_region=REGION,
    )
    question = Question(trail_arn=delivered.trail_arn, place=place, start=now - 24 * HOUR, end=now + HOUR, now=now)
    trusted = pinned(*delivered.keys).between(0, 0)
    for record in delivered.records[::25]:
        assert check_proof(prove(record["eventID"], question, sources), trusted).outcome is Outcome.PROVEN


@pytest.mark.s3
def test_out_of_a_bucket_with_the_keys_that_the_api_gives(tmp_path: Path, minio: S3Server):
    with pipeline(tmp_path, s3=minio) as running:
        trail = running.add_trail("audit")
        running.start_delivery()
        ids = running.send(30)
        running.wait_until_digested(30, trail)
        running.stop_delivery()
        begin = f"{datetime.now(UTC) - timedelta(hours=2):%Y-%m-%dT%H:%M:%SZ}"
        with judges.api(running.state, minio, trail.account_id) as env:
            asked = ("--trail-arn", trail.arn, "--start-time", begin)
            made = run(PROVE, ids[17], *asked, "--out", "proof.json", folder=tmp_path, env=env)
            assert (made.returncode, made.stderr) == (0, "")
            asked = ("--proof", "proof.json", "--region", trail.home_region)
            checked = run(VALIDATE, *asked, folder=tmp_path, env=env)
            assert (checked.returncode, checked.stderr) == (0, "")
            assert f"asked from the CloudTrail API of {trail.home_region}" in checked.stdout
            missing = run(
                PROVE, "no-such-event", "--trail-arn", trail.arn, "--start-time", begin, folder=tmp_path, env=env
            )
            assert (missing.returncode, missing.stdout) == (1, "")
        unreachable = run(VALIDATE, *asked, folder=tmp_path, env=env)
        assert unreachable.returncode == 3
        alone = run(VALIDATE, "--proof", "proof.json", folder=tmp_path)
        assert alone.returncode == 3
        assert "the public key comes from the proof itself" in alone.stdout
