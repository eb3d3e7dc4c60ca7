"""Wildcards of IAM policies, and verdicts that may be open.

A verdict is True, False, or None for what cannot be judged here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

Verdict = bool | None

_VARIABLE = "${"


def matches(pattern: str, text: str) -> bool:
    """Whether `pattern` is the whole text; `*` is any text, an empty one too, and `?` is one character.

    The texts between the stars are looked for from left to right, each at its first place behind the one before: no
    place is tried twice for one of them, so the work is at most the product of the lengths.
    """
    head, *others = pattern.split("*")
    if not others:
        return len(head) == len(text) and _fits(head, text, 0)
    *middle, tail = others
    end = len(text) - len(tail)
    if end < len(head) or not _fits(head, text, 0) or not _fits(tail, text, end):
        return False
    place = len(head)
    for part in middle:
        place = _find(part, text, place, end)
        if place < 0:
            return False
        place += len(part)
    return True


def has_variable(value: str) -> bool:
    """Whether a value has a policy variable, as in `${aws:username}`: what stands for it is not known here."""
    return _VARIABLE in value


def any_of(verdicts: Iterable[Verdict]) -> Verdict:
    """True if one is; else None if one is open; else False."""
    found: Verdict = False
    for verdict in verdicts:
        if verdict:
            return True
        if verdict is None:
            found = None
    return found


def all_of(verdicts: Iterable[Verdict]) -> Verdict:
    """False if one is; else None if one is open; else True."""
    found: Verdict = True
    for verdict in verdicts:
        if verdict is None:
            found = None
        elif not verdict:
            return False
    return found


def opposite(verdict: Verdict) -> Verdict:
    """What is open stays open."""
    return None if verdict is None else not verdict


def _fits(part: str, text: str, place: int) -> bool:
    """Whether the text has a part without stars at a place where there is room for it."""
    if "?" not in part:
        return text.startswith(part, place)
    return all(wanted in {"?", found} for wanted, found in zip(part, text[place:], strict=False))


def _find(part: str, text: str, start: int, end: int) -> int:
    """The first place of a part without stars, between two places; -1 if there is none."""
    if "?" not in part:
        return text.find(part, start, end)
    # An expression of fixed length has nothing to go back to.
    expression = re.compile("".join("." if one == "?" else re.escape(one) for one in part), re.DOTALL)
    found = expression.search(text, start, end)
    return -1 if found is None else found.start()
