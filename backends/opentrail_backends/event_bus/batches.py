"""The value of one message on the event bus: an event batch, compressed, behind a short header.

| bytes | what |
|---|---|
| 0-3 | `OTEB` |
| 4 | version of the format, of the header too |
| 5-8 | number of events, uint32 little-endian |
| 9-12 | bytes of the encoded batch before compression, uint32 little-endian |
| 13- | one zstd frame with content size and checksum (RFC 8878) |

The header tells how much a message holds before any of it is decompressed.
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
_LEVEL = 1


class NewerFormat(Exception):
    """The value has a version that this release does not know. Its reader stops: it is no poison (design, step 2)."""


class BatchHeader(NamedTuple):
    """What the header says."""

    version: int
    events: int
    size: int
    """Bytes of the encoded batch before compression."""


class _Codecs(threading.local):
    """zstd contexts of a thread: they are reused, and not safe to share."""

    def __init__(self) -> None:
        self.compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True, write_content_size=True)
        self.decompressor = zstandard.ZstdDecompressor()


_codecs = _Codecs()


def pack(batch: EventBatch) -> bytes:
    """The bus value of a batch. The same batch gives the same bytes. Raises ValueError above MAX_BATCH_BYTES."""
    encoded = encode_batch(batch)
    if len(encoded) > MAX_BATCH_BYTES:
        raise ValueError(f"a batch of {len(encoded)} bytes is above the limit of {MAX_BATCH_BYTES}")
    header = _HEADER.pack(_MAGIC, FORMAT_VERSION, batch.count, len(encoded))
    return header + _codecs.compressor.compress(encoded)


def peek(value: bytes | memoryview) -> BatchHeader:
    """Reads the header only. Raises NewerFormat and MalformedBatch."""
    if bytes(value[:_VERSION_AT]) != _MAGIC or len(value) <= _VERSION_AT:
        raise MalformedBatch("the value does not begin with OTEB and a version")
    version = value[_VERSION_AT]
    if version > FORMAT_VERSION:
        raise NewerFormat(f"the batch has format {version}; this release reads up to {FORMAT_VERSION}")
    if version < 1 or len(value) < _HEADER.size:
        raise MalformedBatch("the header of the value is broken")
    _, version, events, size = _HEADER.unpack_from(value)
    if size > MAX_BATCH_BYTES:
        raise MalformedBatch(f"a batch of {size} bytes is above the limit of {MAX_BATCH_BYTES}")
    return BatchHeader(version, events, size)


def unpack(value: bytes | memoryview) -> EventBatch:
    """The batch of a bus value; its records are views of one buffer. Raises NewerFormat and MalformedBatch."""
    header = peek(value)
    frame = memoryview(value)[_HEADER.size :]
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
