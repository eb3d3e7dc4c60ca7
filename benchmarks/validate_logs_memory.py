"""The memory that it takes to validate very many log files: a year of hourly digests, a million log files.

Digests are made beforehand, in a directory; log files, all with the same content, are made when they are read. So the
process that is measured holds nothing but what the validator keeps.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from opentrail_validator import LocalDirectory, Question, Sources, validate
from opentrail_validator.findings import Verdict
from opentrail_validator.public_keys import read_public_keys
from opentrail_validator.readers.port import ListedObject, Outcome, Place, StoredObject
from tests.evidence_maker.in_memory import place_of
from tests.evidence_maker.layouts import lay_plain
from tests.evidence_maker.maker import HOUR, START, Chain, iso, listed_key, private_key, stamp

T = TypeVar("T")

_A_YEAR = 8_760
_FEWEST_HOURS = 876
_CONTENT = b'{"Records":[]}'
_BODY = gzip.compress(_CONTENT, mtime=0)


class _ManyFiles(Chain):
    """Digests that list log files which are nowhere."""

    def hour(self, logs: int = 2, **changes: Any) -> tuple[str, str]:
        start, self.now = self.now, self.now + HOUR
        files = [
            {
                "s3Bucket": self.bucket,
                "s3Object": key,
                "hashValue": hashlib.sha256(_CONTENT).hexdigest(),
                "hashAlgorithm": "SHA-256",
                "newestEventTime": iso(start),
                "oldestEventTime": iso(start),
            }
            for key in log_file_keys(self, start, logs)
        ]
        return self.put_digest(self._digest(start, self.now, files) | changes)


def log_file_keys(chain: Chain, start: int, count: int) -> Iterator[str]:
    """The keys of an hour's log files, sorted."""
    for number in range(count):
        delivered = start + 60 * (60 * number // count)
        unique = f"{number:016}".translate(str.maketrans("01", "AB"))
        name = f"{chain.account}_CloudTrail_{chain.region}_{stamp(delivered, '%Y%m%dT%H%MZ')}_{unique}.json.gz"
        yield f"{chain._folder('CloudTrail', delivered)}/{name}"  # noqa: SLF001 - the tests' maker of keys


class _Reader:
    """Digests from a directory, log files from nowhere."""

    def __init__(self, root: Path, chain: Chain, hours: int, files: int) -> None:
        self._digests = LocalDirectory(root)
        self._chain = chain
        self._hours = hours
        self._files = files

    def get(self, bucket: str, key: str) -> StoredObject:
        return StoredObject(_BODY, {}) if "_CloudTrail_" in key else self._digests.get(bucket, key)

    def read_all(self, places: Iterable[Place], look: Callable[[Place, Outcome], T]) -> Iterator[T]:
        return (look(place, self.get(*place)) for place in places)

    def list(self, bucket: str, prefix: str, start_after: str = "") -> Iterator[ListedObject]:
        if "CloudTrail-Digest/" in prefix or "/CloudTrail/" not in prefix:
            yield from self._digests.list(bucket, prefix, start_after)
            return
        begin = int(START.timestamp())
        for hour in range(self._hours):
            for key in log_file_keys(self._chain, begin + hour * HOUR, files_in(hour, self._hours, self._files)):
                if key.startswith(prefix) and key > start_after:
                    yield ListedObject(key)

    def folders(self, bucket: str, prefix: str) -> Iterator[str]:
        return self._digests.folders(bucket, prefix)


def files_in(hour: int, hours: int, files: int) -> int:
    """How many log files an hour has."""
    return files // hours + (hour < files % hours)


def run(files: int = 100_000) -> None:
    """Prints the memory of a process that validates so many log files, and of one that validates none."""
    hours = min(_A_YEAR, max(_FEWEST_HOURS, files * _A_YEAR // 1_000_000))
    with TemporaryDirectory() as folder:
        root = Path(folder)
        chain = _ManyFiles()
        for hour in range(hours):
            chain.hour(files_in(hour, hours, files))
            lay_plain(chain.objects, root)
            chain.objects.clear()
        (root / "keys.json").write_text(
            json.dumps([listed_key(private_key(0)) | {"ValidityEndTime": chain.now + HOUR}])
        )
        nothing, _ = _measure(root, 0, 0)
        most, seconds = _measure(root, hours, files)
    print(
        f"{files:,} log files of {hours:,} digests: {most / 1e6:,.0f} MB at most ({nothing / 1e6:,.0f} MB of them for "
        f"the empty range), {seconds:,.0f} s with the time to make them"
    )


def _measure(root: Path, hours: int, files: int) -> tuple[int, float]:
    """The largest resident size (bytes) of a process that validates the evidence, and the seconds it took."""
    began = time.monotonic()
    command = [sys.executable, "-m", __name__, str(root), str(hours), str(files)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return int(done.stdout) * 1024, time.monotonic() - began


def _validate(root: Path, hours: int, files: int) -> None:
    """What the measured process does. Raises AssertionError if it does not find all valid."""
    chain = Chain()
    start = int(START.timestamp())
    end = start + hours * HOUR
    question = Question(trail_arn=chain.arn, place=place_of(chain), start=start, end=end, now=end)
    sources = Sources(objects=_Reader(root, chain, hours, files), public_keys=read_public_keys(root / "keys.json"))
    findings = valid = 0
    for finding in validate(question, sources):
        findings += 1
        valid += finding.verdict is Verdict.VALID
        assert not hours or finding.verdict is Verdict.VALID, finding
    assert not hours or valid == findings == hours + files, (findings, valid)
    print(_most_resident())


def _most_resident() -> int:
    """The largest resident size of this process so far, in KiB.

    Linux's `ru_maxrss` begins with the size of whoever started the process; the mark in /proc is the process's own.
    """
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(status.partition("VmHWM:")[2].split()[0])


if __name__ == "__main__":
    _validate(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
