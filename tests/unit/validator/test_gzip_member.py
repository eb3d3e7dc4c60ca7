"""Bodies that are, or are not, exactly one gzip member; with ISA-L and with zlib alone."""

import gzip
import hashlib
import sys
import tracemalloc
import zlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opentrail_validator import Kind, gzip_member
from opentrail_validator.gzip_member import Member, hash_at_once, inflate, inflate_at_once

CONTENT = b'{"Records":[{"eventName":"Get"}]}'
BODY = gzip.compress(CONTENT, mtime=0)
LIMIT = 1 << 20


@pytest.fixture(params=["isal", "zlib"])
def inflater(request, monkeypatch):
    if request.param == "zlib":
        monkeypatch.setitem(sys.modules, "isal", None)
    else:
        pytest.importorskip("isal", reason="the extra `fast` is not installed")
    monkeypatch.setattr(gzip_member, "_igzip", gzip_member._isal())
    assert (gzip_member._igzip is not None) == (request.param == "isal")


def with_name(body):
    return body[:3] + b"\x08" + body[4:10] + b"name\0" + body[10:]


def in_pieces():
    compressor = zlib.compressobj(wbits=31)
    pieces = [compressor.compress(CONTENT[:9]), compressor.flush(zlib.Z_SYNC_FLUSH), compressor.compress(CONTENT[9:])]
    return b"".join(pieces) + compressor.flush()


GOOD = {
    "level 9": BODY,
    "level 1": gzip.compress(CONTENT, 1, mtime=77),
    "in pieces": in_pieces(),
    "with a name": with_name(BODY),
}


@pytest.mark.usefixtures("inflater")
@pytest.mark.parametrize("form", GOOD)
def test_one_whole_member_is_valid_however_it_is_made(form):
    outcome = inflate(GOOD[form], LIMIT)
    assert (outcome.kind, outcome.data) == (Kind.VALID, CONTENT)


TRAILER = BODY[-8:]
BAD = {
    "empty": (b"", Kind.TRUNCATED),
    "not gzip": (CONTENT, Kind.MALFORMED),
    "raw deflate": (zlib.compress(CONTENT)[2:-4], Kind.MALFORMED),
    "zlib stream": (zlib.compress(CONTENT), Kind.MALFORMED),
    "cut in the header": (BODY[:5], Kind.TRUNCATED),
    "cut in the data": (BODY[: len(BODY) // 2], Kind.TRUNCATED),
    "cut before the trailer": (BODY[:-8], Kind.TRUNCATED),
    "cut in the trailer": (BODY[:-4], Kind.TRUNCATED),
    "wrong length": (BODY[:-4] + b"\0\0\0\0", Kind.MALFORMED),
    "wrong checksum": (BODY[:-8] + b"\0\0\0\0" + BODY[-4:], Kind.MALFORMED),
    "unknown flags": (BODY[:3] + b"\x80" + BODY[4:], Kind.MALFORMED),
    "wrong checksum of the header": (BODY[:3] + b"\x02" + BODY[4:10] + b"\0\0" + BODY[10:], Kind.MALFORMED),
    "a byte after the end": (BODY + b"\0", Kind.TRAILING_DATA),
    "its own trailer after the end": (BODY + TRAILER, Kind.TRAILING_DATA),
    "much after the end": (BODY + bytes(1 << 20) + TRAILER, Kind.TRAILING_DATA),
    "a second member": (BODY + gzip.compress(b""), Kind.SEVERAL_MEMBERS),
    "the content in two members": (gzip.compress(CONTENT[:5]) + gzip.compress(CONTENT[5:]), Kind.SEVERAL_MEMBERS),
    "itself twice": (BODY + BODY, Kind.SEVERAL_MEMBERS),
    "more than allowed": (gzip.compress(bytes(LIMIT + 1)), Kind.DECOMPRESSION_BOMB),
    "more than allowed, and another length": (
        gzip.compress(bytes(2 * LIMIT))[:-4] + b"\x09\0\0\0",
        Kind.DECOMPRESSION_BOMB,
    ),
}


@pytest.mark.usefixtures("inflater")
@pytest.mark.parametrize("defect", BAD)
def test_anything_else_is_named(defect):
    body, kind = BAD[defect]
    assert inflate(body, LIMIT).kind is kind
    assert inflate_at_once(body, LIMIT) is None


@pytest.mark.usefixtures("inflater")
@pytest.mark.parametrize("defect", ["a byte after the end", "a second member"])
def test_what_is_followed_by_something_still_gives_its_content(defect):
    content = inflate(BAD[defect][0], LIMIT).data
    assert content == CONTENT
    assert inflate(BODY + b"\0\0", LIMIT).detail == "2 bytes after the gzip member"


@pytest.mark.usefixtures("inflater")
def test_content_of_exactly_the_limit_is_allowed():
    assert inflate(gzip.compress(bytes(LIMIT)), LIMIT).kind is Kind.VALID
    assert inflate(with_name(gzip.compress(bytes(LIMIT))), LIMIT).kind is Kind.VALID


@pytest.mark.usefixtures("inflater")
def test_a_bomb_takes_no_more_memory_than_some_pieces(monkeypatch):
    monkeypatch.setattr(gzip_member, "_AT_ONCE", LIMIT)
    bomb = gzip.compress(bytes(64 << 20), 9)
    tracemalloc.start()
    member = Member(bomb, 1 << 30)
    assert sum(map(len, member.pieces())) == member.size == 64 << 20
    assert inflate_at_once(bomb, 1 << 30) is None
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 << 20


def oracle(body):
    """What the Python documentation's way of reading makes of it."""
    inflater = zlib.decompressobj(31)
    try:
        data = inflater.decompress(body)
    except zlib.error:
        return None
    return data if inflater.eof and not inflater.unused_data else None


@pytest.mark.usefixtures("inflater")
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=3000), st.integers(0, 9), st.data())
def test_changed_members_are_judged_as_by_zlib(content, level, data):
    body = bytearray(gzip.compress(content, level, mtime=0))
    for _ in range(data.draw(st.integers(0, 3))):
        body[data.draw(st.integers(0, len(body) - 1))] ^= data.draw(st.integers(1, 255))
    body = bytes(body[: data.draw(st.integers(0, len(body)))]) if data.draw(st.booleans()) else bytes(body)
    outcome = inflate(body, LIMIT)
    expected = oracle(body)
    assert (outcome.data if outcome.kind is Kind.VALID else None) == expected
    hashed = hash_at_once(body, LIMIT)
    if hashed is not None:
        assert expected is not None
        assert hashed == (hashlib.sha256(expected).hexdigest(), len(expected))


MANY_PIECES = bytes(range(256)) * 4000


@pytest.mark.parametrize("size", [0, 1, (1 << 18) - 1, 1 << 18, (1 << 18) + 1, 1_000_000])
def test_a_member_of_many_pieces_is_hashed_as_a_whole(size):
    pytest.importorskip("isal", reason="the extra `fast` is not installed")
    content = MANY_PIECES[:size]
    body = gzip.compress(content, mtime=0)
    assert hash_at_once(body, LIMIT) == (hashlib.sha256(content).hexdigest(), size)
    for spoiled in (body + b"\0", body + body, body + body[-8:], body[:-1], body[:-9] + body[-8:]):
        assert hash_at_once(spoiled, LIMIT) is None
    assert hash_at_once(body, size - 1) is None


@pytest.mark.usefixtures("inflater")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300) | st.binary(max_size=300).map(BODY[:10].__add__))
def test_arbitrary_bytes_give_an_answer(body):
    outcome = inflate(body, LIMIT)
    assert (outcome.kind is Kind.VALID) == (oracle(body) is not None)
