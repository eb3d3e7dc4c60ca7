"""Inflates what must be exactly one gzip member (RFC 1952), within bounds, and says what it is if it is not that.

ISA-L inflates where it is installed (extra `fast`), zlib otherwise. ISA-L is asked only about members that say how long
they are and whose header has nothing optional; whenever it does not find exactly one whole member, zlib decides. So
both give the same answers. (libdeflate would be faster still, but it does not tell what follows the member.)
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from opentrail_validator.findings import Kind

MAX_DIGEST_BYTES: Final = 1 << 28
"""Uncompressed; room for half a million log files in an hour."""
MAX_LOG_FILE_BYTES: Final = 1 << 30
"""Uncompressed; CloudTrail's are of 50 MB at most."""

_AT_ONCE: Final = 1 << 26
"""What is longer, or says so, is inflated in pieces."""
_MOST_PER_BYTE: Final = 1032
"""Deflate makes no more of a byte (zlib's technical notes): a length above that is a lie."""
_PIECE: Final = 1 << 18
_SMALLEST: Final = 18
"""Header and trailer."""
_HEADER: Final = b"\x1f\x8b\x08\x00"
"""Of a gzip member: deflate, nothing optional."""
_MAGIC: Final = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class Inflated:
    """`kind` is VALID for exactly one whole member. After one that is followed by something, `data` is its content."""

    kind: Kind
    data: bytes = b""
    detail: str = ""


def inflate(body: bytes, limit: int) -> Inflated:
    """Inflates a body that holds `limit` bytes at most."""
    data = inflate_at_once(body, limit)
    if data is not None:
        return Inflated(Kind.VALID, data)
    member = Member(body, limit)
    data = b"".join(member.pieces())
    return Inflated(member.kind, data if member.is_whole else b"", member.detail)


def inflate_at_once(body: bytes, limit: int) -> bytes | None:
    """The content of a body that is a member of the usual kind and as long as it says; None: `Member` must look."""
    length = _usual_length(body, limit)
    return None if length is None else _one_member(body, length)


def hash_at_once(body: bytes, limit: int) -> tuple[str, int] | None:
    """SHA-256 (hex) and length of what `inflate_at_once` gives, without keeping it; None: as there, or no ISA-L.

    Hashed piece by piece, while they lie in the processor's cache: a fifth less time for large files.
    """
    length = _usual_length(body, limit)
    inflate_pieces = None if length is None else _pieces_of_member(body)
    if inflate_pieces is None:
        return None
    sha256, size = hashlib.sha256(), 0
    for piece in inflate_pieces:
        if piece is None or size + len(piece) > (length or 0):
            return None
        sha256.update(piece)
        size += len(piece)
    return (sha256.hexdigest(), size) if size == length else None


def _usual_length(body: bytes, limit: int) -> int | None:
    """How long a member of the usual kind says that it is, if that may be."""
    length = int.from_bytes(body[-4:], "little")
    if length > min(limit, _AT_ONCE, len(body) * _MOST_PER_BYTE) or len(body) < _SMALLEST or body[:4] != _HEADER:
        return None
    return length


class Member:
    """Inflates the first member of a body piece by piece, in little memory; `kind` holds after the last piece."""

    def __init__(self, body: bytes, limit: int) -> None:
        self._body = memoryview(body)
        self._limit = limit
        self.kind = Kind.VALID
        self.detail = ""
        self.size = 0
        """Bytes inflated so far."""

    @property
    def is_whole(self) -> bool:
        """Whether the first member is complete, whatever follows it."""
        return self.kind in {Kind.VALID, Kind.TRAILING_DATA, Kind.SEVERAL_MEMBERS}

    def pieces(self) -> Iterator[bytes]:
        """The content, up to where something is wrong."""
        inflater = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        position = 0
        while not inflater.eof:
            fed: bytes | memoryview = inflater.unconsumed_tail
            if not fed:
                fed = self._body[position : position + _PIECE]
                position += len(fed)
            try:
                piece = inflater.decompress(fed, _PIECE)
            except zlib.error as error:
                self._ends(Kind.MALFORMED, f"not a gzip member: {error}")
                return
            self.size += len(piece)
            if self.size > self._limit:
                self._ends(Kind.DECOMPRESSION_BOMB, f"inflates to more than {self._limit} bytes")
                return
            if piece:
                yield piece
            elif not fed:
                self._ends(Kind.TRUNCATED, "the gzip member ends too early")
                return
        left = len(inflater.unused_data) + len(self._body) - position
        if left:
            following = (inflater.unused_data + bytes(self._body[position : position + 2]))[:2]
            self._ends(
                Kind.SEVERAL_MEMBERS if following == _MAGIC else Kind.TRAILING_DATA,
                f"{left} bytes after the gzip member",
            )

    def _ends(self, kind: Kind, detail: str) -> None:
        self.kind, self.detail = kind, detail


def _isal() -> Any:
    """ISA-L, if the extra `fast` is installed. Its stubs do not say that its error is an exception."""
    try:
        from isal import igzip_lib  # noqa: PLC0415 (optional)
    except ImportError:
        return None
    return igzip_lib


_igzip: Final = _isal()


def _one_member(body: bytes, length: int) -> bytes | None:
    """Inflates exactly one whole member of a length that is known; None: it is not that."""
    if _igzip is None:
        inflater = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        try:
            data = inflater.decompress(body, length + 1)
        except zlib.error:
            return None
        return data if inflater.eof and not inflater.unused_data else None
    inflater = _igzip.IgzipDecompressor(flag=_igzip.DECOMP_GZIP)
    try:
        data = inflater.decompress(body, length + 1)
    except _igzip.IsalError:
        return None
    _clear_wide_registers()
    return data if inflater.eof and not inflater.unused_data else None


def _pieces_of_member(body: bytes) -> Iterator[bytes | None] | None:
    """The content by ISA-L, piece by piece; a None among them: it is not exactly one whole member. None: no ISA-L."""
    return None if _igzip is None else _pieces_by_isal(body)


def _pieces_by_isal(body: bytes) -> Iterator[bytes | None]:
    inflater = _igzip.IgzipDecompressor(flag=_igzip.DECOMP_GZIP)
    fed = body
    try:
        while not inflater.eof:
            piece = inflater.decompress(fed, _PIECE)
            if not piece and not inflater.eof:
                break
            fed = b""
            _clear_wide_registers()
            yield piece
    except _igzip.IsalError:
        yield None
        return
    if not inflater.eof or inflater.unused_data:
        yield None


def _clear_wide_registers() -> None:
    """ISA-L leaves the wide vector registers in use, which slows SHA-256 down by a third.

    OpenSSL's SHA-512 of more than a block clears them (VZEROUPPER), in 0.4 µs.
    """
    hashlib.sha512(_MORE_THAN_A_BLOCK)


_MORE_THAN_A_BLOCK: Final = bytes(200)
