"""The AWS CLI, unmodified, as the judge of the evidence: the newest release, and the one that many still have."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.servers import cache

VERSIONS = ("1.46.2", "1.45.11")
REQUIREMENTS = Path(__file__).parents[2] / "requirements"


@dataclass(frozen=True, slots=True)
class AwsCli:
    """One release of the AWS CLI, in a virtual environment of its own."""

    version: str
    python: Path

    def run(
        self, *arguments: str, env: Mapping[str, str] | None = None, timeout: float = 240.0
    ) -> subprocess.CompletedProcess[str]:
        """Runs `aws` with these arguments, and returns its exit code and what it printed.

        Of our own environment it sees nothing but PATH. The keys are dummies unless `env` brings others, as it
        brings the endpoints (AWS_ENDPOINT_URL_CLOUDTRAIL, _S3, _ORGANIZATIONS).
        """
        with tempfile.TemporaryDirectory(prefix="opentrail-aws-") as home:
            return subprocess.run(
                [self.python, "-m", "awscli", *arguments],
                cwd=home,
                env={
                    "PATH": os.environ["PATH"],
                    "HOME": home,
                    "LC_ALL": "C.UTF-8",
                    "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
                    "AWS_SECRET_ACCESS_KEY": "dummy",
                    "AWS_DEFAULT_REGION": "us-east-1",
                    "AWS_EC2_METADATA_DISABLED": "true",
                    "AWS_MAX_ATTEMPTS": "2",
                    "AWS_PAGER": "",
                    **(env or {}),
                },
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=timeout,
                check=False,
            )


def all_versions() -> list[AwsCli]:
    """The newest release first. Raises Unavailable."""
    return [get(version) for version in VERSIONS]


def get(version: str) -> AwsCli:
    """One release, installed if needed. Raises Unavailable."""

    def build(place: Path) -> None:
        lock = REQUIREMENTS / f"awscli-{version}.txt"
        python = place / "bin" / "python"
        uv = shutil.which("uv")
        if uv:
            cache.run([uv, "venv", "-q", "--python", sys.executable, place])
            cache.run(
                [uv, "pip", "install", "-q", "--compile-bytecode", "--require-hashes", "--python", python, "-r", lock]
            )
        else:
            cache.run([sys.executable, "-m", "venv", place])
            cache.run([python, "-m", "pip", "install", "-q", "--no-cache-dir", "--require-hashes", "-r", lock])

    # A virtual environment belongs to one Python; its folder is renamed when it is complete, so the scripts in
    # its bin/ do not start: the module does.
    minor = f"py{sys.version_info.major}.{sys.version_info.minor}"
    return AwsCli(version, cache.build_once(f"awscli-{version}-{minor}", build) / "bin" / "python")
