"""What lies where a digest is to be put (412): this very digest, another one of ours, or something foreign."""

from __future__ import annotations

import hashlib
from enum import Enum

from opentrail.evidence.digest import SIGNATURE_METADATA, MalformedDigest, parse_digest, string_to_sign
from opentrail.evidence.log_file import MalformedLogFile, read_log_file
from opentrail.evidence.object_keys import DigestKey, parse_key
from opentrail.evidence.signature import BadSignature, MalformedKeyError, verify
from opentrail.evidence.times import format_time
from opentrail_backends.object_store.port import StoredObject
from opentrail_backends.state.port import BuiltDigest, PublicKeys


class Found(Enum):
    """The bytes and their signature decide, not what the metadata says of them."""

    THIS = "this digest"
    OTHER_OF_OURS = "another digest that we signed"
    FOREIGN = "something that we did not write"


def what_lies_there(digest: BuiltDigest, there: StoredObject, public_keys: PublicKeys) -> Found:
    """Compares the object at a digest's place with the digest. Raises StateError."""
    signature = there.metadata.get(SIGNATURE_METADATA, "")
    try:
        body = read_log_file(there.body)
    except MalformedLogFile:
        return Found.FOREIGN
    if body == digest.body and signature == digest.signature:
        return Found.THIS
    return Found.OTHER_OF_OURS if _is_ours(digest, body, signature, public_keys) else Found.FOREIGN


def _is_ours(digest: BuiltDigest, body: bytes, signature: str, public_keys: PublicKeys) -> bool:
    key = parse_key(digest.object_key)
    assert isinstance(key, DigestKey)
    try:
        found = parse_digest(body)
    except MalformedDigest:
        return False
    message = string_to_sign(
        format_time(found.end),
        digest.bucket,
        digest.object_key,
        hashlib.sha256(body).hexdigest(),
        found.previous_signature,
    )
    for public_key in public_keys.between(key.region, found.end, found.end):
        if public_key.fingerprint == found.fingerprint:
            try:
                verify(public_key.der, signature, message)
            except (BadSignature, MalformedKeyError):
                continue
            return True
    return False
