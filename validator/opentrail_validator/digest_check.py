"""Checks one digest: its form, place, signature, and whether it is the one that the next digest recorded.

Pure: an object in, a kind of finding out. What the AWS CLI checks comes first and in its order, so that the first thing
wrong is the same for both. A digest that is well signed is given back even if something else is wrong with it: the AWS
CLI walks on from there and checks its log files, and so do we.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeAlias

from opentrail.evidence.digest import (
    BACKFILL_TIMESTAMP_METADATA,
    SIGNATURE_ALGORITHM,
    SIGNATURE_ALGORITHM_METADATA,
    SIGNATURE_METADATA,
    CrowdedDigest,
    Digest,
    MalformedDigest,
    PreviousDigest,
    parse_digest,
    string_to_sign,
)
from opentrail.evidence.digest_chain import LinkDefect
from opentrail.evidence.object_keys import DigestKey, MalformedKey, parse_key
from opentrail.evidence.signature import BadSignature, MalformedKeyError, fingerprint, verify
from opentrail.evidence.times import format_time
from opentrail_validator.findings import Kind
from opentrail_validator.gzip_member import MAX_DIGEST_BYTES, Inflated, inflate
from opentrail_validator.readers.port import PublicKey, StoredObject
from opentrail_validator.trail_place import TrailPlace
from opentrail_validator.walked import VerifiedDigest

FindKey: TypeAlias = Callable[[str, StoredObject], PublicKey | None]
"""Gives the public key with a fingerprint, for a digest as stored; None if there is none."""

PROVEN: Final = frozenset({Kind.VALID, Kind.TRAILING_DATA, Kind.SEVERAL_MEMBERS})
"""What such a digest says of its predecessor counts as evidence: only its wrapping may be wrong."""

_LONGEST_CLAIM: Final = 2000


class Recorded(NamedTuple):
    """What led to the digest that is checked: a link of the next digest, or a chain head."""

    link: PreviousDigest
    proven: bool
    """Whether the digest or head that says so was itself proven."""


@dataclass(frozen=True, slots=True)
class DigestCheck:
    """What is known of a digest.

    `digest` if it is well signed, and if it lacks no more than a signature (kind NOT_CHECKED): the walk can go on with
    it. `verified` if it is well signed, whatever else is wrong with it.
    """

    kind: Kind
    detail: str = ""
    digest: Digest | None = None
    verified: VerifiedDigest | None = None


def check_digest(
    stored: StoredObject,
    bucket: str,
    key: str,
    find_key: FindKey,
    place: TrailPlace,
    *,
    backfill: bool = False,
    recorded: Recorded | None = None,
) -> DigestCheck:
    """Checks the digest that lies at `bucket` and `key`, in the chain of `place`.

    `recorded`: what led here, if a link or head did. A copy that lost its metadata has no signature; the recorded one
    is then tried: if it fits, it proves as much, whoever supplied it.
    """
    try:
        inflated = _inflate(stored)
        claims = _read(inflated.data, stored)
        signature = _signature(stored, claims, recorded, backfill=backfill)
        digest, public_key, verified = _verify(claims, signature, stored, bucket, key, find_key)
    except _Failed as failed:
        if failed.check.kind is Kind.BAD_SIGNATURE and stored.metadata is None and recorded and not recorded.proven:
            return DigestCheck(Kind.NOT_CHECKED, "its signature is known only from a digest that was not proven")
        return failed.check
    kind, detail = _beyond_the_signature(inflated, digest, verified, public_key, place, recorded, backfill=backfill)
    return DigestCheck(kind, detail, digest, verified)


class _Failed(Exception):
    """A check failed; what is then known."""

    def __init__(self, kind: Kind, detail: str = "", digest: Digest | None = None) -> None:
        super().__init__(kind, detail)
        self.check = DigestCheck(kind, detail, digest)


class _Claims(NamedTuple):
    """The fields that the signature's checks need, and the digest; where that is malformed: in what."""

    s3_bucket: str
    s3_object: str
    fingerprint: str
    end: str
    previous_signature: str | None
    sha256: str
    digest: Digest | None
    defect: str = ""


def _inflate(stored: StoredObject) -> Inflated:
    inflated = inflate(stored.body, MAX_DIGEST_BYTES)
    if inflated.kind in {Kind.MALFORMED, Kind.TRUNCATED, Kind.DECOMPRESSION_BOMB}:
        raise _Failed(inflated.kind, inflated.detail)
    return inflated


def _read(data: bytes, stored: StoredObject) -> _Claims:
    sha256 = hashlib.sha256(data).hexdigest()
    try:
        digest = parse_digest(data)
    except CrowdedDigest as error:  # Nobody decodes it, unsigned as it may be.
        raise _Failed(Kind.MALFORMED, str(error)) from None
    except MalformedDigest as error:
        return _read_malformed(data, sha256, str(error), stored)
    if digest.previous is None and b'"previousDigestSignature"' not in data:
        # A starting digest says that it has no predecessor: the AWS CLI does not take silence for that.
        return _read_malformed(data, sha256, "previousDigestSignature is missing", stored)
    return _Claims(
        digest.s3_bucket,
        digest.s3_object,
        digest.fingerprint,
        format_time(digest.end),
        digest.previous_signature,
        sha256,
        digest,
    )


_FIELDS: Final = ("digestS3Bucket", "digestS3Object", "digestPublicKeyFingerprint", "digestEndTime")


def _read_malformed(data: bytes, sha256: str, defect: str, stored: StoredObject) -> _Claims:
    """What a digest with a malformed field says: the AWS CLI looks at its place and signature nevertheless."""
    try:
        document: Any = json.loads(data.decode())
    except (ValueError, RecursionError):
        raise _Failed(Kind.MALFORMED, defect) from None
    _refuse_without_signature(stored)
    if not isinstance(document, dict) or "digestStartTime" not in document or "previousDigestSignature" not in document:
        raise _Failed(Kind.MALFORMED, defect)
    previous = document["previousDigestSignature"]
    texts = [document.get(field) for field in _FIELDS]
    # A lone surrogate is not printable either: it has no bytes to sign.
    if not all(isinstance(text, str) and text.isprintable() for text in (*texts, previous or "")):
        raise _Failed(Kind.MALFORMED, defect)
    bucket, key, name, end = map(str, texts)
    return _Claims(bucket, key, name, end, previous, sha256, None, defect)


def _refuse_without_signature(stored: StoredObject) -> None:
    if stored.metadata is not None and not {SIGNATURE_METADATA, SIGNATURE_ALGORITHM_METADATA} <= stored.metadata.keys():
        raise _Failed(Kind.BAD_SIGNATURE, "no signature in the metadata")


def _refuse_other_algorithm(stored: StoredObject) -> None:
    """The AWS CLI asks that the name is there, and reads it never."""
    named = (stored.metadata or {}).get(SIGNATURE_ALGORITHM_METADATA, SIGNATURE_ALGORITHM)
    if named != SIGNATURE_ALGORITHM:
        raise _Failed(Kind.BAD_SIGNATURE, f"the metadata names the algorithm {named[:100]!r}")


def _signature(stored: StoredObject, claims: _Claims, recorded: Recorded | None, *, backfill: bool) -> str:
    """The signature in the object's metadata; of a copy without metadata, the recorded one."""
    if stored.metadata is None:
        if recorded is not None:
            return recorded.link.signature
        if claims.digest is None:
            raise _Failed(Kind.MALFORMED, claims.defect)
        raise _Failed(Kind.NOT_CHECKED, "the copy has no metadata, so no signature", claims.digest)
    _refuse_without_signature(stored)
    if backfill and BACKFILL_TIMESTAMP_METADATA not in stored.metadata:
        raise _Failed(Kind.MALFORMED, f"no {BACKFILL_TIMESTAMP_METADATA} in the metadata")
    return stored.metadata[SIGNATURE_METADATA]


def _verify(
    claims: _Claims, signature: str, stored: StoredObject, bucket: str, key: str, find_key: FindKey
) -> tuple[Digest, PublicKey, VerifiedDigest]:
    """The place, the public key, the signature, and only then whether each field has its form."""
    if (claims.s3_bucket, claims.s3_object) != (bucket, key):
        raise _Failed(Kind.MOVED, _shortened(f"it says that it lies at s3://{claims.s3_bucket}/{claims.s3_object}"))
    public_key = find_key(claims.fingerprint, stored)
    if public_key is None:
        raise _Failed(Kind.UNKNOWN_KEY, _shortened(claims.fingerprint))
    if fingerprint(public_key.der) != claims.fingerprint:
        raise _Failed(Kind.MALFORMED_KEY, claims.fingerprint)
    message = string_to_sign(claims.end, bucket, key, claims.sha256, claims.previous_signature)
    try:
        verify(public_key.der, signature, message)
    except MalformedKeyError:
        raise _Failed(Kind.MALFORMED_KEY, claims.fingerprint) from None
    except BadSignature as error:
        raise _Failed(Kind.BAD_SIGNATURE, str(error)) from None
    _refuse_other_algorithm(stored)
    digest = claims.digest
    if digest is None:
        raise _Failed(Kind.MALFORMED, claims.defect)
    verified = VerifiedDigest(
        bucket=bucket,
        key=key,
        start=digest.start,
        end=digest.end,
        sha256=claims.sha256,
        signature=signature,
        previous_signature=digest.previous_signature,
        fingerprint=digest.fingerprint,
    )
    return digest, public_key, verified


def _shortened(claim: str) -> str:
    """For what nobody signed: longer than any place in S3 it tells nothing, and it may be of many megabytes."""
    return claim if len(claim) <= _LONGEST_CLAIM else f"{claim[:_LONGEST_CLAIM]}… ({len(claim)} characters)"


def _beyond_the_signature(
    inflated: Inflated,
    digest: Digest,
    verified: VerifiedDigest,
    public_key: PublicKey,
    place: TrailPlace,
    recorded: Recorded | None,
    *,
    backfill: bool,
) -> tuple[Kind, str]:
    """What the AWS CLI does not look at, the gravest first."""
    if recorded is not None and recorded.proven and (differing := differing_from(recorded.link, verified)):
        return Kind.CHAIN_BROKEN, ", ".join(differing)
    if outside := _outside_validity(public_key, digest.end, backfill=backfill):
        return Kind.KEY_OUTSIDE_VALIDITY, outside
    if inflated.kind is not Kind.VALID:
        return inflated.kind, inflated.detail
    if claim := _wrong_claim(digest, place):
        return Kind.WRONG_CLAIM, claim
    return Kind.VALID, ""


def differing_from(link: PreviousDigest, verified: VerifiedDigest) -> list[LinkDefect]:
    """In what a digest is not the one that a link or head names."""
    defects = []
    if (link.s3_bucket, link.s3_object) != (verified.bucket, verified.key):
        defects.append(LinkDefect.LOCATION)
    if link.hash_value != verified.sha256:
        defects.append(LinkDefect.HASH)
    if link.signature.lower() != verified.signature.lower():
        defects.append(LinkDefect.SIGNATURE)
    return defects


def _outside_validity(public_key: PublicKey, end: int, *, backfill: bool) -> str:
    """Why the key may not sign a digest that ends then. A backfill digest is signed later, by a key that may be new."""
    since, until = public_key.valid_from, public_key.valid_until
    if until is not None and end > until:
        return f"the key was valid until {format_time(until)}"
    if since is not None and end < since and not backfill:
        return f"the key is valid from {format_time(since)}"
    return ""


def _wrong_claim(digest: Digest, place: TrailPlace) -> str:
    """What the digest says of itself that does not fit the chain. A link may lead to another bucket or prefix."""
    if digest.account_id != place.account_id:
        return f"account {digest.account_id}"
    try:
        key = parse_key(digest.s3_object)
    except MalformedKey:
        return ""  # A key of another form claims nothing.
    if not isinstance(key, DigestKey):
        return "the key of a log file"
    named = {
        "account": (key.account_id, place.account_id),
        "region": (key.region, place.region),
        "trail": (key.trail_name, place.trail_name),
        "home region": (key.home_region, place.home_region),
    }
    return ", ".join(f"{name} {its}" for name, (its, due) in named.items() if its != due)
