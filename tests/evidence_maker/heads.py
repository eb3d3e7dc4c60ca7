"""Makes signed chain heads straight from the documented format. It shares no code with the project."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterable, Iterator
from typing import Any

from opentrail_validator.readers.port import CouldNotRead
from tests.evidence_maker.maker import Chain, Place, iso, private_key, public_der, sign


def made_head(chain: Chain, place: Place, *, signed_by: int | None = None, **changes: Any) -> dict[str, Any]:
    """The head of a digest of the chain; `changes` replace fields before it is signed."""
    made = chain.objects[place]
    digest = json.loads(gzip.decompress(made.body))
    fields = {
        "headVersion": 1,
        "trailARN": chain.arn,
        "awsAccountId": chain.account,
        "region": chain.region,
        "chainId": "chain-1",
        "sequence": chain.digests.index(place),
        "digestS3Bucket": place[0],
        "digestS3Object": place[1],
        "digestHashValue": hashlib.sha256(gzip.decompress(made.body)).hexdigest(),
        "digestSignature": made.metadata["signature"],
        "digestStartTime": digest["digestStartTime"],
        "digestEndTime": digest["digestEndTime"],
        "chainEnded": False,
        "headTime": iso(chain.now),
        "publicKeyFingerprint": digest["digestPublicKeyFingerprint"],
    } | changes
    if signed_by is not None:
        fields["publicKeyFingerprint"] = hashlib.md5(public_der(private_key(signed_by))).hexdigest()
    message = b"OpenTrail chain head 1\n" + canonical(fields)
    return fields | {"signature": sign(message, chain.key_number if signed_by is None else signed_by)}


def canonical(fields: dict[str, Any]) -> bytes:
    """The bytes that are signed after the first line."""
    fields = {name: value for name, value in fields.items() if name != "signature"}
    return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()


class ListedHeads:
    """Gives these heads, whoever asks; `broken`: and then fails."""

    def __init__(self, heads: Iterable[dict[str, Any] | bytes], *, broken: bool = False) -> None:
        self._heads = [head if isinstance(head, bytes) else json.dumps(head).encode() for head in heads]
        self._broken = broken
        self.asked: list[tuple[str, str, int, int]] = []

    def heads(self, bucket: str, folder: str, start: int, end: int) -> Iterator[bytes]:
        self.asked.append((bucket, folder, start, end))
        yield from self._heads
        if self._broken:
            raise CouldNotRead("connection reset")

    def origin(self) -> str:
        return "a list"
