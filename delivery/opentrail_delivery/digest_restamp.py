"""A digest whose place is taken by something foreign gets a later stamp, and what follows it new links.

The stamp is in the digest's key. Digests that were built on it and are not put yet name its key, hash and signature,
so they are signed anew too; nothing that lies in the bucket changes. The new stamps lie above all that were used in the
place, a second apart: between the old ones another chain may have its own. One that waits alone moves by a second.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from opentrail.evidence.digest import Digest, PreviousDigest, parse_digest, string_to_sign
from opentrail.evidence.digest_chain import link
from opentrail.evidence.object_keys import DigestKey, parse_key
from opentrail.evidence.times import format_time
from opentrail_backends.state.port import BuiltDigest
from opentrail_delivery.key_ring import KeyRing


def restamped(digests: Sequence[BuiltDigest], key_ring: KeyRing, above: int = 0) -> list[BuiltDigest]:
    """The waiting digests of a chain, in order, with the next stamps above the newest of them, and above `above`.

    Raises StateError, KeyManagementError.
    """
    above = max(above, digests[-1].end)
    made: list[BuiltDigest] = []
    for digest in digests:
        content = parse_digest(digest.body)
        previous = content.previous
        start = content.start
        if made:
            before = made[-1]
            previous = link(before.body, before.signature, before.bucket, before.object_key)
            start = before.end
        end = above + 1 + len(made)
        made.append(_signed(digest, content, previous, start, end, key_ring))
    return made


def _signed(
    digest: BuiltDigest, content: Digest, previous: PreviousDigest | None, start: int, end: int, key_ring: KeyRing
) -> BuiltDigest:
    place = parse_key(digest.object_key)
    assert isinstance(place, DigestKey)
    object_key = str(replace(place, end_seconds=end))
    key = key_ring.key_for(place.region, end)
    body = replace(
        content, start=start, end=end, s3_object=object_key, fingerprint=key.fingerprint, previous=previous
    ).to_bytes()
    sha256 = hashlib.sha256(body).hexdigest()
    signed = string_to_sign(
        format_time(end), digest.bucket, object_key, sha256, previous.signature if previous else None
    )
    return replace(
        digest,
        object_key=object_key,
        start=start,
        end=end,
        body=body,
        sha256=sha256,
        signature=key_ring.sign(key, signed),
        fingerprint=key.fingerprint,
    )
