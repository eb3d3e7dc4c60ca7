r"""The models' regular expressions: Java's, applied by Python's `re` so that no text can make them slow.

AWS applies them as Java's `Matcher.matches` does, to the whole text, and with Java's classes: `\w`, `\d` and `\s` mean
ASCII, `.` means no line terminator (java.util.regex.Pattern).

`re` backtracks. An expression is applied only if its form bounds that: at most one unbounded repetition, of a single
character or class; no repetition of a group but `?`; and bounded repetitions whose choices multiply to at most
MOST_CHOICES. So the work is at most proportional to text length times MOST_CHOICES. What is of another form, or uses
what Python lacks, is not applied; a test sees that no pattern of an operation here is such a one.
"""

from __future__ import annotations

import re
from functools import cache

MOST_CHOICES = 1_000

_NO_LINE_TERMINATOR = r"[^\n\r\u0085\u2028\u2029]"
_ITEM = re.compile(
    r"""
    (?P<quantifier> [*+?] | \{\d+(?:,\d*)?\} )
  | (?P<pair> \\u[dD][89aAbB][0-9a-fA-F]{2} \\u[dD][c-fC-F][0-9a-fA-F]{2} )  # one character, as UTF-16 has it
  | (?P<unit> \\u[0-9a-fA-F]{4} )
  | (?P<escape> \\[wWdDsStnrf] | \\[^a-zA-Z0-9] )
  | (?P<open> \( (?:\?:)? (?!\?) )
  | (?P<close> \) )
  | (?P<other> [^\\] )
    """,
    re.VERBOSE | re.DOTALL,
)


@cache
def compiled(pattern: str) -> re.Pattern[str] | None:
    """A Java pattern, for `fullmatch`; None if it is of no form that may be applied."""
    try:
        return re.compile(_translated(pattern), re.ASCII)
    except (_NotApplied, re.error, OverflowError):
        return None


class _NotApplied(Exception):
    """The expression is of no form whose work is bounded, or uses what is not translated."""


def _translated(pattern: str) -> str:
    """The same expression for Python. Raises _NotApplied."""
    dot_matches_all = pattern.startswith("(?s)")
    rest, translated, repeated = pattern.removeprefix("(?s)"), [], _Repetitions()
    position, in_class = 0, False
    while position < len(rest):
        item = _ITEM.match(rest, position)
        if item is None:
            raise _NotApplied
        position, kind, text = item.end(), item.lastgroup, item[0]
        if in_class:
            in_class = text != "]"
            if text in {"[", "&"}:  # Java has classes in classes, and intersections
                raise _NotApplied
            translated.append(_class_item(kind, text))
            continue
        if kind == "other" and text == "(":  # a group that looks ahead or behind, or sets flags
            raise _NotApplied
        if kind == "quantifier":
            repeated.quantifier(text)
        elif kind == "close":
            repeated.close_group()
        else:
            repeated.atom()
        in_class = text == "["
        translated.append("." if text == "." and dot_matches_all else _atom(kind, text))
    return ("(?s)" if dot_matches_all else "") + "".join(translated)


def _class_item(kind: str | None, text: str) -> str:
    return _character(text) if kind == "pair" else text


def _atom(kind: str | None, text: str) -> str:
    if kind == "pair":
        return _character(text)
    return _NO_LINE_TERMINATOR if text == "." else text


def _character(pair: str) -> str:
    high, low = int(pair[2:6], 16), int(pair[8:12], 16)
    return f"\\U{0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00):08x}"


class _Repetitions:
    """What an expression repeats, as far as it has been read. Raises _NotApplied for what is not bounded."""

    def __init__(self) -> None:
        self._unbounded = 0
        self._choices = 1
        self._after_group = False
        self._after_quantifier = False

    def atom(self) -> None:
        self._after_group = self._after_quantifier = False

    def close_group(self) -> None:
        self._after_group, self._after_quantifier = True, False

    def quantifier(self, text: str) -> None:
        if self._after_quantifier or (self._after_group and text != "?"):
            raise _NotApplied  # `a++` and `a*?` are of another kind; `(a*)*` may take exponential time
        self._after_quantifier = True
        if text in {"*", "+"} or text.endswith(",}"):
            self._unbounded += 1
        elif "," in text:
            least, most = text.strip("{}").split(",")
            self._choices *= int(most) - int(least) + 1
        elif text == "?":
            self._choices *= 2
        if self._unbounded > 1 or self._choices > MOST_CHOICES:
            raise _NotApplied
