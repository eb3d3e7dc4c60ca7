"""What is asked on the command line, judged as a whole: all mistakes are told together, before anything is read."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from opentrail_validator.flags import OUTPUTS, FlagsMistaken, read_flags
from opentrail_validator.question import Checks
from opentrail_validator.trail_place import BadRequest, parse_moment, parse_trail_arn

T = TypeVar("T")

DEFAULT_CONCURRENCY: Final = 128
MOST_CONCURRENCY: Final = 1024
_ACCOUNT: Final = re.compile(r"[0-9]{12}")
_REGION: Final = re.compile(r"[a-z0-9-]+")
_ORGANIZATION: Final = re.compile(r"o-[a-z0-9]+")

_NOT_WITH_FROM: Final = (
    "s3_bucket",
    "s3_prefix",
    "organization_id",
    "endpoint_url",
    "directory",
    "storage_key",
    "concurrency",
    "state",
    "collect",
)
_NOT_EMPTY: Final = (
    "s3_bucket",
    "endpoint_url",
    "directory",
    "storage_key",
    "public_keys",
    "heads",
    "proof",
    "state",
    "collect",
    "bundle",
)
_WITH_PROOF: Final = ("proof", "public_keys", "region", "endpoint_url", "output", "verbose", "progress")


class UsageMistakes(Exception):
    """The flags cannot be meant so. Each mistake is a sentence for the user, the AWS CLI's where it has one."""

    def __init__(self, mistakes: Sequence[str]) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = tuple(mistakes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The flags. `accounts` and `regions`: None: all that lie in the bucket; empty: none were named."""

    trail_arns: tuple[str, ...]
    start: int | None
    end: int | None
    accounts: tuple[str, ...] | None
    regions: tuple[str, ...] | None
    bucket: str | None
    prefix: str | None
    organization_id: str | None
    endpoint_url: str | None
    directory: Path | None
    storage_key: Path | None
    concurrency: int
    public_keys: Path | None
    heads: str | None
    require_coverage: bool | None
    """None: not said; it is required, or as it was when a bundle was collected."""
    records: bool
    unlisted: bool
    proof: Path | None
    state: Path | None
    full: bool
    collect: Path | None
    bundle: Path | None
    output: str
    verbose: bool
    progress: bool | None
    """None: on a terminal."""

    @property
    def checks(self) -> Checks:
        """What is checked beyond what the AWS CLI checks."""
        return Checks(records=self.records, unlisted=self.unlisted, coverage=self.require_coverage is not False)


def read_options(argv: Sequence[str] | None, now: int) -> Options:
    """Takes the command line apart. `now`: epoch seconds, the default end. Raises UsageMistakes."""
    try:
        flags, unknown = read_flags(argv)
    except FlagsMistaken as error:
        raise UsageMistakes([str(error)]) from None
    return options_of(flags, unknown, now)


def options_of(flags: argparse.Namespace, unknown: Sequence[str], now: int) -> Options:
    """Judges flags that were read, and what is none of them. Raises UsageMistakes."""
    reader = _Reader(flags, [f"unrecognized argument: {argument}" for argument in unknown])
    options = reader.options(now)
    if reader.mistakes:
        raise UsageMistakes(reader.mistakes)
    return options


class _Reader:
    """Reads values; what is wrong with one becomes a mistake, and the next is read."""

    def __init__(self, flags: argparse.Namespace, mistakes: list[str]) -> None:
        self._flags = flags
        self.mistakes = mistakes

    def options(self, now: int) -> Options:
        flags = self._flags
        self._find_what_is_missing()
        self._find_what_is_empty()
        self._find_what_does_not_go_together()
        start, end = self._times(now)
        return Options(
            trail_arns=self._list("trail_arn", _trail_arn),
            start=start,
            end=end,
            accounts=None if flags.all_accounts else self._list("account_id", _account),
            regions=None if flags.all_regions else self._list("region", _region),
            bucket=flags.s3_bucket,
            prefix=flags.s3_prefix,
            organization_id=self._value("organization_id", _organization),
            endpoint_url=flags.endpoint_url,
            directory=self._value("directory", Path),
            storage_key=self._value("storage_key", Path),
            concurrency=self._value("concurrency", _concurrency) or DEFAULT_CONCURRENCY,
            public_keys=self._value("public_keys", Path),
            heads=self._value("heads", _heads),
            require_coverage=flags.require_coverage,
            records=not flags.no_records,
            unlisted=not flags.no_unlisted,
            proof=self._value("proof", Path),
            state=self._value("state", Path),
            full=flags.full,
            collect=self._value("collect", Path),
            bundle=self._value("bundle", Path),
            output=self._value("output", _output) or "text",
            verbose=flags.verbose,
            progress=flags.progress,
        )

    def _find_what_is_missing(self) -> None:
        flags = self._flags
        if flags.bundle is None and flags.proof is None:
            missing = [name for name in ("trail_arn", "start_time") if not getattr(flags, name)]
            if missing:
                self.mistakes.append(f"the following arguments are required: {', '.join(map(_flag, missing))}")

    def _find_what_is_empty(self) -> None:
        """An empty path would be the current directory: a variable that is not set must not choose what is trusted."""
        empty = [name for name in _NOT_EMPTY if getattr(self._flags, name) == ""]
        self.mistakes += [f"{_flag(name)} is empty: give it a value, or leave it out" for name in empty]

    def _find_what_does_not_go_together(self) -> None:
        flags, mistakes = self._flags, self.mistakes
        if flags.proof is not None:
            given = [_flag(name) for name, value in vars(flags).items() if value and name not in _WITH_PROOF]
            mistakes += [f"{flag} has no meaning with --proof" for flag in given]
            if flags.output not in {"text", "json"}:
                mistakes.append("--output is text or json with --proof")
            return
        if flags.bundle is not None:
            given = [_flag(name) for name in _NOT_WITH_FROM if getattr(flags, name) is not None]
            mistakes += [f"{flag} has no meaning with --from: everything lies in the bundle" for flag in given]
            if (flags.heads or "").startswith("s3://"):
                mistakes.append("--heads cannot be a bucket with --from: that needs no network")
        elif flags.s3_bucket is None and flags.organization_id is not None:
            mistakes.append("--organization-id has a meaning only with --s3-bucket")
        if flags.storage_key is not None and flags.directory is None:
            mistakes.append("--storage-key has a meaning only with --directory")
        if flags.state is not None and flags.collect is not None:
            mistakes.append("--state has no meaning with --collect: a bundle holds all of the time asked for")
        for one, other in (("account_id", "all_accounts"), ("region", "all_regions")):
            if getattr(flags, one) and getattr(flags, other):
                mistakes.append(f"{_flag(one)} and {_flag(other)} exclude each other")

    def _times(self, now: int) -> tuple[int | None, int | None]:
        start, end = self._value("start_time", parse_moment), self._value("end_time", parse_moment)
        if end is None and self._flags.bundle is None:
            end = now
        if start is not None and end is not None and start > end:
            self.mistakes.append("Invalid time range specified: start-time must occur before end-time")
        return start, end

    def _value(self, name: str, read: Callable[[str], T]) -> T | None:
        text = getattr(self._flags, name)
        return None if text is None else self._read(text, read)

    def _list(self, name: str, read: Callable[[str], str]) -> tuple[str, ...]:
        """The values of a flag that may be repeated and hold several, each once, in the order given."""
        texts = [part.strip() for text in getattr(self._flags, name) or () for part in text.split(",")]
        values = [self._read(text, read) for text in texts]
        return tuple(dict.fromkeys(value for value in values if value is not None))

    def _read(self, text: str, read: Callable[[str], T]) -> T | None:
        try:
            return read(text)
        except BadRequest as error:
            self.mistakes.append(str(error))
            return None


def _flag(name: str) -> str:
    return "--from" if name == "bundle" else f"--{name.replace('_', '-')}"


def _trail_arn(text: str) -> str:
    parse_trail_arn(text)
    return text


def _account(text: str) -> str:
    if not _ACCOUNT.fullmatch(text):
        raise BadRequest(f"Invalid --account-id: {text} is not 12 digits")
    return text


def _region(text: str) -> str:
    if not _REGION.fullmatch(text):
        raise BadRequest(f"Invalid --region: {text!r} is no name of a region")
    return text


def _organization(text: str) -> str:
    if not _ORGANIZATION.fullmatch(text):
        raise BadRequest(f"Invalid --organization-id: {text} is not o- and letters and digits")
    return text


def _heads(text: str) -> str:
    if text.startswith("s3://") and not text.removeprefix("s3://").partition("/")[0]:
        raise BadRequest(f"Invalid --heads: {text} names no bucket")
    return text


def _concurrency(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,4}", text) or not 1 <= int(text) <= MOST_CONCURRENCY:
        raise BadRequest(f"Invalid --concurrency: {text} is not a number from 1 to {MOST_CONCURRENCY}")
    return int(text)


def _output(text: str) -> str:
    if text not in OUTPUTS:
        raise BadRequest(f"Invalid --output: {text} is none of {', '.join(OUTPUTS)}")
    return text
