"""Checks one digest file: form, place, key, signature, and whether it is the one that the next digest recorded.

Pure but for `find_key`. The order of the checks is the AWS CLI's, so that the first thing wrong is the same for both.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

from opentrail.evidence.digest import (
    BACKFILL_TIMESTAMP_METADATA,
    SIGNATURE_ALGORITHM_METADATA,
    SIGNATURE_METADATA,
    Digest,
    MalformedDigest,
    parse_digest,
    string_to_sign,
)
from opentrail.evidence.digest_chain import LinkDefect, follows, link
from opentrail.evidence.signature import BadSignature, MalformedKeyError, fingerprint, verify
from opentrail.evidence.times import format_time
from opentrail_validator.findings import Kind
from opentrail_validator.readers.port import StoredObject

MAX_DIGEST_BYTES: Final = 1 << 28
"""Uncompressed; room for half a million log files in an hour. More is malformed: a decompression bomb."""

FindKey: TypeAlias = Callable[[str, StoredObject], bytes | None]
"""Gives the public key (DER) with a fingerprint, for a digest as stored; None if there is none."""


class Recorded(NamedTuple):
    """The digest whose link led to the one that is checked, and whether it was itself valid."""

    by: Digest
    proven: bool


@dataclass(frozen=True, slots=True)
class DigestCheck:
    """What is known of a digest.

    `digest` if it is valid, and if it lacks no more than a signature (kind NOT_CHECKED): the walk can go on with it.
    """

    kind: Kind
    detail: str = ""
    digest: Digest | None = None


def check_digest(
    stored: StoredObject, bucket: str, key: str, find_key: FindKey, *, backfill: bool, recorded: Recorded | None
) -> DigestCheck:
    """Checks the digest that lies at `bucket` and `key`.

    `recorded`: the digest whose link led here, if one did. A copy that lost its metadata has no signature; the one
    that the next digest recorded is then tried: if it fits, it proves as much, whoever supplied it.
    """
    try:
        data, digest = _read(stored.body)
        signature = _signature(stored, digest, recorded, backfill=backfill)
        if (digest.s3_bucket, digest.s3_object) != (bucket, key):
            return DigestCheck(Kind.MOVED)
        _verify(data, digest, signature, find_key(digest.fingerprint, stored))
        _compare(data, digest, signature, recorded)
    except _Failed as failed:
        if failed.check.kind is Kind.BAD_SIGNATURE and stored.metadata is None and recorded and not recorded.proven:
            return DigestCheck(Kind.NOT_CHECKED, "its signature is known only from a digest that was not proven")
        return failed.check
    return DigestCheck(Kind.VALID, digest=digest)


class _Failed(Exception):
    """A check failed; what is then known."""

    def __init__(self, kind: Kind, detail: str = "", digest: Digest | None = None) -> None:
        super().__init__(kind, detail)
        self.check = DigestCheck(kind, detail, digest)


def _read(body: bytes) -> tuple[bytes, Digest]:
    """The uncompressed bytes and what they say."""
    inflater = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        data = inflater.decompress(body, MAX_DIGEST_BYTES)
        digest = parse_digest(data)
    except (zlib.error, MalformedDigest) as error:
        raise _Failed(Kind.MALFORMED, str(error)) from None
    if not inflater.eof:
        raise _Failed(Kind.MALFORMED, "not a complete gzip member, or too much in it")
    if inflater.unused_data:
        raise _Failed(Kind.TRAILING_DATA)
    return data, digest


def _signature(stored: StoredObject, digest: Digest, recorded: Recorded | None, *, backfill: bool) -> str:
    """The signature in the object's metadata; of a copy without metadata, the one that the next digest recorded."""
    if stored.metadata is None:
        if recorded is None or recorded.by.previous_signature is None:
            raise _Failed(Kind.NOT_CHECKED, "the copy has no metadata, so no signature", digest)
        return recorded.by.previous_signature
    if SIGNATURE_METADATA not in stored.metadata or SIGNATURE_ALGORITHM_METADATA not in stored.metadata:
        raise _Failed(Kind.BAD_SIGNATURE, "no signature in the metadata")
    if backfill and BACKFILL_TIMESTAMP_METADATA not in stored.metadata:
        raise _Failed(Kind.MALFORMED, f"no {BACKFILL_TIMESTAMP_METADATA} in the metadata")
    return stored.metadata[SIGNATURE_METADATA]


def _verify(data: bytes, digest: Digest, signature: str, public_key: bytes | None) -> None:
    if public_key is None:
        raise _Failed(Kind.UNKNOWN_KEY, digest.fingerprint)
    if fingerprint(public_key) != digest.fingerprint:
        raise _Failed(Kind.MALFORMED_KEY, digest.fingerprint)
    sha256 = hashlib.sha256(data).hexdigest()
    end = format_time(digest.end)
    message = string_to_sign(end, digest.s3_bucket, digest.s3_object, sha256, digest.previous_signature)
    try:
        verify(public_key, signature, message)
    except MalformedKeyError:
        raise _Failed(Kind.MALFORMED_KEY, digest.fingerprint) from None
    except BadSignature as error:
        raise _Failed(Kind.BAD_SIGNATURE, str(error)) from None


def _compare(data: bytes, digest: Digest, signature: str, recorded: Recorded | None) -> None:
    """The digest against what the next one, if that is proven, recorded of it."""
    if recorded is None or not recorded.proven:
        return
    defects = follows(link(data, signature, digest.s3_bucket, digest.s3_object), digest.end, recorded.by)
    # Signed times that do not meet are a fault of the writer, not tampering.
    if differing := [defect for defect in defects if defect is not LinkDefect.TIME]:
        raise _Failed(Kind.NOT_THE_RECORDED, ", ".join(differing))
