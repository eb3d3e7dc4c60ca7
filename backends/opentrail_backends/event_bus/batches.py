"""The value of one message on the event bus: an event batch, compressed, behind a short header.

| bytes | what |
|---|---|
| 0-3 | `OTEB` |
| 4 | version of the format, of the header too |
| 5-8 | number of events, uint32 little-endian |
| 9-12 | bytes of the encoded batch before compression, uint32 little-endian |
| 13-20 | from version 2 on: when the bus took the events first, milliseconds since the epoch, int64 little-endian |
| 13- or 21- | one zstd frame with content size and checksum (RFC 8878) |

The header tells how much a message holds before any of it is decompressed. Producers write version 1. Version 2 is for
what is put on the bus again later (`opentrail redrive`): which configuration governs is decided by that first time.
"""

from __future__ import annotations

import struct
import threading
from typing import NamedTuple

import zstandard

from opentrail.events.batch import FORMAT_VERSION, EventBatch, MalformedBatch
from opentrail.events.batch_encoding import decode_batch, encode_batch

__all__ = ["MAX_BATCH_BYTES", "BatchHeader", "MalformedBatch", "NewerFormat", "pack", "peek", "unpack"]

MAX_BATCH_BYTES = 64 * 1024 * 1024
"""Largest encoded batch before compression. Bounds what a reader gives to one message."""

_MAGIC = b"OTEB"
_VERSION_AT = len(_MAGIC)
_HEADER = struct.Struct("<4sBII")
_ACCEPTED_AT = struct.Struct("<q")
_WITH_ACCEPTED_AT = 2
"""The version from which on the header has it."""
_LEVEL = 1


class NewerFormat(Exception):
    """The value has a version that this release does not know. Its reader stops: it is no poison (design, step 2)."""


class BatchHeader(NamedTuple):
    """What the header says."""

    version: int
    events: int
    size: int
    """Bytes of the encoded batch before compression."""
    accepted_at: int
    """When the bus took the events first (ms); 0: the message's own append time says so."""
    length: int
    """Bytes of the header."""


class _Codecs(threading.local):
    """zstd contexts of a thread: they are reused, and not safe to share."""

    def __init__(self) -> None:
        self.compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True, write_content_size=True)
        self.decompressor = zstandard.ZstdDecompressor()


_codecs = _Codecs()


def pack(batch: EventBatch, accepted_at: int = 0) -> bytes:
    """The bus value of a batch. The same batch gives the same bytes. Raises ValueError above MAX_BATCH_BYTES.

    With `accepted_at` (ms, when the bus took the events first) it is of version 2, which only workers that know it
    may meet: see `Ledger.report_worker`.
    """
    encoded = encode_batch(batch)
    if len(encoded) > MAX_BATCH_BYTES:
        raise ValueError(f"a batch of {len(encoded)} bytes is above the limit of {MAX_BATCH_BYTES}")
    header = _HEADER.pack(_MAGIC, _WITH_ACCEPTED_AT if accepted_at else 1, batch.count, len(encoded))
    if accepted_at:
        header += _ACCEPTED_AT.pack(accepted_at)
    return header + _codecs.compressor.compress(encoded)


def peek(value: bytes | memoryview) -> BatchHeader:
    """Reads the header only. Raises NewerFormat and MalformedBatch."""
    if bytes(value[:_VERSION_AT]) != _MAGIC or len(value) <= _VERSION_AT:
        raise MalformedBatch("the value does not begin with OTEB and a version")
    version = value[_VERSION_AT]
    if version > FORMAT_VERSION:
        raise NewerFormat(f"the batch has format {version}; this release reads up to {FORMAT_VERSION}")
    length = _HEADER.size + (_ACCEPTED_AT.size if version >= _WITH_ACCEPTED_AT else 0)
    if version < 1 or len(value) < length:
        raise MalformedBatch("the header of the value is broken")
    _, version, events, size = _HEADER.unpack_from(value)
    accepted_at = _ACCEPTED_AT.unpack_from(value, _HEADER.size)[0] if version >= _WITH_ACCEPTED_AT else 0
    if accepted_at < 0:
        raise MalformedBatch("the events of the value were accepted before 1970")
    if size > MAX_BATCH_BYTES:
        raise MalformedBatch(f"a batch of {size} bytes is above the limit of {MAX_BATCH_BYTES}")
    return BatchHeader(version, events, size, accepted_at, length)


def unpack(value: bytes | memoryview) -> EventBatch:
    """The batch of a bus value; its records are views of one buffer. Raises NewerFormat and MalformedBatch."""
    header = peek(value)
    frame = memoryview(value)[header.length :]
    try:
        if zstandard.frame_content_size(frame) != header.size:
            raise MalformedBatch("the compressed frame has another size than the header says")
        encoded = _codecs.decompressor.decompress(frame, max_output_size=header.size, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise MalformedBatch(f"the batch cannot be decompressed: {error}") from error
    batch = decode_batch(encoded)
    if batch.count != header.events:
        raise MalformedBatch(f"the batch has {batch.count} events, its header says {header.events}")
    return batch
