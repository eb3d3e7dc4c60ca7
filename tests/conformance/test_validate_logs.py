"""Our `validate-logs` beside the unmodified AWS CLI's, on the same buckets.

On valid evidence ours prints what the AWS CLI prints, line by line, and a section of its own behind it. On other
evidence it names each object that the AWS CLI calls invalid, and perhaps more. Exit codes are the same where coverage,
which the AWS CLI does not know, is not asked for.
"""

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
from tests.judges import OUR_SECTION
from tests.servers.aws_cli import AwsCli
from tests.servers.s3 import S3Server

BEGIN = int(START.timestamp())
LIKE_AWS = ["--no-require-coverage"]
# Nobody listens there.
NOBODY = {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
Run = subprocess.CompletedProcess[str]
OURS = "from opentrail_validator.command import main; raise SystemExit(main())"


def environment(s3: S3Server, api: str) -> dict[str, str]:
    return {
        "AWS_ACCESS_KEY_ID": s3.access_key,
        "AWS_SECRET_ACCESS_KEY": s3.secret_key,
        "AWS_ENDPOINT_URL_S3": s3.endpoint,
        "AWS_ENDPOINT_URL_CLOUDTRAIL": api,
        "AWS_ENDPOINT_URL_ORGANIZATIONS": api,
    }


def run_ours(*arguments: str, env: dict[str, str]) -> Run:
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


def invalid(stderr: str) -> set[str]:
    """The objects that were called invalid, with what each is."""
    return {line.partition("\tINVALID: ")[0] for line in stderr.splitlines() if "\tINVALID: " in line}


def assert_ours_says_what_the_judge_says(ours: Run, judge: Run, scenario: Scenario) -> None:
    assert ours.returncode == judge.returncode == (1 if scenario.named else 0)
    assert invalid(judge.stderr) <= invalid(ours.stderr)
    if scenario.named:
        return
    text, mark, section = ours.stdout.partition(OUR_SECTION)
    assert (text, ours.stderr) == (judge.stdout, judge.stderr)
    assert mark
    assert "\nPublic keys:  " in section


@pytest.mark.s3
@pytest.mark.parametrize("name", SCENARIOS)
def test_the_newest_aws_cli_and_ours_say_the_same(name: str, minio: S3Server, aws_cli: list[AwsCli]):
    scenario = build(name, minio)
    with trail_endpoint([describe(scenario)], [listed_key(private_key(0))]) as api:
        env = environment(minio, api)
        judge = aws_cli[0].run("cloudtrail", "validate-logs", *flags(scenario, "--verbose"), env=env)
        ours = run_ours(*flags(scenario, "--verbose", *LIKE_AWS), env=env)
    assert_ours_says_what_the_judge_says(ours, judge, scenario)
    for bucket, key in scenario.named:
        assert f"s3://{bucket}/{key}\tINVALID" in ours.stderr
    assert {line for line in judge.stdout.splitlines() if line.endswith("\tvalid")} >= {
        line for line in ours.stdout.splitlines() if line.endswith("\tvalid")
    }


# Backfill digests are unknown to the older release.
OLDER = ["valid", "log_byte_changed", "digest_deleted", "digest_moved", "gap", "bucket_changed", "organization"]


@pytest.mark.s3
@pytest.mark.parametrize("name", OLDER)
def test_the_older_aws_cli_and_ours_say_the_same_without_verbose(name: str, versitygw: S3Server, aws_cli: list[AwsCli]):
    scenario = build(name, versitygw)
    with trail_endpoint([describe(scenario)], [listed_key(private_key(0))]) as api:
        env = environment(versitygw, api)
        judge = aws_cli[1].run("cloudtrail", "validate-logs", *flags(scenario), env=env)
        ours = run_ours(*flags(scenario, *LIKE_AWS), env=env)
    assert_ours_says_what_the_judge_says(ours, judge, scenario)


@pytest.mark.s3
@pytest.mark.parametrize("name", ["valid", "digest_changed", "organization", "backfill_log_changed"])
def test_a_local_directory_and_a_bundle_give_the_same_report_as_s3(name: str, versitygw: S3Server, tmp_path: Path):
    scenario = build(name, versitygw)
    lay_kept(scenario.chain.objects, tmp_path / "d", storage_key=None)
    with trail_endpoint([describe(scenario)], [listed_key(private_key(0))]) as api:
        env = environment(versitygw, api)
        collect = ["--collect", str(tmp_path / "bundle")]
        in_s3 = run_ours(*flags(scenario, "--verbose", *LIKE_AWS, *collect), env=env)
        local = run_ours(*flags(scenario, "--verbose", *LIKE_AWS, "--directory", str(tmp_path / "d")), env=env)
    offline = run_ours("--from", str(tmp_path / "bundle"), "--verbose", env=NOBODY)
    for other in (local, offline):
        assert (other.returncode, other.stderr) == (in_s3.returncode, in_s3.stderr)
        assert other.stdout.partition(OUR_SECTION)[0] == in_s3.stdout.partition(OUR_SECTION)[0]


@pytest.mark.s3
def test_the_whole_of_a_time_that_evidence_covers_needs_no_more_flags(minio: S3Server):
    scenario = build("valid", minio)
    hours = ["--end-time", iso(BEGIN + 3 * HOUR)]
    with trail_endpoint([describe(scenario)], [listed_key(private_key(0))]) as api:
        ours = run_ours(*flags(scenario, *hours), env=environment(minio, api))
    assert (ours.returncode, ours.stderr) == (0, "")
    assert "Public keys:  1, asked from the CloudTrail API of eu-west-1 (http://127.0.0.1:" in ours.stdout
    assert "; believed, for none were pinned with --public-keys\n" in ours.stdout


USAGE, NOT_CHECKED = 2, 3  # where the AWS CLI says 255
REFUSALS = {
    "unknown trail": (["--trail-arn", "arn:aws:cloudtrail:eu-west-1:111122223333:trail/other"], NOT_CHECKED),
    "no ARN": (["--trail-arn", "audit"], USAGE),
    "not a date": (["--start-time", "yesterday-ish"], USAGE),
    "end before start": (["--end-time", iso(BEGIN - 1)], USAGE),
}


@pytest.mark.s3
@pytest.mark.parametrize("name", REFUSALS)
def test_what_cannot_be_asked_is_refused_alike(name: str, versitygw: S3Server, aws_cli: list[AwsCli]):
    scenario = SCENARIOS["valid"]("bucket", "other")
    (flag, value), code = REFUSALS[name]
    arguments = flags(scenario)
    arguments[arguments.index(flag) + 1] = value
    with trail_endpoint([describe(scenario)], [listed_key(private_key(0))]) as api:
        env = environment(versitygw, api)
        judge = aws_cli[0].run("cloudtrail", "validate-logs", *arguments, env=env)
        ours = run_ours(*arguments, env=env)
    assert (ours.returncode, judge.returncode) == (code, 255)
    assert ours.stdout == judge.stdout == ""
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
    assert (ours.returncode, judge.returncode) == (NOT_CHECKED if flag == "no public keys" else USAGE, 255)
    assert ours.stdout.partition(OUR_SECTION)[0] == judge.stdout
    assert ours.stderr.strip() in judge.stderr


def test_a_server_that_is_not_there_is_no_tampering():
    scenario = SCENARIOS["valid"]("bucket", "other")
    with trail_endpoint([describe(scenario)], [listed_key(private_key(0))]) as api:
        env = NOBODY | {"AWS_ENDPOINT_URL_CLOUDTRAIL": api}
        ours = run_ours(*flags(scenario), env=env)
    assert ours.returncode == NOT_CHECKED
    assert "INVALID" not in ours.stdout + ours.stderr
    assert "could not be checked" in ours.stderr


def test_an_api_that_is_not_there_is_no_tampering():
    scenario = SCENARIOS["valid"]("bucket", "other")
    ours = run_ours(*flags(scenario), env=NOBODY)
    assert ours.returncode == NOT_CHECKED
    assert ours.stderr.startswith("\nNothing could be checked: ")


def test_an_api_that_refuses_is_told():
    scenario = SCENARIOS["organization"]("bucket", "other")
    with trail_endpoint([describe(scenario)], [], organization=None) as api:
        env = NOBODY | {"AWS_ENDPOINT_URL": api}
        ours = run_ours(*flags(scenario), env=env)
    assert ours.returncode == NOT_CHECKED
    assert "AccessDeniedException" in ours.stderr
