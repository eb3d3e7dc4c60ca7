"""`--from DIR`: a bundle as the source of everything, read-only, from wherever it lies now.

It answers as the sources answered when it was collected. What was not asked then is not known: that is `CouldNotRead`,
never a missing object. Keys in a bundle prove nothing: whoever made the bundle chose them.
"""

from __future__ import annotations

import base64
import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from opentrail.evidence.chain_head import MalformedHead, parse_head
from opentrail_validator.bundle import FORMAT, INDEX, MANIFEST, METADATA_SUFFIX, path_by_hash, path_of
from opentrail_validator.bundle_index import Index, blob, name
from opentrail_validator.question import Question
from opentrail_validator.readers.local_file import read_file, size_of
from opentrail_validator.readers.port import (
    MAX_BYTES,
    ApiNotReached,
    ApiRefused,
    CouldNotRead,
    ListedObject,
    ObjectDamaged,
    ObjectMissing,
    Outcome,
    Place,
    PublicKey,
    ReaderUnavailable,
    StoredObject,
)
from opentrail_validator.readers.threads import Begun, ReadingThreads, read_one
from opentrail_validator.trail_place import LAST_MOMENT

T = TypeVar("T")
_THREADS: Final = 4
_PAGE: Final = 1000
_MAX_MANIFEST: Final = 64 << 20
"""Bytes; a question, of which there is one for each chain, has some five hundred."""
_MAX_METADATA: Final = 1 << 20
_NOT_HERE: Final = "not in this bundle"
_NO_INDEX: Final = "the bundle's index cannot be read"
_OUTCOMES: Final[dict[str, type[Exception]]] = {
    "missing": ObjectMissing,
    "damaged": ObjectDamaged,
    "unreadable": CouldNotRead,
}
_UNREADABLE: Final = (sqlite3.Error, ValueError, TypeError, KeyError, AttributeError, RecursionError)


class Bundle:
    """A bundle, open. Raises ReaderUnavailable if it is none, or not complete."""

    def __init__(self, root: Path) -> None:
        self.root = root
        try:
            manifest = json.loads(read_file(root / MANIFEST, _MAX_MANIFEST))
            if manifest["format"] != FORMAT:
                raise ReaderUnavailable(f"{root} is a bundle of another format: {str(manifest['format'])[:80]!r}")
            self.questions = _questions(manifest["questions"])
            self.collected = str(manifest["collected"])
            self.are_pinned = bool(manifest["publicKeys"]["pinned"])
            self.has_heads = manifest["heads"] is not None
            size_of(root / INDEX)  # it is a file
            self.index = Index.open(root / INDEX)
            self.index.rows("SELECT COUNT(*) FROM absent WHERE bucket = ?", b"")
        except ObjectMissing:
            raise ReaderUnavailable(f"{root} is no evidence bundle, or its collection did not finish") from None
        except (ObjectDamaged, CouldNotRead, *_UNREADABLE) as error:
            raise ReaderUnavailable(f"The bundle {root} cannot be read: {error}") from None

    def close(self) -> None:
        """Closes its index."""
        self.index.close()


class BundleReader:
    """The ObjectReader of a bundle."""

    def __init__(self, bundle: Bundle) -> None:
        self._root = bundle.root
        self._index = bundle.index
        self._threads = ReadingThreads(_THREADS)

    def get(self, bucket: str, key: str) -> StoredObject:
        """What was read then. Raises ObjectMissing, ObjectDamaged, CouldNotRead."""
        return read_one(self._begin, Place(bucket, key))

    def read_all(self, places: Iterable[Place], look: Callable[[Place, Outcome], T]) -> Iterator[T]:
        """Reads many objects, several at a time; results come in the order of `places`."""
        return self._threads.read_all(self._begin, places, look)

    def list(self, bucket: str, prefix: str, start_after: str = "") -> Iterator[ListedObject]:
        """The objects that were listed then. Raises CouldNotRead where the list was not read further."""
        with _telling_of_the_index():
            answer = self._answer(bucket, prefix, start_after)
            if answer is None:
                raise CouldNotRead(_NOT_HERE)
            number, state, detail, last = answer
            wanted, after = blob(prefix), blob(start_after)
            first = max(wanted, after)
            query = "SELECT key, modified FROM entries WHERE list = ? AND key >= ? ORDER BY key LIMIT ?"
            while page := self._index.rows(query, number, first, _PAGE):
                for key, modified in page:
                    if key < first:  # A damaged index may give one page for ever.
                        raise ValueError("its lists are not in order")
                    if not key.startswith(wanted):
                        return
                    if key > after:
                        yield ListedObject(name(key), _moment(modified))
                    first = key + b"\0"
        if state == "failed":
            raise CouldNotRead(str(detail))
        if state != "finished" and not (last is not None and last > wanted and not last.startswith(wanted)):
            raise CouldNotRead(_NOT_HERE)

    def folders(self, bucket: str, prefix: str) -> Iterator[str]:
        """The folders that were there then. Raises CouldNotRead."""
        with _telling_of_the_index():
            query = "SELECT names, detail FROM folders WHERE bucket = ? AND prefix = ?"
            for names, detail in self._index.rows(query, blob(bucket), blob(prefix)):
                if names is None:
                    raise CouldNotRead(str(detail))
                yield from map(str, json.loads(names))
                return
        raise CouldNotRead(_NOT_HERE)

    def _begin(self, place: Place) -> Begun:
        """Finds an object. Raises ObjectMissing, ObjectDamaged, CouldNotRead."""
        for path in (path_of(*place), path_by_hash(*place)):
            if path is not None:
                with suppress(ObjectMissing):
                    return Begun(size_of(self._root / path), partial(self._read, self._root / path, *place))
        with _telling_of_the_index():
            query = "SELECT outcome, detail FROM absent WHERE bucket = ? AND key = ?"
            for outcome, detail in self._index.rows(query, *map(blob, place)):
                raise _OUTCOMES[outcome](str(detail))
        raise CouldNotRead(_NOT_HERE)

    def _read(self, file: Path, bucket: str, key: str) -> StoredObject:
        """An object and its metadata, if it had some. Raises ObjectMissing, ObjectDamaged, CouldNotRead."""
        body = read_file(file, MAX_BYTES)
        try:
            text: str | bytes = read_file(file.with_name(file.name + METADATA_SUFFIX), _MAX_METADATA)
        except ObjectMissing:
            with _telling_of_the_index():
                query = "SELECT metadata FROM metadata WHERE bucket = ? AND key = ?"
                rows = self._index.rows(query, blob(bucket), blob(key))
            if not rows:
                return StoredObject(body, None)
            text = rows[0][0]
        except ObjectDamaged as error:
            raise CouldNotRead(f"the metadata that was kept beside it cannot be read: {error}") from None
        return StoredObject(body, _metadata(text))

    def _answer(self, bucket: str, prefix: str, start_after: str) -> tuple[int, str, str, bytes | None] | None:
        """The list that holds what is asked for: of this prefix or a shorter one; the one that was read furthest."""
        asked, after = blob(prefix), blob(start_after)
        query = (
            "SELECT id, state, detail, last FROM lists WHERE bucket = ? AND prefix = ? "
            "AND (start_after <= ? OR start_after < ?)"
        )
        for length in range(len(asked), -1, -1):
            found = self._index.rows(query, blob(bucket), asked[:length], after, asked)
            if found:
                return max(found, key=lambda row: (row[1] == "finished", row[3] or b"", row[0]))
        return None


class BundleKeys:
    """The keys that the bundle came with, as they were answered for a region."""

    def __init__(self, bundle: Bundle, region: str) -> None:
        self._bundle = bundle
        self._region = region

    def between(self, start: int, end: int) -> Mapping[str, PublicKey]:
        """The answer to this question then, or what it would have been, by that to a wider one.

        Raises ApiRefused, ApiNotReached.
        """
        query = (
            'SELECT start, "end", answer FROM keys WHERE region = ? AND start <= ? AND "end" >= ? '
            'ORDER BY "end" - start'
        )
        try:
            rows = self._bundle.index.rows(query, self._region, start, end)
            if not rows:
                raise ApiNotReached(f"public keys of this time are {_NOT_HERE}")
            asked_start, asked_end, text = rows[0]
            answer = json.loads(text)
            if "refused" in answer:
                raise ApiRefused(str(answer["refused"]))
            if "notReached" in answer:
                raise ApiNotReached(str(answer["notReached"]))
            keys = {str(fields["Fingerprint"]): _public_key(fields) for fields in answer["PublicKeyList"]}
        except _UNREADABLE:
            raise ApiNotReached(_NO_INDEX) from None
        if self._bundle.are_pinned or (asked_start, asked_end) == (start, end):
            return keys
        return {fingerprint: key for fingerprint, key in keys.items() if _overlaps(key, start, end)}

    def origin(self) -> str:
        """For the report."""
        return "which came with the bundle"


class BundleHeads:
    """The heads that the bundle came with."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle

    def heads(self, bucket: str, folder: str, start: int, end: int) -> Iterable[bytes]:
        """The heads that were given for this question or a wider one. Raises CouldNotRead."""
        query = (
            'SELECT id, start, "end", failure FROM heads WHERE bucket = ? AND folder = ? AND start <= ? AND "end" >= ? '
            'ORDER BY failure IS NOT NULL, "end" - start'
        )
        with _telling_of_the_index():
            rows = self._bundle.index.rows(query, blob(bucket), blob(folder), start, end)
            if not rows:
                raise CouldNotRead(_NOT_HERE)
            number, asked_start, asked_end, failure = rows[0]
            if failure is not None:
                raise CouldNotRead(str(failure))
            bodies = [
                bytes(body) for (body,) in self._bundle.index.rows("SELECT body FROM head WHERE heads = ?", number)
            ]
        if (asked_start, asked_end) == (start, end):
            return bodies
        return [body for body in bodies if _ends_between(body, start, end)]

    def origin(self) -> str:
        """For the report."""
        return "those that came with the bundle"


def _questions(fields: Any) -> tuple[Question, ...]:
    """Those of the manifest. Raises ValueError."""
    questions = msgspec.convert(fields, tuple[Question, ...])
    if not all(0 <= time < LAST_MOMENT for asked in questions for time in (asked.start, asked.end, asked.now)):
        raise ValueError("a time of its questions is none")
    return questions


def _moment(modified: Any) -> float | None:
    """When an object was put. Raises ValueError, TypeError."""
    if modified is not None and not 0 <= modified < LAST_MOMENT:
        raise ValueError("the time of an object is none")
    return modified  # type: ignore[no-any-return]  # it was compared with numbers


def _metadata(text: str | bytes) -> Mapping[str, str]:
    """Raises CouldNotRead."""
    try:
        metadata = json.loads(text)
    except (ValueError, RecursionError):
        metadata = None
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise CouldNotRead("the metadata that was kept beside it cannot be read")
    return metadata


def _public_key(fields: Mapping[str, Any]) -> PublicKey:
    validity = fields.get("ValidityStartTime"), fields.get("ValidityEndTime")
    if not all(time is None or type(time) is int for time in validity):
        raise TypeError("a time of a key is no number")
    return PublicKey(base64.b64decode(fields["Value"], validate=True), *validity)


def _overlaps(key: PublicKey, start: int, end: int) -> bool:
    return (key.valid_from is None or key.valid_from <= end) and (key.valid_until is None or key.valid_until >= start)


def _ends_between(body: bytes, start: int, end: int) -> bool:
    """What cannot be read is given, too: it is told as such."""
    try:
        return start <= parse_head(body).end <= end
    except MalformedHead:
        return True


@contextmanager
def _telling_of_the_index() -> Iterator[None]:
    """An index that was damaged is not tampering with evidence: nothing is known."""
    try:
        yield
    except _UNREADABLE:
        raise CouldNotRead(_NO_INDEX) from None
