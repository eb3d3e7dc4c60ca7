"""Where signed chain heads are kept beside the digests: a file of the auditor's, or another bucket.

A source looks at the heads' names only, whose stamp is that of the digest. What a head says, and whether it is signed,
is judged by `opentrail_validator.heads`.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections.abc import Iterator
from operator import itemgetter
from pathlib import Path
from typing import Any, Final, NamedTuple

from opentrail.evidence.chain_head import HEAD_FOLDER
from opentrail.evidence.object_keys import DIGEST_FOLDER, DigestKey, MalformedKey, parse_key
from opentrail.evidence.times import MalformedTime, parse_time
from opentrail_validator.folder_digests import day_of, listed_between
from opentrail_validator.readers.port import (
    CouldNotRead,
    ObjectDamaged,
    ObjectReader,
    Outcome,
    Place,
    ReaderUnavailable,
    StoredObject,
)

HEAD_APART: Final = re.compile(r"_[0-9a-f]{8}(?=\.json\Z)")
"""In the name of a head: a part of its chain's id, where another chain's head has the name that its digest gives it."""
_STAMP: Final = re.compile(r"_([0-9]{4})([0-9]{2})([0-9]{2})T([0-9]{2})([0-9]{2})([0-9]{2})Z\.json\Z")


class HeadFile:
    """Heads in a file, as `opentrail heads export` writes it: `{"Heads": […]}`, a JSON list, or an object a line.

    It is read at once. A head that names no digest is given to everyone who asks, so that it is told of.
    """

    def __init__(self, path: Path) -> None:
        """Raises ReaderUnavailable with a message for the user."""
        self._path = path
        self._placed: list[_Placed] = []
        self._unplaced: list[bytes] = []
        for document, data in _documents(path):
            placed = _placed(document, data)
            if placed is None:
                self._unplaced.append(data)
            else:
                self._placed.append(placed)
        self._placed.sort()

    def heads(self, bucket: str, folder: str, start: int, end: int) -> Iterator[bytes]:  # noqa: ARG002 - see below
        """Heads of digests with keys in the folder and ends from `start` to `end` (epoch seconds).

        Whatever bucket they name: one that was altered names another than its signature is for.
        """
        yield from self._unplaced
        for placed in self._placed[bisect_left(self._placed, folder, key=itemgetter(0)) :]:
            if not placed.key.startswith(folder):
                return
            if start <= placed.end <= end:
                yield placed.data

    def origin(self) -> str:
        """For the report."""
        return f"the file {self._path}"


class HeadBucket:
    """Heads in a bucket: each under its digest's key, but in a folder of heads (`chain_head.head_key`)."""

    def __init__(self, objects: ObjectReader, bucket: str, prefix: str = "") -> None:
        """`prefix`: what comes before these keys, without a slash at its end."""
        self._objects = objects
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""

    def heads(self, bucket: str, folder: str, start: int, end: int) -> Iterator[bytes]:  # noqa: ARG002 - see below
        """Heads of digests with keys in the folder and ends from `start` to `end` (epoch seconds), by their names.

        Whatever bucket they name, and also those with names that no head has: one that was altered, or renamed, is told
        of. Raises CouldNotRead.
        """
        heads = self._prefix + in_folder(HEAD_FOLDER, folder, instead_of=DIGEST_FOLDER)
        listed = listed_between(self._objects, self._bucket, heads, day_of(start), day_of(end))
        places = (Place(self._bucket, entry.key) for entry in listed if _is_within(entry.key, start, end))
        for outcome in self._objects.read_all(places, _outcome):
            if isinstance(outcome, StoredObject):
                yield outcome.body
            elif isinstance(outcome, CouldNotRead):
                raise outcome
            elif isinstance(outcome, ObjectDamaged):
                yield b""

    def origin(self) -> str:
        """For the report."""
        return f"s3://{self._bucket}/{self._prefix}".removesuffix("/")


def in_folder(name: str, folder: str, *, instead_of: str) -> str:
    """A folder's path with another folder in it; the last one of that name, as a prefix may have such a part too."""
    above, found, below = folder.rpartition(f"/{instead_of}/")
    return f"{above}/{name}/{below}" if found else folder


class _Placed(NamedTuple):
    """A head by its digest's key and end."""

    key: str
    end: int
    data: bytes


def _documents(path: Path) -> Iterator[tuple[Any, bytes]]:
    """The JSON values that ought to be heads."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise ReaderUnavailable(f"The heads in {path} could not be read: {error.strerror}") from None
    try:
        values = _lines(text)
    except (ValueError, RecursionError):
        values = _whole(text, path)
    for value in values:
        yield value, json.dumps(value).encode()


def _lines(text: bytes) -> list[Any]:
    """The values of a document with one in each line, or all in one line. Raises ValueError, RecursionError."""
    values = [json.loads(line) for line in text.splitlines() if line.strip()]
    if not values:
        raise ValueError("empty")
    return _in(values[0]) if len(values) == 1 else values


def _whole(text: bytes, path: Path) -> list[Any]:
    """The values of a document over several lines."""
    try:
        return _in(json.loads(text))
    except (ValueError, RecursionError):
        raise ReaderUnavailable(
            f'{path} is no file of chain heads: {{"Heads": […]}}, a JSON list, or a JSON object a line'
        ) from None


def _in(document: Any) -> list[Any]:
    if isinstance(document, dict) and isinstance(document.get("Heads"), list):
        document = document["Heads"]
    return document if isinstance(document, list) else [document]


def _placed(document: Any, data: bytes) -> _Placed | None:
    """The head with its digest's key; None: it names no digest."""
    key = document.get("digestS3Object") if isinstance(document, dict) else None
    try:
        digest = parse_key(key) if isinstance(key, str) else None
    except MalformedKey:
        return None
    return _Placed(str(digest), digest.end_seconds, data) if isinstance(digest, DigestKey) else None


def _is_within(key: str, start: int, end: int) -> bool:
    """Whether a head's name has an end that is asked for; a name that has none may be anything."""
    match = _STAMP.search(HEAD_APART.sub("", key))
    if match is None:
        return True
    try:
        return start <= parse_time("{}-{}-{}T{}:{}:{}Z".format(*match.groups())) <= end
    except MalformedTime:
        return True


def _outcome(_place: Place, outcome: Outcome) -> Outcome:
    return outcome
