"""Made objects read from memory, and runs of the validator on them."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import Any

from opentrail_validator import Finding, Kind, PinnedKeys, TrailPlace, Verdict, validate
from opentrail_validator.readers.port import CouldNotRead, ObjectMissing, StoredObject
from tests.evidence_maker.maker import HOUR, START, Chain, MadeObject, Place, listed_key, private_key

BEGIN = int(START.timestamp())


class InMemory:
    """`lost` places do not answer, nor do lists of `unlistable` buckets."""

    def __init__(
        self, objects: Mapping[Place, MadeObject], lost: tuple[Place, ...] = (), unlistable: tuple[str, ...] = ()
    ) -> None:
        self.objects = objects
        self.lost = lost
        self.unlistable = unlistable

    def get(self, bucket: str, key: str) -> StoredObject:
        if (bucket, key) in self.lost:
            raise CouldNotRead("connection reset")
        try:
            made = self.objects[bucket, key]
        except KeyError:
            raise ObjectMissing(key) from None
        return StoredObject(made.body, made.metadata)

    def keys(self, bucket: str, prefix: str, start_after: str) -> Iterator[str]:
        if bucket in self.unlistable:
            raise CouldNotRead("connection reset")
        found = [
            key for (place, key) in self.objects if place == bucket and key.startswith(prefix) and key > start_after
        ]
        yield from sorted(found, key=str.encode)


def place_of(chain: Chain) -> TrailPlace:
    return TrailPlace(
        bucket=chain.bucket,
        prefix=chain.prefix or None,
        organization_id=chain.organization or None,
        account_id=chain.account,
        region=chain.region,
        trail_name=chain.trail,
        home_region=chain.home,
    )


def pinned(*entries: dict[str, Any]) -> PinnedKeys:
    return PinnedKeys({entry["Fingerprint"]: base64.b64decode(entry["Value"]) for entry in entries})


def findings_of(chain: Chain, objects: Any = None, keys: Any = None, hours: int = 48) -> list[Finding]:
    reader = objects if objects is not None else InMemory(chain.objects)
    source = keys if keys is not None else pinned(listed_key(private_key(0)))
    return list(validate(place_of(chain), BEGIN, BEGIN + hours * HOUR, reader, source))


def wrong(findings: list[Finding]) -> list[tuple[Kind, Place]]:
    """All but what is valid."""
    return [
        (finding.kind, (finding.bucket, finding.key)) for finding in findings if finding.verdict is not Verdict.VALID
    ]
