"""Who decides whether our evidence holds: the unmodified AWS CLI, and our own validator as a user runs it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import boto3

from opentrail_backends.state.port import AccessKey, StateStore
from opentrail_control_plane.operations.context import Ports
from opentrail_control_plane.rates import NO_LIMITS
from opentrail_control_plane.server import ControlPlaneServer, ControlPlaneSettings
from tests.servers.aws_cli import AwsCli
from tests.servers.s3 import S3Server

OUR_SECTION = "\nCovered: "
"""With it begins what we print behind the AWS CLI's text."""
_OURS = "import sys; from opentrail_validator.command import main; sys.exit(main())"


@dataclass(frozen=True)
class Verdict:
    """What a judge said. `section`: what we print behind all that the AWS CLI prints."""

    code: int
    stdout: str
    stderr: str
    section: str = ""

    @property
    def valid(self) -> list[str]:
        """The objects that were called valid, in order."""
        return [line.split("\t")[1] for line in self.stdout.splitlines() if line.endswith("\tvalid")]

    @property
    def invalid(self) -> list[str]:
        """The objects that were called invalid, in order."""
        return [line.split("\t")[1] for line in self.stderr.splitlines() if "\tINVALID" in line]


@contextmanager
def api(state: StateStore, s3: S3Server, account: str) -> Iterator[dict[str, str]]:
    """Our API on loopback, open to the S3 server's own credentials; yields the judges' environment."""
    state.configuration.put_access_key(AccessKey(s3.access_key, s3.secret_key, account))
    regions = boto3.Session().get_available_regions("cloudtrail")
    ports = Ports(targets=None, intake=None, regions=regions, token_key=bytes(32))
    server = ControlPlaneServer(ControlPlaneSettings(), state, time.time, ports=ports, limits=NO_LIMITS)
    endpoint = f"http://127.0.0.1:{server.start()}"
    try:
        yield {
            "AWS_ENDPOINT_URL_CLOUDTRAIL": endpoint,
            "AWS_ENDPOINT_URL_ORGANIZATIONS": endpoint,
            "AWS_ENDPOINT_URL_S3": s3.endpoint,
            "AWS_ACCESS_KEY_ID": s3.access_key,
            "AWS_SECRET_ACCESS_KEY": s3.secret_key,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
    finally:
        server.stop(5)


def flags(trail_arn: str, region: str, account_id: str | None = None) -> list[str]:
    """The whole of the last day and the next hour, everything shown."""
    now = datetime.now(UTC)
    begin, end = now - timedelta(days=1), now + timedelta(hours=1)
    span = ["--start-time", f"{begin:%Y-%m-%dT%H:%M:%SZ}", "--end-time", f"{end:%Y-%m-%dT%H:%M:%SZ}"]
    account = ["--account-id", account_id] if account_id else []
    return ["--trail-arn", trail_arn, *span, "--region", region, "--verbose", *account]


def aws(cli: AwsCli, arguments: list[str], env: Mapping[str, str]) -> Verdict:
    """`aws cloudtrail validate-logs`."""
    done = cli.run("cloudtrail", "validate-logs", *arguments, env=env)
    return Verdict(done.returncode, done.stdout, done.stderr)


def ours(arguments: list[str], env: Mapping[str, str]) -> Verdict:
    """`validate-logs`, as a process of its own that sees no other AWS settings.

    The day before a pipeline was started is in no digest: coverage is not asked for, as the AWS CLI does not either.
    """
    plain = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    done = subprocess.run(
        [sys.executable, "-c", _OURS, *arguments, "--no-require-coverage"],
        env=plain | dict(env),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    stdout, mark, section = done.stdout.partition(OUR_SECTION)
    return Verdict(done.returncode, stdout, done.stderr, mark + section)
