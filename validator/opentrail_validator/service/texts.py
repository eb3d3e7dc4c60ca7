"""Texts from evidence, as the book, the log and messages can hold them."""

from __future__ import annotations

from typing import Final

_LONGEST: Final = 1_000


def as_unicode(text: str) -> str:
    """A name on a disk may be no Unicode; the book, notices and messages are."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def bounded(text: str) -> str:
    """The beginning of a text that may hold what a forged object says of itself, which is as long as it likes."""
    return as_unicode(text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…")
