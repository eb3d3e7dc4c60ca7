"""The command, on a local directory, in this process."""

from __future__ import annotations

from pathlib import Path

from opentrail_validator.command import main
from tests.evidence_maker.maker import HOUR, START, Chain, iso

BEGIN = int(START.timestamp())
KEY = bytes(range(32))


def at(chain: Chain, hours: float) -> list[str]:
    """Which trail and when: so many hours from the first digest's start."""
    return ["--trail-arn", chain.arn, "--start-time", iso(BEGIN), "--end-time", iso(BEGIN + int(hours * HOUR))]


def run(chain: Chain, root: Path, keys: Path, *more: str, hours: float | None = None) -> int:
    """Validates the chain in the directory, by default for as long as it is; the exit code."""
    long = max(1, len(chain.digests)) if hours is None else hours
    local = ["--s3-bucket", chain.bucket, "--directory", str(root), "--public-keys", str(keys)]
    return main([*at(chain, long), *local, *more])
