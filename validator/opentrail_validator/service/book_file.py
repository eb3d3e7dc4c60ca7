"""The book as a JSON file: written whole or not at all, readable by its owner only."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from opentrail_validator.durable_file import replace_file
from opentrail_validator.service.book import BookContent

_VERSION: Final = 1


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
    try:
        replace_file(path, data)
    except OSError as error:
        raise BookUnusable(f"The validator's book {path} cannot be written: {error.strerror}.") from error
