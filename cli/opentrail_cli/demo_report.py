"""What the demo tells its reader: short, in the order in which it happens."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import msgspec
from rich.console import Console
from rich.text import Text

from opentrail.evidence.object_keys import LogFileKey
from opentrail.evidence.times import format_time
from opentrail_cli.demo_evidence import BUCKET, HOME_REGION, Evidence, EvidenceFile, Validation
from opentrail_cli.realistic_events import ACCOUNTS, ORGANIZATION_ID, REGIONS, GeneratedEvent
from opentrail_cli.realistic_events.incident import INTRUDER_ADDRESS
from opentrail_cli.services import Services
from opentrail_validator import Subject, Verdict

_SHOWN_WHOLE = ("444455556666", HOME_REGION)
"""The account and region whose files are listed one by one: where the incident is."""

_STORY = ("GetCallerIdentity", "CreateUser", "StopLogging", "GetSecretValue", "GetObject")


class Report:
    """Prints the demo's steps."""

    def __init__(self, console: Console, directory: Path) -> None:
        self._console = console
        self._directory = directory

    @contextmanager
    def waiting(self, what: str) -> Iterator[None]:
        """Shows that something is under way, on a terminal."""
        if not self._console.is_terminal:
            yield
            return
        with self._console.status(Text(f"{what} …")):
            yield

    def services(self, services: Services) -> None:
        """Everything runs."""
        self._console.print("OpenTrail: from an event to evidence", style="bold")
        self._step(
            "Services", f"producer (gRPC) on {services.producer_address}, delivery, {services.control_plane_url}"
        )

    def sent(self, events: Sequence[GeneratedEvent], seconds: float) -> None:
        """The events are on the bus."""
        size = sum(len(event.record) for event in events)
        where = f"{len(ACCOUNTS)} accounts, {len(REGIONS)} regions"
        self._step("Events", f"{len(events):,} made-up records ({_size(size)}; {where}) sent in {seconds:.1f} s")
        self._detail("each was accepted, which means: the event bus has it durably")
        self._detail(f"an intruder is among them, {_story(events)}")

    def delivered(self, files: Sequence[EvidenceFile], seconds: float) -> None:
        """The files, as a tree; one account's and region's whole, the others as sums."""
        logs = [file for file in files if isinstance(file.parsed, LogFileKey)]
        digests = len(files) - len(logs)
        text = f"{len(logs)} log files and {digests} signed digests in {seconds:.0f} s"
        self._step("Delivery", f"{text} (in real life: every 5 minutes, and every hour)")
        self._console.print(f"\n{self._directory}/buckets/{BUCKET}/AWSLogs/{ORGANIZATION_ID}", style="bold")
        places = sorted({_place(file) for file in files})
        for place in places:
            here = [file for file in files if _place(file) == place]
            is_last = place == places[-1]
            account_id, region = place
            title = f"{account_id}  {ACCOUNTS[account_id]}, {region}"
            self._line(f"{'└' if is_last else '├'}── {title:<44}{_sum(here)}")
            if place == _SHOWN_WHOLE:
                for file in here:
                    self._file("    " if is_last else "│   ", file, is_last=file is here[-1])

    def validated(self, validation: Validation) -> None:
        """Nothing was touched."""
        self._step("Validation", self._ratio(validation))
        self._exit(validation)

    def tampered(self, victim: EvidenceFile, validation: Validation) -> None:
        """One byte was changed."""
        self._step("Tampering", "one byte is changed in the log file that tells of the intruder's StopLogging")
        for finding in validation.invalid:
            self._line(f"           INVALID  {PurePosixPath(finding.key).name}", style="bold red")
        exactly = _keys(validation) == [victim.key]
        others = "exactly this file is reported" if exactly else "that is not what was changed"
        self._detail(f"{others}: {self._ratio(validation)}")
        self._exit(validation)

    def restored(self, validation: Validation) -> None:
        """The byte was put back."""
        self._step("Restored", f"the byte is put back: {self._ratio(validation)}")
        self._exit(validation)

    def next_steps(self, victim: EvidenceFile, evidence: Evidence) -> None:
        """Commands that work in the same folder."""
        path = evidence.path_of(victim).relative_to(evidence.root)
        here, program = self._directory, _program()
        self._console.print("\nTry next", style="bold")
        self._command("Read the intruder's file:", f"{program} cat --data-directory {here} {here}/buckets/{path}")
        options = (
            f"--trail-arn {evidence.trail_arn}",
            f"--start-time {format_time(evidence.start)} --region {victim.parsed.region}",
            f"--account-id {victim.parsed.account_id} --organization-id {ORGANIZATION_ID} --s3-bucket {BUCKET}",
            f"--directory {here}/buckets --storage-key {here}/keys/storage.key",
            f"--no-require-coverage --public-keys {here}/public-keys.json",
        )
        self._command(
            "Change any file of that account and region yourself, then ask what is wrong:",
            " \\\n      ".join((f"{program} validate-logs --verbose", *options)),
        )
        self._command("Run it with your own events:", f"{program} up      then: {program} ingest --add-accounts FILE…")

    def _step(self, name: str, text: str) -> None:
        self._console.print(Text.assemble("\n", (f"{name:<11}", "bold cyan"), text))

    def _detail(self, text: str) -> None:
        self._console.print(f"           {text}", style="dim")

    def _line(self, text: str, style: str | None = None) -> None:
        """A line that is never broken: names of files stay whole."""
        self._console.print(text, style=style, soft_wrap=True)

    def _file(self, indent: str, file: EvidenceFile, *, is_last: bool) -> None:
        is_log = isinstance(file.parsed, LogFileKey)
        name = PurePosixPath(file.key).name
        text = f"{indent}{'└' if is_last else '├'}── {name}  {_size(file.size)}"
        self._line(text, style="green" if is_log else "yellow")

    def _exit(self, validation: Validation) -> None:
        style = "bold green" if validation.exit_code == 0 else "bold red"
        self._console.print(f"           exit code {validation.exit_code}", style=style)

    def _command(self, what: str, command: str) -> None:
        self._console.print(f"  {what}")
        self._console.print(f"    {command}", style="cyan", soft_wrap=True)

    @staticmethod
    def _ratio(validation: Validation) -> str:
        parts = []
        for subject, name in ((Subject.DIGEST, "digest"), (Subject.LOG_FILE, "log")):
            valid = validation.count(subject)
            total = valid + validation.count(subject, Verdict.INVALID) + validation.count(subject, Verdict.UNCHECKED)
            parts.append(f"{valid}/{total} {name} files valid")
        return ", ".join(parts)


def _program() -> str:
    """How the reader's shell finds the command: after `make demo` it is in the virtual environment."""
    if shutil.which("opentrail") is not None:
        return "opentrail"
    script = Path(sys.argv[0])
    return os.path.relpath(script) if script.name == "opentrail" and script.is_file() else "opentrail"


def _place(file: EvidenceFile) -> tuple[str, str]:
    return file.parsed.account_id, file.parsed.region


def _keys(validation: Validation) -> list[str]:
    return [finding.key for finding in validation.invalid]


def _sum(files: Sequence[EvidenceFile]) -> str:
    logs = [file for file in files if isinstance(file.parsed, LogFileKey)]
    counts = f"{_count(len(logs), 'log file')}, {_count(len(files) - len(logs), 'digest')}"
    return f"{counts}, {_size(sum(file.size for file in files))}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _story(events: Sequence[GeneratedEvent]) -> str:
    theirs = (event.record for event in events if INTRUDER_ADDRESS.encode() in event.record)
    names = {msgspec.json.decode(record)["eventName"] for record in theirs}
    return f"{INTRUDER_ADDRESS}: " + " → ".join(name for name in _STORY if name in names)


def _size(count: int) -> str:
    return f"{count / 1024:.1f} KB" if count < 1024 * 1024 else f"{count / 1024 / 1024:.1f} MB"
