"""Reads records from files: CloudTrail's log files, lists of records, and one record a line.

A record's bytes are passed on as they are in the file: it is decoded only as far as is needed to send it.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

import msgspec

SUFFIXES = (".json", ".json.gz", ".jsonl", ".jsonl.gz")


class UnreadableFile(Exception):
    """The file as a whole, or what is left of it, cannot be read; the message says why."""


class FoundRecord(NamedTuple):
    """A record and where it was found."""

    file: Path
    position: int
    """From 1: its place in the file's list, or its line."""
    record: bytes
    account_id: str | None
    """`recipientAccountId`, if it has one that is a text."""
    region: str | None
    """`awsRegion`, likewise."""


class _LogFile(msgspec.Struct):
    records: list[msgspec.Raw] = msgspec.field(name="Records")


class _Peek(msgspec.Struct):
    account_id: Any = msgspec.field(name="recipientAccountId", default=None)
    region: Any = msgspec.field(name="awsRegion", default=None)


_log_file = msgspec.json.Decoder(_LogFile | list[msgspec.Raw])
_peek = msgspec.json.Decoder(_Peek)


def records_in(file: Path, content: IO[bytes] | None = None) -> Iterator[FoundRecord]:
    """The file's records in order.

    What is no record (a line of a `.jsonl` that is no JSON) is yielded too: the service refuses it and says why.
    Raises UnreadableFile.

    Args:
        file: its name says how it is read.
        content: what is read in the file's place.
    """
    if not file.name.endswith(SUFFIXES):
        raise UnreadableFile(f"its name must end with {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}")
    try:
        with file.open("rb") if content is None else nullcontext(content) as opened:
            for position, text in _texts(file, opened):
                yield _found(file, position, text)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UnreadableFile(f"it is no whole gzip file: {error}") from error
    except OSError as error:
        raise UnreadableFile(error.strerror or str(error)) from error


def _texts(file: Path, opened: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    plain = cast("IO[bytes]", gzip.GzipFile(fileobj=opened)) if file.suffix == ".gz" else opened
    return _lines(plain) if ".jsonl" in file.suffixes[-2:] else _members(plain.read())


def _lines(plain: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    for number, line in enumerate(plain, 1):
        text = line.strip()
        if text:
            yield number, text


def _members(content: bytes) -> Iterator[tuple[int, bytes]]:
    try:
        decoded = _log_file.decode(content)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise UnreadableFile(f'it is neither {{"Records": […]}} nor a list of records: {error}') from error
    members = decoded.records if isinstance(decoded, _LogFile) else decoded
    yield from enumerate(map(bytes, members), 1)


def _found(file: Path, position: int, record: bytes) -> FoundRecord:
    try:
        peek = _peek.decode(record)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return FoundRecord(file, position, record, None, None)
    account_id = peek.account_id if isinstance(peek.account_id, str) else None
    region = peek.region if isinstance(peek.region, str) else None
    return FoundRecord(file, position, record, account_id, region)
