"""Log files named by their defect."""

import gzip
import hashlib
import tracemalloc
import zlib

import pytest

from opentrail_validator import Kind
from opentrail_validator.log_file_check import check_log_file

CONTENT = b'{"Records":[{"eventName":"Get"}]}'
HASH = hashlib.sha256(CONTENT).hexdigest()
BODY = gzip.compress(CONTENT, mtime=0)


def deflated_in_pieces():
    compressor = zlib.compressobj(wbits=31)
    pieces = [compressor.compress(CONTENT[:9]), compressor.flush(zlib.Z_SYNC_FLUSH), compressor.compress(CONTENT[9:])]
    return b"".join(pieces) + compressor.flush()


@pytest.mark.parametrize(
    "body",
    [BODY, gzip.compress(CONTENT, 1, mtime=77), deflated_in_pieces()],
    ids=["level 9", "level 1", "in pieces"],
)
def test_the_recorded_content_is_valid_however_it_is_compressed(body):
    assert check_log_file(body, HASH) is Kind.VALID


BODIES = {
    "empty": (b"", Kind.MALFORMED),
    "not gzip": (CONTENT, Kind.MALFORMED),
    "raw deflate": (zlib.compress(CONTENT)[2:-4], Kind.MALFORMED),
    "cut in the data": (BODY[: len(BODY) // 2], Kind.MALFORMED),
    "cut in the trailer": (BODY[:-4], Kind.MALFORMED),
    "wrong length": (BODY[:-4] + b"\0\0\0\0", Kind.MALFORMED),
    "wrong checksum": (BODY[:-8] + b"\0\0\0\0" + BODY[-4:], Kind.MALFORMED),
    "bytes after the end": (BODY + b"\0", Kind.TRAILING_DATA),
    "a second member": (BODY + gzip.compress(b""), Kind.TRAILING_DATA),
    "the content in two members": (gzip.compress(CONTENT[:5]) + gzip.compress(CONTENT[5:]), Kind.TRAILING_DATA),
    "other content": (gzip.compress(CONTENT.replace(b"Get", b"Put")), Kind.HASH_MISMATCH),
    "no content": (gzip.compress(b""), Kind.HASH_MISMATCH),
    "one byte more": (gzip.compress(CONTENT + b" "), Kind.HASH_MISMATCH),
}


@pytest.mark.parametrize("defect", BODIES)
def test_a_defect(defect):
    body, kind = BODIES[defect]
    assert check_log_file(body, HASH) is kind


def test_empty_content_with_its_own_hash_is_valid():
    assert check_log_file(gzip.compress(b""), hashlib.sha256(b"").hexdigest()) is Kind.VALID


def test_a_recorded_hash_in_upper_case_is_not_the_recorded_form():
    assert check_log_file(BODY, HASH.upper()) is Kind.HASH_MISMATCH


def test_a_decompression_bomb_takes_no_more_memory_than_a_piece():
    bomb = gzip.compress(b"\0" * (64 << 20), 9)
    tracemalloc.start()
    assert check_log_file(bomb, HASH) is Kind.HASH_MISMATCH
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 << 20
