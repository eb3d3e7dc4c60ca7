"""The query of an event bus's URL: each option at most once, only known ones, each of its type."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

_TRUTH = {"true": True, "false": False}

Reader = Callable[[str], Any]


def read_options(query: str, allowed: Mapping[str, Reader], form: str) -> dict[str, Any]:
    """The options by name. Raises ValueError with a sentence that lists what is allowed, never a value."""
    given: dict[str, Any] = {}
    for name, text in parse_qsl(query, keep_blank_values=True):
        if name not in allowed:
            raise ValueError(
                f"unknown option {name!r} in the event bus's URL; allowed are {', '.join(allowed)} ({form})"
            )
        if name in given:
            raise ValueError(f"option {name!r} is given twice in the event bus's URL")
        try:
            given[name] = allowed[name](text)
        except ValueError as error:
            raise ValueError(f"option {name!r} in the event bus's URL must be {error}") from None
    return given


def whole(lowest: int) -> Reader:
    """A whole number, not below `lowest`."""

    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit()) or int(text) < lowest:
            raise ValueError(f"a whole number from {lowest}")
        return int(text)

    return read


def seconds(lowest: float) -> Reader:
    """Seconds, fractions allowed, not below `lowest`."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = -1.0
        if not lowest <= value < 1e9:  # noqa: PLR2004 (thirty years; NaN and infinity fall out, too)
            raise ValueError(f"a number of seconds from {lowest:g}")
        return value

    return read


def one_of(*choices: str) -> Reader:
    """One of these words."""

    def read(text: str) -> str:
        if text not in choices:
            raise ValueError(f"one of {', '.join(choices)}")
        return text

    return read


def truth(text: str) -> bool:
    """`true` or `false`."""
    if text not in _TRUTH:
        raise ValueError("true or false")
    return _TRUTH[text]


def words(text: str) -> str:
    """Any text that is not empty."""
    if not text:
        raise ValueError("not empty")
    return text
