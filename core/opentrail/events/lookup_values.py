"""Reading a record's members whatever is in their place: what is not as expected is None, or left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

import msgspec
from msgspec import Raw

ABSENT = Raw(b"")
"""The value of a member that the record lacks."""
MAX_VALUE = 2_000
"""Characters of the longest attribute value that can be asked for (CloudTrail: LookupEvents)."""
MAX_ELEMENTS = 50
"""How many elements of an array are looked at."""
UNREADABLE = (ValueError, RecursionError)
"""What msgspec raises on what is not as expected; malformed JSON and UTF-8 too."""

_text = msgspec.json.Decoder(str)
_members = msgspec.json.Decoder(dict[str, Raw])
_elements = msgspec.json.Decoder(list[Raw])

_STRING, _ARRAY, _OBJECT = b'"[{'
_MAX_BYTES = 12 * MAX_VALUE + 2
"""A longer JSON string has more than MAX_VALUE characters: an escaped pair of surrogates takes 12 bytes."""


def text_of(raw: Raw) -> str | None:
    """The text of a JSON string of 1 to MAX_VALUE characters; None for anything else."""
    view = memoryview(raw)
    if not 0 < len(view) <= _MAX_BYTES or view[0] != _STRING:
        return None
    try:
        text = _text.decode(view)
    except UNREADABLE:
        return None
    return text if 0 < len(text) <= MAX_VALUE else None


def members_of(raw: Raw) -> dict[str, Raw]:
    """The members of a JSON object; none of anything else. Of a repeated key the last one counts."""
    if _kind(raw) != _OBJECT:
        return {}
    try:
        return _members.decode(raw)
    except UNREADABLE:
        return {}


def elements_of(raw: Raw) -> Sequence[Raw]:
    """The first elements of a JSON array, at most MAX_ELEMENTS; none of anything else."""
    if _kind(raw) != _ARRAY:
        return ()
    try:
        return _elements.decode(raw)[:MAX_ELEMENTS]
    except UNREADABLE:
        return ()


def texts_at(raw: Raw, path: Sequence[str]) -> Iterator[str]:
    """The texts at the end of a path of members, at most MAX_ELEMENTS. An array on the way stands for its elements."""
    return islice(_texts_at(raw, path), MAX_ELEMENTS)


def _texts_at(raw: Raw, path: Sequence[str]) -> Iterator[str]:
    kind = _kind(raw)
    if kind == _ARRAY:
        for element in elements_of(raw):
            if _kind(element) != _ARRAY:  # CloudTrail writes no arrays of arrays
                yield from _texts_at(element, path)
    elif path:
        member = members_of(raw).get(path[0])
        if member is not None:
            yield from _texts_at(member, path[1:])
    elif (text := text_of(raw)) is not None:
        yield text


def _kind(raw: Raw) -> int:
    """The first byte of a JSON value; 0 of an absent one."""
    view = memoryview(raw)
    return view[0] if view else 0
