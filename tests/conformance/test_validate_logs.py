"""Our `validate-logs` beside the unmodified AWS CLI's, on the same buckets: the same lines, streams and exit codes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.evidence_maker.layouts import lay_in_s3, lay_kept
from tests.evidence_maker.maker import HOUR, START, iso, listed_key, private_key
from tests.evidence_maker.scenarios import SCENARIOS, Scenario
from tests.evidence_maker.trail_endpoint import trail_endpoint
from tests.servers.aws_cli import AwsCli
from tests.servers.s3 import S3Server

BEGIN = int(START.timestamp())
OURS = "from opentrail_validator.command import main; raise SystemExit(main())"


def environment(s3: S3Server, api: str) -> dict[str, str]:
    return {
        "AWS_ACCESS_KEY_ID": s3.access_key,
        "AWS_SECRET_ACCESS_KEY": s3.secret_key,
        "AWS_ENDPOINT_URL_S3": s3.endpoint,
        "AWS_ENDPOINT_URL_CLOUDTRAIL": api,
        "AWS_ENDPOINT_URL_ORGANIZATIONS": api,
    }


def run_ours(*arguments: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """As a process of its own, like the judge, so that streams and exit code are the real ones."""
    plain = {name: text for name, text in os.environ.items() if not name.startswith("AWS_")}
    limits = {"AWS_MAX_ATTEMPTS": "1", "AWS_EC2_METADATA_DISABLED": "true"}
    return subprocess.run(
        [sys.executable, "-c", OURS, *arguments],
        env=plain | limits | env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def flags(scenario: Scenario, *more: str) -> list[str]:
    begin = ["--trail-arn", scenario.chain.arn, "--start-time", iso(BEGIN), "--end-time", iso(BEGIN + 24 * HOUR)]
    region = [] if "--region" in scenario.flags else ["--region", scenario.chain.region]
    return [*begin, *region, *scenario.flags, *more]


def describe(scenario: Scenario) -> dict[str, object]:
    trail = {
        "TrailARN": scenario.chain.arn,
        "S3BucketName": scenario.chain.bucket,
        "IsOrganizationTrail": scenario.is_organization_trail,
    }
    return trail | ({"S3KeyPrefix": scenario.chain.prefix} if scenario.chain.prefix else {})


def build(name: str, s3: S3Server) -> Scenario:
    scenario = SCENARIOS[name](s3.new_bucket(), s3.new_bucket())
    lay_in_s3(scenario.chain.objects, s3.client)
    return scenario


@pytest.mark.s3
@pytest.mark.parametrize("name", SCENARIOS)
def test_the_newest_aws_cli_and_ours_say_the_same(name: str, minio: S3Server, aws_cli: list[AwsCli]):
    scenario = build(name, minio)
    with trail_endpoint([describe(scenario)], [listed_key(private_key(0))]) as api:
        env = environment(minio, api)
        judge = aws_cli[0].run("cloudtrail", "validate-logs", *flags(scenario, "--verbose"), env=env)
        ours = run_ours(*flags(scenario, "--verbose"), env=env)
    assert (ours.stdout, ours.stderr, ours.returncode) == (judge.stdout, judge.stderr, judge.returncode)
    assert ours.returncode == (1 if scenario.named else 0)
    for bucket, key in scenario.named:
        assert f"s3://{bucket}/{key}\tINVALID" in ours.stderr


# Backfill digests are unknown to the older release.
OLDER = ["valid", "log_byte_changed", "digest_deleted", "digest_moved", "gap", "bucket_changed", "organization"]


@pytest.mark.s3
@pytest.mark.parametrize("name", OLDER)
def test_the_older_aws_cli_and_ours_say_the_same_without_verbose(name: str, versitygw: S3Server, aws_cli: list[AwsCli]):
    scenario = build(name, versitygw)
    with trail_endpoint([describe(scenario)], [listed_key(private_key(0))]) as api:
        env = environment(versitygw, api)
        judge = aws_cli[1].run("cloudtrail", "validate-logs", *flags(scenario), env=env)
        ours = run_ours(*flags(scenario), env=env)
    assert (ours.stdout, ours.stderr, ours.returncode) == (judge.stdout, judge.stderr, judge.returncode)


@pytest.mark.s3
@pytest.mark.parametrize("name", ["valid", "digest_changed", "organization", "backfill_log_changed"])
def test_a_local_directory_gives_the_same_report_as_s3(name: str, versitygw: S3Server, tmp_path: Path):
    scenario = build(name, versitygw)
    lay_kept(scenario.chain.objects, tmp_path, storage_key=None)
    with trail_endpoint([describe(scenario)], [listed_key(private_key(0))]) as api:
        env = environment(versitygw, api)
        in_s3 = run_ours(*flags(scenario, "--verbose"), env=env)
        local = run_ours(*flags(scenario, "--verbose", "--directory", str(tmp_path)), env=env)
    assert (local.stdout, local.stderr, local.returncode) == (in_s3.stdout, in_s3.stderr, in_s3.returncode)


REFUSALS = {
    "unknown trail": ["--trail-arn", "arn:aws:cloudtrail:eu-west-1:111122223333:trail/other"],
    "no ARN": ["--trail-arn", "audit"],
    "not a date": ["--start-time", "yesterday-ish"],
    "end before start": ["--end-time", iso(BEGIN - 1)],
}


@pytest.mark.s3
@pytest.mark.parametrize("name", REFUSALS)
def test_what_cannot_be_asked_is_refused_alike(name: str, versitygw: S3Server, aws_cli: list[AwsCli]):
    scenario = SCENARIOS["valid"]("bucket", "other")
    arguments = REFUSALS[name]
    with trail_endpoint([describe(scenario)], [listed_key(private_key(0))]) as api:
        env = environment(versitygw, api)
        judge = aws_cli[0].run("cloudtrail", "validate-logs", *flags(scenario), *arguments, env=env)
        ours = run_ours(*flags(scenario), *arguments, env=env)
    assert ours.returncode == judge.returncode == 255
    assert ours.stdout == judge.stdout
    assert ours.stderr.strip() in judge.stderr


@pytest.mark.s3
@pytest.mark.parametrize("flag", ["organization without account", "no public keys"])
def test_what_the_api_says_is_refused_alike(flag: str, minio: S3Server, aws_cli: list[AwsCli]):
    scenario = build("organization" if "organization" in flag else "valid", minio)
    scenario.flags = []
    keys = [] if flag == "no public keys" else [listed_key(private_key(0))]
    with trail_endpoint([describe(scenario)], keys) as api:
        env = environment(minio, api)
        judge = aws_cli[0].run("cloudtrail", "validate-logs", *flags(scenario), env=env)
        ours = run_ours(*flags(scenario), env=env)
    assert (ours.stdout, ours.returncode) == (judge.stdout, judge.returncode)
    assert ours.returncode == 255
    assert ours.stderr.strip() in judge.stderr


# Nobody listens there.
NOBODY = {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}


def test_a_server_that_is_not_there_is_no_tampering():
    scenario = SCENARIOS["valid"]("bucket", "other")
    with trail_endpoint([describe(scenario)], [listed_key(private_key(0))]) as api:
        env = NOBODY | {"AWS_ENDPOINT_URL_CLOUDTRAIL": api}
        ours = run_ours(*flags(scenario), env=env)
    assert ours.returncode == 3
    assert "INVALID" not in ours.stdout + ours.stderr
    assert "could not be checked" in ours.stderr


def test_an_api_that_is_not_there_is_no_tampering():
    scenario = SCENARIOS["valid"]("bucket", "other")
    ours = run_ours(*flags(scenario), env=NOBODY)
    assert ours.returncode == 3
    assert ours.stderr.startswith("\nNothing could be checked: ")


def test_an_api_that_refuses_is_told():
    scenario = SCENARIOS["organization"]("bucket", "other")
    with trail_endpoint([describe(scenario)], [], organization=None) as api:
        env = NOBODY | {"AWS_ENDPOINT_URL": api}
        ours = run_ours(*flags(scenario), env=env)
    assert ours.returncode == 255
    assert "AccessDeniedException" in ours.stderr
