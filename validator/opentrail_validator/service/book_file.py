"""The book as a JSON file: written whole or not at all, readable by its owner only."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Final

import msgspec

from opentrail_validator.service.book import BookContent

_VERSION: Final = 1
_MODE: Final = 0o600


class BookUnusable(Exception):
    """The file cannot be read or written; the message says what to do."""


class _File(msgspec.Struct, kw_only=True):
    version: int
    book: BookContent


def read_book(path: Path) -> BookContent:
    """What the file holds; where there is none, an empty book. Raises BookUnusable."""
    try:
        file = msgspec.json.decode(path.read_bytes(), type=_File)
    except FileNotFoundError:
        return BookContent()
    except OSError as error:
        raise BookUnusable(f"The validator's book {path} cannot be read: {error.strerror}.") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BookUnusable(
            f"The validator's book {path} is damaged ({error}). Move it away: the next cycle then reads everything, "
            "and tells again what is open."
        ) from error
    if file.version != _VERSION:
        raise BookUnusable(
            f"The validator's book {path} is of version {file.version}; this release knows {_VERSION}. Run the release "
            "that wrote it, or move it away."
        )
    return file.book


def write_book(path: Path, content: BookContent) -> None:
    """Replaces the file; after a crash it holds the old or the new content. Raises BookUnusable."""
    data = msgspec.json.format(msgspec.json.encode(_File(version=_VERSION, book=content)), indent=1)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, _MODE)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
        _sync_folder(path.parent)
    except OSError as error:
        raise BookUnusable(f"The validator's book {path} cannot be written: {error.strerror}.") from error


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
