"""Makes the cases: good inputs, spoiled by bytes and by JSON values, and inputs that are made to hurt."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Sequence
from functools import cache
from random import Random
from typing import Any

HURTING: Sequence[bytes] = (
    b"",
    b"\0",
    b"\xff\xfe{\0}\0",
    b"\xef\xbb\xbf{}",
    b"[" * 100_000,
    b'{"a":' * 50_000,
    b'[{"Records":' * 20_000,
    b"[" * 900 + b"]" * 900,
    b"1" * 100_000,
    b"-" * 100_000,
    b"1e" + b"9" * 5_000,
    b'{"a":1e999999}',
    b'"' + b"a" * 1_000_000,
    b'"\\ud800"',
    b'"\\u' + b"0" * 100_000,
    b"{" + b",".join(b'"%d":%d' % (number, number) for number in range(20_000)) + b"}",
    b"[" + b"{}," * 50_000 + b"{}]",
    b"[" + b"null," * 100_000 + b"null]",
    b"NaN",
    b"null",
    b"true",
    b"[]",
    b"{}",
    b'{"Records":null}',
    b'{"Records":[null]}',
    b'{"Records":[{}]}',
    b"\x1f\x8b",
    b"\x1f\x8b\x08\xff" + b"\0" * 40,
    b"SQLite format 3\0" + b"\0" * 200,
)
"""Depth, length, numbers and text that parsers stumble over."""

VALUES: Sequence[Any] = (
    None,
    True,
    False,
    0,
    -1,
    1,
    2**31,
    2**63,
    2**64,
    10**400,
    -(10**400),
    1.5,
    1e308,
    "",
    "\0",
    "null",
    "a" * 10_000,
    "\ud800",
    "../../etc/passwd",
    "0" * 64,
    "f" * 63,
    "F" * 64,
    "٣" * 64,
    "2026-03-01T10:07:31Z",
    "2026-02-30T10:07:31Z",
    "0000-01-01T00:00:00Z",
    "9999-12-31T23:59:59Z",
    "2026-03-01T24:00:00Z",
    "2026-03-01T10:07:31+01:00",
    "٢٠٢٦-03-01T10:07:31Z",
    "AAAA",
    "AAA",
    "====",
    [],
    [[]],
    [None],
    {},
    {"": None},
    [{}] * 50,
)
"""What stands in a field instead of what belongs there."""


def case(seeds: Sequence[bytes], number: int) -> bytes:
    """Case `number` of these good inputs: first they themselves, then what hurts, then spoiled ones without end."""
    fixed = len(seeds) + len(_fixed())
    if number < fixed:
        return seeds[number] if number < len(seeds) else _fixed()[number - len(seeds)]
    random = Random(f"corpus {number}")
    data = random.choice(seeds)
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        data = random.choice(_SPOILERS)(data, random)
    return data


@cache
def _fixed() -> list[bytes]:
    return [*HURTING, *(gzip.compress(data, mtime=0) for data in HURTING)]


def _flip(data: bytes, random: Random) -> bytes:
    if not data:
        return data
    spoiled = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 8))):
        spoiled[random.randrange(len(data))] = random.randrange(256)
    return bytes(spoiled)


def _cut(data: bytes, random: Random) -> bytes:
    start, end = sorted((random.randrange(len(data) + 1), random.randrange(len(data) + 1)))
    return random.choice((data[:start], data[start:], data[:start] + data[end:]))


def _repeat(data: bytes, random: Random) -> bytes:
    start, end = sorted((random.randrange(len(data) + 1), random.randrange(len(data) + 1)))
    return data[:end] + data[start:end] * random.choice((1, 2, 20)) + data[end:]


def _insert(data: bytes, random: Random) -> bytes:
    at = random.randrange(len(data) + 1)
    piece = random.choice((b"\0", b'"', b"{", b"]", b",", b"\\", b"\n", b"\xff", b"\\ud800", b"1e9999", *HURTING[-8:]))
    return data[:at] + piece + data[at:]


def _in_gzip(spoil: Callable[[bytes, Random], bytes]) -> Callable[[bytes, Random], bytes]:
    """Spoils the content of a gzip member, so that what is behind the decompression is reached."""

    def spoiled(data: bytes, random: Random) -> bytes:
        try:
            content = gzip.decompress(data)
        except (OSError, EOFError, ValueError, zlib.error):
            return spoil(data, random)
        return gzip.compress(spoil(content, random), mtime=0)

    return spoiled


def _change_json(data: bytes, random: Random) -> bytes:
    """Another value in a place of a JSON document, a field less, or a field more; after a first line that is none."""
    line, newline, rest = data.partition(b"\n") if data.startswith(b"OPENTRAIL") else (b"", b"", data)
    head, end, body = rest.partition(b"\n") if line else (rest, b"", b"")
    try:
        document = json.loads(head)
    except (ValueError, RecursionError):
        return data
    places = list(_places(document))
    if not places:
        return json.dumps(random.choice(VALUES)).encode()
    container, key = random.choice(places)
    if random.random() < 0.2:
        del container[key]
    elif random.random() < 0.1 and isinstance(container, dict):
        container[random.choice(("", "extra", "Signature", "\ud800"))] = random.choice(VALUES)
    else:
        container[key] = random.choice(VALUES)
    return line + newline + json.dumps(document).encode() + end + body


def _places(document: Any) -> Any:
    """Every (container, key or index) in a document."""
    keys = document if isinstance(document, dict) else range(len(document)) if isinstance(document, list) else ()
    for key in list(keys):
        yield document, key
        yield from _places(document[key])


_SPOILERS = (
    _flip,
    _cut,
    _repeat,
    _insert,
    _in_gzip(_flip),
    _in_gzip(_cut),
    _in_gzip(_insert),
    _in_gzip(_change_json),
    _in_gzip(_change_json),
    _in_gzip(_change_json),
)
