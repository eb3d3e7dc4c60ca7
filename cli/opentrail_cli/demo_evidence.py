"""The demo's evidence: which files there are, what the validator says of them, and how one of them is changed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from opentrail.evidence.object_keys import DigestKey, LogFileKey, parse_key
from opentrail_cli.composition import Parts
from opentrail_cli.reading import export_public_keys, read_object
from opentrail_cli.realistic_events import ACCOUNTS, ORGANIZATION_ID
from opentrail_validator import (
    Finding,
    LocalDirectory,
    Question,
    Sources,
    Subject,
    TrailPlace,
    Verdict,
    read_public_keys,
    read_storage_key,
    validate,
)

BUCKET = "demo-audit-logs"
HOME_REGION = "us-east-1"


class EvidenceFile(NamedTuple):
    """One object in the bucket."""

    key: str
    size: int
    parsed: LogFileKey | DigestKey


@dataclass(frozen=True, slots=True)
class Validation:
    """What the validator found in all chains."""

    findings: Sequence[Finding]

    @property
    def exit_code(self) -> int:
        """That of `validate-logs`."""
        if self.invalid:
            return 1
        return 3 if any(finding.verdict is Verdict.UNCHECKED for finding in self.findings) else 0

    @property
    def invalid(self) -> Sequence[Finding]:
        """What is wrong."""
        return [finding for finding in self.findings if finding.verdict is Verdict.INVALID]

    def count(self, subject: Subject, verdict: Verdict = Verdict.VALID) -> int:
        """How many files of a kind have a verdict."""
        return sum(finding.subject is subject and finding.verdict is verdict for finding in self.findings)


class Evidence:
    """The files that the demo's trail delivered."""

    def __init__(self, parts: Parts, owner: str, trail_name: str, began: int) -> None:
        """`began`: epoch seconds before the trail's logging started."""
        self.trail_arn = f"arn:aws:cloudtrail:{HOME_REGION}:{owner}:trail/{trail_name}"
        self.start = began - 60
        self.root = Path(unquote(urlsplit(parts.settings.url_of("object_store")).path))
        self.storage_key = Path(unquote(urlsplit(parts.settings.url_of("keys")).path)) / "storage.key"
        self._parts = parts
        self._trail_name = trail_name
        self._public_keys = Path()

    def write_public_keys(self, file: Path) -> None:
        """Exports the public keys, as `opentrail keys export` does; validation trusts these."""
        file.write_text(json.dumps(export_public_keys(self._parts.state, self._parts.settings.regions), indent=2))
        self._public_keys = file

    def files(self) -> Sequence[EvidenceFile]:
        """Every log file and digest in the bucket."""
        infos = self._parts.object_store.list(BUCKET, "AWSLogs/o-")
        return [EvidenceFile(info.key, info.size, parse_key(info.key)) for info in infos]

    def path_of(self, file: EvidenceFile) -> Path:
        """Where an object lies on the disk."""
        return self.root / BUCKET / file.key

    def log_file_with(self, text: bytes) -> EvidenceFile:
        """A log file that holds a record with this text."""
        for file in self.files():
            if isinstance(file.parsed, LogFileKey) and text in read_object(self._parts, f"s3://{BUCKET}/{file.key}"):
                return file
        raise LookupError(text)

    def validate(self) -> Validation:
        """Validates each chain as `validate-logs` does: from the files and the exported keys alone."""
        objects = LocalDirectory(self.root, read_storage_key(self.storage_key))
        sources = Sources(objects=objects, public_keys=read_public_keys(self._public_keys))
        now = self._parts.state.configuration.now() // 1000
        findings: list[Finding] = []
        for account_id in ACCOUNTS:
            for region in self._parts.settings.regions:
                place = TrailPlace(
                    bucket=BUCKET,
                    prefix=None,
                    organization_id=ORGANIZATION_ID,
                    account_id=account_id,
                    region=region,
                    trail_name=self._trail_name,
                    home_region=HOME_REGION,
                )
                question = Question(trail_arn=self.trail_arn, place=place, start=self.start, end=now, now=now)
                findings += validate(question, sources)
        return Validation(findings)


@contextmanager
def changed_byte(path: Path) -> Iterator[None]:
    """Flips one bit of one byte near the middle of a file; puts it back afterwards."""
    original = path.read_bytes()
    position = len(original) * 2 // 3
    changed = bytearray(original)
    changed[position] ^= 1
    mode = path.stat().st_mode
    path.chmod(mode | 0o200)  # the store's files are read-only
    try:
        path.write_bytes(changed)
        yield
    finally:
        path.write_bytes(original)
        path.chmod(mode)
