"""Which chains signed heads tell of: each was there once, also one that was removed as a whole.

Nothing is believed here but that the chain is worth asking for: what a head says is judged when the chain is.
"""

from __future__ import annotations

from collections.abc import Iterator

from opentrail.evidence.chain_head import HEAD_FOLDER, MalformedHead, parse_head
from opentrail.evidence.object_keys import DIGEST_FOLDER
from opentrail_validator.discovery import discover
from opentrail_validator.head_sources import HEAD_APART, in_folder
from opentrail_validator.question import HOUR
from opentrail_validator.readers.port import HeadSource, ListedObject, ObjectReader
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


def chains_in_bucket(objects: ObjectReader, bucket: str, prefix: str, trail: TrailPlace) -> list[TrailPlace]:
    """Of a bucket of heads, which lie there by the names of their digests. Raises CouldNotRead."""
    return discover([trail], _AsDigests(objects, bucket, prefix), None, None)


class _AsDigests:
    """Lists heads under the keys of their digests, wherever these are asked for."""

    def __init__(self, objects: ObjectReader, bucket: str, prefix: str) -> None:
        self._objects = objects
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""

    def folders(self, bucket: str, prefix: str) -> Iterator[str]:  # noqa: ARG002 - whatever bucket has the digests
        return self._objects.folders(self._bucket, self._of_heads(prefix))

    def list(self, bucket: str, prefix: str, start_after: str = "") -> Iterator[ListedObject]:  # noqa: ARG002 - as above
        for entry in self._objects.list(self._bucket, self._of_heads(prefix), start_after):
            folder, _, name = HEAD_APART.sub("", entry.key).removeprefix(self._prefix).rpartition("/")
            digest = in_folder(DIGEST_FOLDER, f"{folder}/", instead_of=HEAD_FOLDER)
            yield ListedObject(f"{digest}{name.replace(f'_{HEAD_FOLDER}_', f'_{DIGEST_FOLDER}_', 1)}.gz")

    def _of_heads(self, prefix: str) -> str:
        return self._prefix + in_folder(HEAD_FOLDER, prefix, instead_of=DIGEST_FOLDER)
