"""Columns of an event group: one integer per event, little-endian."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Sequence


def packed(kind: str, values: Iterable[int]) -> bytes:
    """A column of little-endian integers: `I` uint32, `Q` uint64, `q` int64."""
    column = array(kind, values)
    if sys.byteorder == "big":
        column.byteswap()
    return column.tobytes()


def unpacked(kind: str, packed: bytes | memoryview) -> Sequence[int]:
    """The integers of a packed column."""
    column: array[int] = array(kind)
    column.frombytes(packed)
    if sys.byteorder == "big":
        column.byteswap()
    return column
