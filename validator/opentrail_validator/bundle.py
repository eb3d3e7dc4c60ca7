"""`--collect DIR`: keeps all evidence that a run reads, so that the run can be repeated elsewhere, without a network.

A bundle is a directory:

- `objects/BUCKET/KEY`: the log files and digests as they were read (decrypted, where the directory is an encrypted
  one); beside each digest its metadata, `KEY.metadata.json`. `objects-by-hash/` has those whose keys are no paths;
- `keys.json`, `heads.json`: the public keys as ListPublicKeys gives them, and the heads;
- `not-collected.jsonl`: what was missing or could not be read, one object a line, and why;
- `index.db`: what each list and question was answered (bundle_index.py);
- `manifest.json`: what was asked, when, and what came of it. It is written last: without it a bundle is not complete.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import sqlite3
from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any, BinaryIO, Final

from opentrail.evidence.object_keys import DIGEST_FOLDER
from opentrail.evidence.times import format_time
from opentrail_validator.bundle_index import Index, blob, name
from opentrail_validator.question import Question
from opentrail_validator.readers.port import (
    CouldNotRead,
    ObjectDamaged,
    ObjectMissing,
    Outcome,
    PublicKey,
    ReaderUnavailable,
    StoredObject,
)
from opentrail_validator.summary import Origins

FORMAT: Final = "opentrail evidence bundle 1"
MANIFEST: Final = "manifest.json"
INDEX: Final = "index.db"
OBJECTS: Final = "objects"
BY_HASH: Final = "objects-by-hash"
METADATA_SUFFIX: Final = ".metadata.json"
_UNFINISHED: Final = "collection-is-not-finished"
_PARTS: Final = (OBJECTS, BY_HASH, INDEX, "keys.json", "heads.json", "not-collected.jsonl", MANIFEST)

OUTCOMES: Final[dict[type[Exception], str]] = {
    ObjectMissing: "missing",
    ObjectDamaged: "damaged",
    CouldNotRead: "unreadable",
}


def path_of(bucket: str, key: str) -> str | None:
    """Where an object lies in a bundle, if its name can be a path that no other object's metadata has."""
    parts = [bucket, *key.split("/")]
    is_path = all(part not in {"", ".", ".."} and "\0" not in part and _is_utf8(part) for part in parts)
    return "/".join((OBJECTS, *parts)) if is_path and not key.endswith(METADATA_SUFFIX) else None


def path_by_hash(bucket: str, key: str) -> str:
    """Where an object lies whose name cannot be a path, or not beside the others."""
    return f"{BY_HASH}/{hashlib.sha256(blob(f'{bucket}/{key}')).hexdigest()}"


class BundleWriter:
    """Writes a bundle. Safe for several threads. After something could not be written, `check` ends the run."""

    def __init__(self, root: Path) -> None:
        """Begins a new bundle; one that was begun and not finished is begun again. Raises ReaderUnavailable."""
        self._root = root
        self._lock = Lock()
        self._counts: Counter[str] = Counter()
        self._failing_later = _FailingLater()
        try:
            _clear(root)
            self._index = Index.create(root / INDEX)
        except (OSError, sqlite3.Error) as error:
            raise ReaderUnavailable(f"No bundle can be written in {root}: {_reason(error)}") from None

    def check(self) -> None:
        """Raises ReaderUnavailable if something could not be written: a bundle that is not whole is worth nothing."""
        if self._failing_later.reason is not None:
            raise ReaderUnavailable(f"The bundle {self._root} could not be written: {self._failing_later.reason}")

    def add_outcome(self, bucket: str, key: str, outcome: Outcome) -> None:
        """Keeps what became of reading an object. Does not raise."""
        with self._failing_later:
            if isinstance(outcome, StoredObject):
                self._write_object(bucket, key, outcome)
            else:
                word = OUTCOMES[type(outcome)]
                row = (blob(bucket), blob(key), word, str(outcome))
                self._index.write("INSERT OR REPLACE INTO absent VALUES (?, ?, ?, ?)", *row)

    def begin_list(self, bucket: str, prefix: str, start_after: str) -> int:
        """Begins a list of objects; returns its number."""
        with self._failing_later:
            row = (blob(bucket), blob(prefix), blob(start_after))
            return self._index.write(
                "INSERT INTO lists (bucket, prefix, start_after, state) VALUES (?, ?, ?, 'given up')", *row
            )
        return 0

    def add_entries(self, number: int, entries: Sequence[tuple[str, float | None]]) -> None:
        """Keeps the next objects of a list."""
        with self._failing_later:
            rows = [(number, blob(key), modified) for key, modified in entries]
            self._index.write_all("INSERT OR REPLACE INTO entries VALUES (?, ?, ?)", rows)
            if rows:
                self._index.write("UPDATE lists SET last = ? WHERE id = ?", rows[-1][1], number)

    def end_list(self, number: int, failure: str | None) -> None:
        """The list is at its end, or ended with a failure."""
        state = "finished" if failure is None else "failed"
        with self._failing_later:
            self._index.write("UPDATE lists SET state = ?, detail = ? WHERE id = ?", state, failure, number)

    def add_folders(self, bucket: str, prefix: str, names: list[str] | None, failure: str | None) -> None:
        """Keeps which folders there are."""
        with self._failing_later:
            row = (blob(bucket), blob(prefix), None if names is None else json.dumps(names), failure)
            self._index.write("INSERT OR REPLACE INTO folders VALUES (?, ?, ?, ?)", *row)

    def add_keys(self, region: str, start: int, end: int, answer: dict[str, Any]) -> None:
        """Keeps what was answered when public keys were asked for."""
        with self._failing_later:
            self._index.write("INSERT INTO keys VALUES (?, ?, ?, ?)", region, start, end, json.dumps(answer))

    def add_heads(
        self, bucket: str, folder: str, start: int, end: int, heads: Sequence[bytes], failure: str | None
    ) -> None:
        """Keeps which heads were given."""
        with self._failing_later:
            row = (blob(bucket), blob(folder), start, end, failure)
            number = self._index.write(
                'INSERT INTO heads (bucket, folder, start, "end", failure) VALUES (?, ?, ?, ?, ?)', *row
            )
            self._index.write_all("INSERT INTO head VALUES (?, ?)", [(number, head) for head in heads])

    def finish(self, questions: Sequence[Question], origins: Origins) -> None:
        """Completes the bundle. Raises ReaderUnavailable."""
        with self._failing_later:
            self._write_absent()
            self._write_keys()
            self._write_heads()
            self._index.finish()
            manifest = {
                "format": FORMAT,
                "collected": format_time(questions[0].now) if questions else None,
                "questions": [asdict(question) for question in questions],
                "publicKeys": {"origins": sorted(origins.keys), "pinned": origins.are_pinned},
                "heads": origins.heads,
                "objects": {word: self._counts[word] for word in ("read", "bytes", *OUTCOMES.values())},
            }
            os.sync()  # the manifest says that the rest is there: it must not be first on the disk
            _write(self._root / MANIFEST, json.dumps(manifest, indent=1).encode() + b"\n")
            (self._root / _UNFINISHED).unlink()
        self.check()

    def close(self) -> None:
        """Closes the index. A bundle that is not finished stays as it is, and is marked as such."""
        self._index.close()

    def _write_object(self, bucket: str, key: str, stored: StoredObject) -> None:
        """The first one that was read under a name is kept."""
        path = path_of(bucket, key)
        file = self._root / (path or path_by_hash(bucket, key))
        try:
            opened = _opened(file)
        except OSError:
            # Another key of the bucket is a folder of this one, or a name is too long for a path.
            file = self._root / path_by_hash(bucket, key)
            opened = _opened(file)
        if opened is None:
            return
        with opened:
            opened.write(stored.body)
        if stored.metadata is not None:
            self._write_metadata(bucket, key, file, json.dumps(dict(stored.metadata)))
        with self._lock:
            self._counts["read"] += 1
            self._counts["bytes"] += len(stored.body)

    def _write_metadata(self, bucket: str, key: str, file: Path, metadata: str) -> None:
        """Beside digests, where people look; that of a million log files, of which nobody reads it, in the index."""
        if f"/{DIGEST_FOLDER}/" in key:
            _write(file.with_name(file.name + METADATA_SUFFIX), metadata.encode())
        else:
            self._index.write("INSERT INTO metadata VALUES (?, ?, ?)", blob(bucket), blob(key), metadata)

    def _write_absent(self) -> None:
        with (self._root / "not-collected.jsonl").open("w") as file:
            for bucket, key, outcome, detail in self._index.pages("SELECT * FROM absent ORDER BY bucket, key"):
                self._counts[outcome] += 1
                fields = {"bucket": name(bucket), "key": name(key), "outcome": outcome, "detail": detail}
                file.write(json.dumps(fields) + "\n")

    def _write_keys(self) -> None:
        answers = (json.loads(answer) for (answer,) in self._index.rows("SELECT DISTINCT answer FROM keys"))
        listed = {key["Fingerprint"]: key for answer in answers for key in answer.get("PublicKeyList", ())}
        document = {"PublicKeyList": [listed[fingerprint] for fingerprint in sorted(listed)]}
        _write(self._root / "keys.json", json.dumps(document, indent=1).encode() + b"\n")

    def _write_heads(self) -> None:
        """Those that are JSON objects; the index has all."""
        with (self._root / "heads.json").open("w") as file:
            separator = '{"Heads": [\n'
            for (body,) in self._index.pages("SELECT DISTINCT body FROM head ORDER BY body"):
                try:
                    head = json.loads(body)
                except (ValueError, RecursionError):
                    continue
                file.write(separator + json.dumps(head))
                separator = ",\n"
            file.write("\n]}\n" if separator.startswith(",") else separator + "]}\n")


class _FailingLater(AbstractContextManager[None]):
    """Around what must not raise: keeps the first reason why something could not be written."""

    def __init__(self) -> None:
        self.reason: str | None = None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if not isinstance(error, OSError | sqlite3.Error | ValueError):
            return False
        self.reason = self.reason or _reason(error)
        return True


def key_fields(fingerprint: str, key: PublicKey) -> dict[str, Any]:
    """A public key as ListPublicKeys gives it."""
    fields: dict[str, Any] = {"Fingerprint": fingerprint, "Value": base64.b64encode(key.der).decode("ascii")}
    times = {"ValidityStartTime": key.valid_from, "ValidityEndTime": key.valid_until}
    return fields | {word: time for word, time in times.items() if time is not None}


def _clear(root: Path) -> None:
    """Makes an empty directory with the mark of an unfinished bundle. Raises ReaderUnavailable, OSError."""
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    mark = root / _UNFINISHED
    if mark.exists():
        for part in _PARTS:
            if (root / part).is_dir():
                shutil.rmtree(root / part)
            else:
                (root / part).unlink(missing_ok=True)
    elif any(root.iterdir()):
        raise ReaderUnavailable(f"{root} is not empty: a bundle needs a directory of its own")
    mark.touch()


def _opened(file: Path) -> BinaryIO | None:
    """A file that is not there yet, and its folder; None if it is there. Raises OSError."""
    try:
        return file.open("xb")
    except FileNotFoundError:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return file.open("xb")
    except FileExistsError:
        if not file.is_file():
            raise
        return None


def _write(file: Path, data: bytes) -> None:
    with file.open("wb") as opened:
        opened.write(data)


def _is_utf8(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
