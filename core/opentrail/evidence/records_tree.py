"""A Merkle tree over the records of a log file: one record is proven without the others.

The tree is that of RFC 9162 §2.1 over SHA-256. A leaf is one record's bytes exactly as they stand in the uncompressed
log file, without the commas and white space between records; leaves are in the order of the file. The digest that
lists the log file holds root (`recordsMerkleRoot`) and number of leaves (`recordCount`), so its signature covers them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Final

_LEAF: Final = b"\x00"
_NODE: Final = b"\x01"
HASH_BYTES: Final = 32
_WHITE_SPACE: Final = b" \t\n\r"
"""RFC 8259 §2: what may stand around a value. A client may send it, and no reader of JSON gives it back."""


class MalformedPath(ValueError):
    """The path has not the length that this place in a tree of this size has (RFC 9162 §2.1.3.2)."""


def leaf_hash(record: bytes | memoryview) -> bytes:
    """The leaf of one record: SHA-256 of a zero byte and the record."""
    return hashlib.sha256(_LEAF + record).digest()


def leaf_hashes(records: bytes, lengths: Iterable[int]) -> list[bytes]:
    """The leaves of records that are joined by commas; `lengths` are their bytes, in order."""
    sha256 = hashlib.sha256
    leaves, start = [], 0
    for length in lengths:
        leaves.append(sha256(_LEAF + records[start : start + length].strip(_WHITE_SPACE)).digest())
        start += length + 1
    return leaves


def tree_root(leaves: Sequence[bytes]) -> bytes:
    """The root over leaf hashes; of no leaves SHA-256 of nothing (RFC 9162 §2.1.1)."""
    if not leaves:
        return hashlib.sha256().digest()
    level = leaves
    while len(level) > 1:
        level = _parents(level)
    return level[0]


def inclusion_path(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """The hashes beside the way from a leaf to the root, lowest first (RFC 9162 §2.1.3.1). Raises IndexError."""
    if not 0 <= index < len(leaves):
        raise IndexError(f"there is no leaf {index} among {len(leaves)}")
    path, level = [], leaves
    while len(level) > 1:
        beside = index ^ 1
        if beside < len(level):
            path.append(level[beside])
        level = _parents(level)
        index //= 2
    return path


def root_of_path(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """The root of a tree of `size` leaves that has `leaf` at `index`, by its path. Raises MalformedPath."""
    if not 0 <= index < size:
        raise MalformedPath(f"there is no leaf {index} among {size}")
    if any(len(step) != HASH_BYTES for step in path):
        raise MalformedPath(f"a step of the path is not {HASH_BYTES} bytes")
    steps, root, last = iter(path), leaf, size - 1
    try:
        while last:
            if index % 2:
                root = _parent(next(steps), root)
            elif index < last:
                root = _parent(root, next(steps))
            index, last = index // 2, last // 2
    except StopIteration:
        raise MalformedPath("the path is too short") from None
    if next(steps, None) is not None:
        raise MalformedPath("the path is too long")
    return root


def _parent(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(_NODE + left + right).digest()


def _parents(level: Sequence[bytes]) -> list[bytes]:
    """The level above. A last node without a sibling goes up as it is: so the left subtree is always a full one."""
    sha256 = hashlib.sha256
    above = [sha256(_NODE + left + right).digest() for left, right in zip(level[::2], level[1::2], strict=False)]
    if len(level) % 2:
        above.append(level[-1])
    return above
