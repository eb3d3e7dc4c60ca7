"""What `opentrail ingest --journal FILE` remembers, so that a run that was interrupted can be repeated.

Events are numbered under a client id, in the order in which they lie in the files, and delivery drops a number that it
has had before. So a repeated run delivers each event once if it gives each event the number that it had: under the same
id, the same files with the same content in the same order. The journal holds the id and, for each file, name and
SHA-256. It is on disk before anything is sent.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import secrets
import stat
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, cast

import msgspec

from opentrail_backends.durable_files import sync_folder
from opentrail_cli.errors import CommandFailed

VERSION = 1
CLIENT_ID_BYTES = 16
_CHUNK = 1024 * 1024
_IN_MEMORY = 64 * 1024 * 1024
"""Bytes up to which a file's copy is held in memory while it is sent."""


class JournalFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file that is sent, or was."""

    name: str
    """Without its folder: the ending of a name says how the file is read."""
    sha256: str


class _Content(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    version: int
    client_id: str
    files: Sequence[JournalFile]


class Journal:
    """An open journal: its files are those that were given, and no other run may use it."""

    def __init__(self, path: Path, client_id: bytes, files: Sequence[JournalFile]) -> None:
        self.path = path
        self.client_id = client_id
        self.files = files

    @contextlib.contextmanager
    def content(self, position: int, file: Path) -> Iterator[IO[bytes]]:
        """A copy of the file at a position, with exactly the content that the journal names.

        Nothing else is ever sent under its numbers. Raises CommandFailed if the file changed meanwhile.
        """
        with tempfile.SpooledTemporaryFile(_IN_MEMORY) as copy:
            if _copy(file, cast("IO[bytes]", copy)) != self.files[position]:
                raise CommandFailed(_changed(file, self.path))
            copy.seek(0)
            yield cast("IO[bytes]", copy)


@contextlib.contextmanager
def open_journal(path: Path, files: Sequence[Path]) -> Iterator[Journal]:
    """Opens a journal or begins one, notes the files, and keeps other runs out until the end.

    The files must begin with those that the journal names. Raises CommandFailed; then nothing was noted.
    """
    given = [_copy(file, None) for file in files]
    path = Path(os.path.realpath(path))
    with contextlib.ExitStack() as held:
        try:
            journal = _open(path, files, given, held)
        except OSError as error:
            raise CommandFailed(f"The journal {path} cannot be used: {error.strerror or error}.") from error
        yield journal


def _open(path: Path, files: Sequence[Path], given: Sequence[JournalFile], held: contextlib.ExitStack) -> Journal:
    """The journal with all given files noted, locked while `held` is. Raises CommandFailed and OSError."""
    known = _read(path, held.enter_context(_locked(path)))
    _compare(path, known.files, files, given)
    client_id = known.client_id or secrets.token_hex(CLIENT_ID_BYTES)
    if len(given) > len(known.files):
        _write(path, _Content(VERSION, client_id, given), held)
    return Journal(path, bytes.fromhex(client_id), given)


def _copy(file: Path, copy: IO[bytes] | None) -> JournalFile:
    """What the journal says of a file as it is now; writes its bytes to `copy` meanwhile. Raises CommandFailed."""
    checksum = hashlib.sha256()
    try:
        with file.open("rb") as source:
            if not stat.S_ISREG(os.fstat(source.fileno()).st_mode):
                raise CommandFailed(f"{file} is no file that can be read again; with a journal it must be one.")
            while chunk := source.read(_CHUNK):
                checksum.update(chunk)
                if copy is not None:
                    copy.write(chunk)
    except OSError as error:
        raise CommandFailed(
            f"{file} cannot be read: {error.strerror}. With a journal every file must be readable, "
            "because the numbers of the events after it depend on it. Nothing of it was sent."
        ) from error
    return JournalFile(file.name, checksum.hexdigest())


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[bytes]:
    """The content of the file at `path`, which is made if it is missing and locked until the end."""
    while True:
        with path.open("a+b") as file:
            _lock(file.fileno(), path)
            if not _is_at(file.fileno(), path):
                continue  # a run that has just ended wrote a new one in its place
            file.seek(0)
            yield file.read()
            return


def _lock(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise CommandFailed(f"Another run uses the journal {path} now: wait for its end.") from error


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _read(path: Path, content: bytes) -> _Content:
    """What a journal says; an empty one was only just begun. Raises CommandFailed."""
    if not content:
        return _Content(VERSION, "", [])
    try:
        known = msgspec.convert(json.loads(content), _Content)  # names may hold what is no UTF-8: json takes that
        is_whole = len(bytes.fromhex(known.client_id)) == CLIENT_ID_BYTES
    except (ValueError, RecursionError, msgspec.MsgspecError) as error:
        raise CommandFailed(
            f"{path} is no journal of `opentrail ingest`: name a file that does not exist yet, or the journal of an "
            "earlier run."
        ) from error
    if known.version != VERSION or not is_whole:
        raise CommandFailed(f"The journal {path} was written by another release of OpenTrail: use that one.")
    return known


def _compare(path: Path, known: Sequence[JournalFile], files: Sequence[Path], given: Sequence[JournalFile]) -> None:
    """Raises CommandFailed unless the given files begin with the known ones."""
    for number, (wanted, file, found) in enumerate(zip(known, files, given, strict=False), 1):
        if wanted == found:
            continue
        if wanted.name == found.name:
            raise CommandFailed(_changed(file, path))
        raise CommandFailed(
            f"File {number} of the journal {path} is {wanted.name}, and {file} was given in its place. Give the "
            "journal's files first and in its order, then further ones; or give these files a journal of their own."
        )
    if len(given) < len(known):
        raise CommandFailed(
            f"The journal {path} names {len(known)} files, and {len(given)} were given; the next is "
            f"{known[len(given)].name}. Give all of them in the journal's order, or give these files a journal of "
            "their own."
        )


def _changed(file: Path, journal: Path) -> str:
    return (
        f"{file} has changed since the journal {journal} noted it. Put back what it was and repeat the command; or "
        "send it with another journal, which delivers again those of its events that were sent already."
    )


def _write(path: Path, content: _Content, stack: contextlib.ExitStack) -> None:
    """Puts a journal in the place of the one before it: all of it or nothing, on disk, and locked from the start."""
    new = path.with_name(f"{path.name}.new")
    file = stack.enter_context(new.open("wb"))
    fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    file.write(json.dumps(msgspec.to_builtins(content), indent=1).encode() + b"\n")
    file.flush()
    os.fsync(file.fileno())
    new.replace(path)
    sync_folder(path.parent)
