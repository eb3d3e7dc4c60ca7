"""Checks one log file against what its digest recorded of it. Pure: bytes in, a kind of finding out."""

from __future__ import annotations

import hashlib
import zlib
from typing import Final

from opentrail_validator.findings import Kind

_PIECE: Final = 1 << 20


def check_log_file(body: bytes, recorded_hash: str) -> Kind:
    """VALID if `body` is exactly one gzip member whose content has the recorded SHA-256 (lower-case hex).

    Memory is bounded by a piece, however much the body inflates to.
    """
    inflater = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    content = hashlib.sha256()
    try:
        piece = inflater.decompress(body, _PIECE)
        while piece or inflater.unconsumed_tail:
            content.update(piece)
            piece = inflater.decompress(inflater.unconsumed_tail, _PIECE)
    except zlib.error:
        return Kind.MALFORMED
    if not inflater.eof:
        return Kind.MALFORMED
    if inflater.unused_data:
        return Kind.TRAILING_DATA
    return Kind.VALID if content.hexdigest() == recorded_hash else Kind.HASH_MISMATCH
