"""Which chains signed heads tell of: each was there once, also one that was removed as a whole.

Nothing is believed here but that the chain is worth asking for: what a head says is judged when the chain is.
"""

from __future__ import annotations

from collections.abc import Iterator

from opentrail.evidence.chain_head import HEAD_FOLDER, MalformedHead, parse_head
from opentrail.evidence.object_keys import DIGEST_FOLDER
from opentrail_validator.question import HOUR
from opentrail_validator.readers.port import HeadSource, ObjectReader
from opentrail_validator.trail_place import TrailPlace


def chains_in_file(heads: HeadSource, trail: TrailPlace, end: int) -> Iterator[TrailPlace]:
    """Of a source that gives the heads of all folders below a common one, up to `end` (epoch seconds).

    Raises CouldNotRead.
    """
    told: set[TrailPlace] = set()
    for body in heads.heads(trail.bucket, trail.root, 0, end + HOUR):
        try:
            head = parse_head(body)
        except MalformedHead:
            continue
        place = trail.of(head.account_id, head.region)
        if head.digest_bucket == trail.bucket and place not in told and place.digest_at(head.digest_key):
            told.add(place)
            yield place


def chains_in_bucket(objects: ObjectReader, bucket: str, prefix: str, trail: TrailPlace) -> Iterator[TrailPlace]:
    """Of a bucket of heads, which lie there by the names of their digests. Raises CouldNotRead."""
    above = f"{prefix}/" if prefix else ""
    for account in objects.folders(bucket, f"{above}{trail.root}"):
        folder = f"{above}{trail.root}{account}/{HEAD_FOLDER}/"
        for region in objects.folders(bucket, folder):
            place = trail.of(account, region)
            listed = objects.list(bucket, f"{folder}{region}/")
            # Heads of other trails may lie in the same folder.
            if any(place.digest_at(_digest_key(entry.key.removeprefix(above))) for entry in listed):
                yield place


def _digest_key(head_key: str) -> str:
    """The other way than `chain_head.head_key`."""
    return head_key.replace(HEAD_FOLDER, DIGEST_FOLDER) + ".gz"
