"""The log file: `{"Records":[…]}` in exactly one gzip member, its hash over the uncompressed bytes.

CloudTrail promises no order of the records in a file. So the records of a file are laid in *segments*,
each deflated once and ended by a sync flush (RFC 1951 §3.2.4: byte-aligned), and a file is a gzip header,
the segments it wants, and a trailer (RFC 1952). Segments are shared between the files of several trails,
and so are the hash states of the segments that files begin with. A reader sees one ordinary gzip member.
The Merkle tree over a file's records (`records_tree`) grows by segments in the same way.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from opentrail.evidence.records_tree import leaf_hashes, tree_root

MAX_FILE_BYTES = 1 << 27
"""Uncompressed: no log file and no digest of ours is larger. Log files end at 50 MB."""

_OPENING = b'{"Records":['
_CLOSING = b"]}"


class MalformedLogFile(ValueError):
    """The bytes are not one complete gzip member, or hold more than the caller allows."""


class Codec(NamedTuple):
    """Who deflates and who counts CRC-32. The uncompressed bytes, which are the evidence, do not depend on it."""

    deflate: Callable[[bytes], bytes]
    """Raw deflate of the whole input, ended by a sync flush, without a final block."""
    crc32: Callable[[bytes, int], int]


def _deflate(data: bytes) -> bytes:
    compressor = zlib.compressobj(level=6, wbits=-zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH)


STANDARD_CODEC = Codec(_deflate, zlib.crc32)
"""The standard library's zlib."""


class Segment:
    """Runs of records, joined by commas, deflated and hashed when the first file takes them in."""

    __slots__ = ("_deflated", "_leaves", "_lengths", "_records")

    def __init__(self, records: Sequence[bytes | memoryview], lengths: Sequence[int] | None = None) -> None:
        """`lengths`: of each record in bytes, in order. Without them there is no tree over a file's records."""
        self._records = records
        self._lengths = lengths
        self._leaves: Sequence[bytes] | None = None
        self._deflated: bytes | None = None

    def text(self) -> bytes:
        """The runs with commas between them."""
        if len(self._records) != 1 or not isinstance(self._records[0], bytes):
            self._records = [b",".join(self._records)]
        text = self._records[0]
        assert isinstance(text, bytes)
        return text

    def deflated(self, codec: Codec) -> bytes:
        """The text, deflated once."""
        if self._deflated is None:
            self._deflated = codec.deflate(self.text())
        return self._deflated

    def leaves(self) -> Sequence[bytes] | None:
        """The leaf hashes of the records, computed once. None: the lengths are not known, or not the text's."""
        lengths = self._lengths
        if self._leaves is None and lengths is not None:
            text = self.text()
            # A root over other bytes than the records' would look like tampering for ever: rather none.
            if sum(lengths) + max(len(lengths) - 1, 0) == len(text):
                self._leaves = leaf_hashes(text, lengths)
        return self._leaves

    def forget_text(self) -> None:
        """Frees what no file needs to hash any more; the next segment then takes its place in memory."""
        self._records = ()
        self._leaves = self._lengths = None


@dataclass(frozen=True, slots=True)
class LogFile:
    """A log file that is ready to be put."""

    body: bytes
    """The gzip member."""
    sha256: str
    """Lower-case hex over the uncompressed bytes (CloudTrail: `hashValue`)."""
    size: int
    """Length of the uncompressed bytes."""
    record_count: int | None
    records_root: str | None
    """Of the Merkle tree over its records, lower-case hex. Both None: the lengths of its records are not known."""


def assemble(files: Sequence[Sequence[Segment]], codec: Codec = STANDARD_CODEC) -> list[LogFile]:
    """Makes one log file of each sequence of segments.

    Files that begin with the same segments share the work of hashing them, so callers put the segments
    that most files want first. A file without segments is `{"Records":[]}`.
    """
    states: dict[tuple[int, ...], _State] = {(): _opening_state(codec)}
    paths = [tuple(map(id, segments)) for segments in files]
    uses = Counter(path[count] for path, count in {(path[: n + 1], n) for path in paths for n in range(len(path))})
    return [
        _close(_state_of(segments, path, states, uses, codec), segments, codec)
        for segments, path in zip(files, paths, strict=True)
    ]


def read_log_file(body: bytes, max_size: int = MAX_FILE_BYTES) -> bytes:
    """The uncompressed bytes of a log file, or of a digest. Whoever may write to the bucket may have put it there.

    Raises MalformedLogFile unless the body is exactly one complete gzip member of at most `max_size` bytes.
    """
    inflater = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        data = inflater.decompress(body, max_size + 1)
    except zlib.error as error:
        raise MalformedLogFile(f"not a gzip member: {error}") from None
    if len(data) > max_size:
        raise MalformedLogFile(f"more than {max_size} bytes uncompressed")
    if not inflater.eof:
        raise MalformedLogFile("the gzip member is cut off")
    if inflater.unused_data:
        raise MalformedLogFile(f"{len(inflater.unused_data)} bytes after the end of the gzip member")
    return data


# gzip header of RFC 1952: deflate, no name, time 0 and unknown system, so that same input gives same bytes.
_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"


def _stored(data: bytes, *, final: bool = False) -> bytes:
    """A stored deflate block (RFC 1951 §3.2.4) on a byte boundary."""
    return struct.pack("<BHH", final, len(data), len(data) ^ 0xFFFF) + data


_OPENING_BLOCK = _stored(_OPENING)
_COMMA_BLOCK = _stored(b",")
_CLOSING_BLOCK = _stored(_CLOSING, final=True)


_Peaks = tuple[tuple[int, bytes], ...]
"""The full subtrees of the leaves so far, from the left, as (leaves, root): their sizes are the powers of two that the
number of leaves is the sum of, falling."""


class _State(NamedTuple):
    """What is known of a file's uncompressed bytes, and of the tree over its records, so far."""

    sha256: hashlib._Hash
    crc: int
    size: int
    peaks: _Peaks | None


def _opening_state(codec: Codec) -> _State:
    return _State(hashlib.sha256(_OPENING), codec.crc32(_OPENING, 0), len(_OPENING), ())


def _state_of(
    segments: Sequence[Segment],
    path: tuple[int, ...],
    states: dict[tuple[int, ...], _State],
    uses: Counter[int],
    codec: Codec,
) -> _State:
    """The state after a file's segments, from the longest beginning that another file has hashed already."""
    known = len(path)
    while path[:known] not in states:
        known -= 1
    state = states[path[:known]]
    for count in range(known, len(path)):
        segment = segments[count]
        # Deflating and hashing one right after the other finds the text in the processor's cache.
        segment.deflated(codec)
        leaves = segment.leaves()
        if count:
            state = _add(state, b",", codec)
        state = _add(state, segment.text(), codec)
        state = states[path[: count + 1]] = state._replace(peaks=_grown(state.peaks, leaves))
        uses[path[count]] -= 1
        if not uses[path[count]]:
            segment.forget_text()
    return state


def _add(state: _State, data: bytes, codec: Codec) -> _State:
    sha256 = state.sha256.copy()
    sha256.update(data)
    return _State(sha256, codec.crc32(data, state.crc), state.size + len(data), state.peaks)


def _grown(peaks: _Peaks | None, leaves: Sequence[bytes] | None) -> _Peaks | None:
    """The tree with more leaves at its right: by full subtrees, each as large as fits beside the last one."""
    if peaks is None or leaves is None:
        return None
    grown = list(peaks)
    start = 0
    while start < len(leaves):
        size = 1 << ((len(leaves) - start).bit_length() - 1)
        if grown:
            size = min(size, grown[-1][0])
        root = tree_root(leaves[start : start + size])
        start += size
        while grown and grown[-1][0] == size:
            root = tree_root([grown.pop()[1], root])
            size *= 2
        grown.append((size, root))
    return tuple(grown)


def _root_of(peaks: _Peaks) -> bytes:
    """RFC 9162 §2.1.1: what is at the left of the smallest subtrees goes beside them, one after the other."""
    roots = [root for _, root in peaks]
    while len(roots) > 1:
        roots[-2:] = [tree_root(roots[-2:])]
    return tree_root(roots)


def _close(state: _State, segments: Sequence[Segment], codec: Codec) -> LogFile:
    end = _add(state, _CLOSING, codec)
    parts = [_HEADER, _OPENING_BLOCK]
    for count, segment in enumerate(segments):
        if count:
            parts.append(_COMMA_BLOCK)
        parts.append(segment.deflated(codec))
    parts += [_CLOSING_BLOCK, struct.pack("<II", end.crc & 0xFFFFFFFF, end.size & 0xFFFFFFFF)]
    body, sha256 = b"".join(parts), end.sha256.hexdigest()
    if end.peaks is None:
        return LogFile(body, sha256, end.size, None, None)
    return LogFile(body, sha256, end.size, sum(size for size, _ in end.peaks), _root_of(end.peaks).hex())
