"""What a walk along a made chain sees, put together without walking."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Callable, Collection
from datetime import datetime

from opentrail_validator.walked import VerifiedDigest, Walked, WalkedDigest
from tests.evidence_maker.maker import Chain, Place


def moment(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


def walked_of(
    chain: Chain,
    *,
    missing: Collection[Place] = (),
    wrong: Collection[Place] = (),
    put_at: Callable[[int], float | None] = lambda _end: None,
) -> Walked:
    """A walk over all digests of the chain; `missing` and `wrong` ones are visited and prove nothing."""
    walked = Walked(buckets=[chain.bucket])
    joined = True
    for bucket, key in reversed(chain.digests):
        walked.visited.add(bucket, key)
        if (bucket, key) in missing:
            walked.missing.add(bucket, key)
        if (bucket, key) in {*missing, *wrong}:
            joined = False
            continue
        made = chain.objects[bucket, key]
        data = gzip.decompress(made.body)
        digest = json.loads(data)
        start, end = moment(digest["digestStartTime"]), moment(digest["digestEndTime"])
        joined = joined and (not walked.digests or end >= walked.digests[-1].start)
        walked.digests.append(WalkedDigest(start, end, put_at(end), joined))
        walked.prove(bucket, key, hashlib.sha256(data).hexdigest(), made.metadata["signature"])
        for entry in digest["logFiles"]:
            walked.log_files.add(entry["s3Bucket"], entry["s3Object"])
        joined = True
    return walked


def verified(chain: Chain, place: Place) -> VerifiedDigest:
    made = chain.objects[place]
    data = gzip.decompress(made.body)
    digest = json.loads(data)
    return VerifiedDigest(
        bucket=place[0],
        key=place[1],
        start=moment(digest["digestStartTime"]),
        end=moment(digest["digestEndTime"]),
        sha256=hashlib.sha256(data).hexdigest(),
        signature=made.metadata["signature"],
        previous_signature=digest["previousDigestSignature"],
        fingerprint=digest["digestPublicKeyFingerprint"],
    )
