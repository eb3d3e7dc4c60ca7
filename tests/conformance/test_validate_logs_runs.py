"""Many chains of an organization in one run, on a real S3 server: heads in a second bucket, a state file, a bundle."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conformance.test_validate_logs import NOBODY, OURS, environment, run_ours
from tests.evidence_maker.heads import made_head
from tests.evidence_maker.layouts import lay_in_s3
from tests.evidence_maker.maker import (
    HOUR,
    START,
    Chain,
    MadeObject,
    Place,
    change_content,
    iso,
    listed_key,
    private_key,
)
from tests.evidence_maker.trail_endpoint import trail_endpoint
from tests.servers.s3 import S3Server

BEGIN = int(START.timestamp())
ACCOUNTS = ("111122223333", "444455556666")
REGIONS = ("eu-west-1", "us-east-1")
ORGANIZATION = "o-exampleorg1"


def head_key(digest: str) -> str:
    return "kept/" + digest.replace("CloudTrail-Digest", "OpenTrail-Head").removesuffix(".gz")


@pytest.mark.s3
def test_an_organization_is_validated_watched_and_collected(minio: S3Server, tmp_path: Path) -> None:
    bucket, heads = minio.new_bucket(), minio.new_bucket()
    objects: dict[Place, MadeObject] = {}
    chains = [
        Chain(objects, bucket, organization=ORGANIZATION, account=account, region=region).hours(3)
        for account in ACCOUNTS
        for region in REGIONS
    ]
    lay_in_s3(objects, minio.client)
    for chain in chains:
        for place in chain.digests:
            body = json.dumps(made_head(chain, place)).encode()
            minio.client.put_object(Bucket=heads, Key=head_key(place[1]), Body=body)
    trail = {"TrailARN": chains[0].arn, "S3BucketName": bucket, "IsOrganizationTrail": True}
    when = ["--start-time", iso(BEGIN), "--end-time", iso(BEGIN + 3 * HOUR)]
    asked = ["--trail-arn", chains[0].arn, *when, "--all-accounts", "--all-regions", "--heads", f"s3://{heads}/kept"]
    state = ["--state", str(tmp_path / "state.json"), "--concurrency", "16"]
    with trail_endpoint([trail], [listed_key(private_key(0))], ORGANIZATION) as api:
        env = environment(minio, api)
        first = run_ours(*asked, *state, env=env)
        assert (first.returncode, first.stderr) == (0, "")
        assert first.stdout.count("3/3 digest files valid\n6/6 log files valid") == 4
        assert "\nCovered:      4 of 4 chains wholly\n" in first.stdout
        assert f"\nHeads:        checked 12, of s3://{heads}/kept\n" in first.stdout

        again = run_ours(*asked, *state, "--output", "json", env=env)
        assert again.returncode == 0
        assert {chain["verifiedBefore"] for chain in json.loads(again.stdout)["chains"]} == {iso(BEGIN + 3 * HOUR)}

        altered = chains[1].logs[3]
        change_content(objects, altered, b"Get", b"Put")
        lay_in_s3({altered: objects[altered]}, minio.client)
        for place in [*chains[2].digests, *chains[2].logs]:
            minio.client.delete_object(Bucket=place[0], Key=place[1])
        bad = run_ours(*asked, "--output", "json", "--collect", str(tmp_path / "bundle"), env=env)
        assert bad.returncode == 1
        found = json.loads(bad.stdout)
        keys = {finding["key"] for finding in found["findings"] if finding["verdict"] == "invalid"}
        assert {altered[1], *(place[1] for place in chains[2].digests)} <= keys
        assert [chain["verdict"] for chain in found["chains"]] == ["valid", "invalid", "invalid", "valid"]
        assert found["summary"]["affected"]["accounts"] == [*ACCOUNTS]
    offline = run_ours("--from", str(tmp_path / "bundle"), "--output", "json", env={})
    assert offline.returncode == 1
    assert json.loads(offline.stdout)["findings"] == found["findings"]


def test_ctrl_c_ends_a_run_at_once_though_a_server_is_silent(tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps([listed_key(private_key(0))]))
    flags = ["--trail-arn", Chain().arn, "--start-time", iso(BEGIN), "--end-time", iso(BEGIN + HOUR)]
    flags += ["--account-id", ",".join(ACCOUNTS), "--s3-bucket", "logs", "--public-keys", str(keys)]
    # Where this process ignores the signal, as in the background, another one that it starts would, too.
    heeding = f"import signal; signal.signal(signal.SIGINT, signal.default_int_handler); {OURS}"
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(60)
        env = os.environ | NOBODY | {"AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{silent.getsockname()[1]}"}
        running = subprocess.Popen([sys.executable, "-c", heeding, *flags], env=env, stdout=subprocess.DEVNULL)
        connection, _ = silent.accept()
        with connection:
            running.send_signal(signal.SIGINT)
            try:
                assert running.wait(10) == 130
            finally:
                running.kill()
                running.wait()
