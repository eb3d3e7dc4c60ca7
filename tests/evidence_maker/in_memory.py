"""Made objects read from memory, and runs of the validator on them."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

from opentrail_validator import Finding, Kind, PinnedKeys, Question, Sources, TrailPlace, Verdict, validate
from opentrail_validator.readers.port import (
    CouldNotRead,
    ListedObject,
    ObjectMissing,
    Outcome,
    Place,
    PublicKey,
    StoredObject,
)
from tests.evidence_maker.maker import HOUR, START, Chain, MadeObject, listed_key, private_key
from tests.evidence_maker.maker import Place as MadePlace

BEGIN = int(START.timestamp())
T = TypeVar("T")


class InMemory:
    """`lost` places do not answer, nor do lists of `unlistable` buckets. `modified`: when objects were put."""

    def __init__(
        self,
        objects: Mapping[MadePlace, MadeObject],
        lost: tuple[MadePlace, ...] = (),
        unlistable: tuple[str, ...] = (),
        modified: Mapping[MadePlace, float] | None = None,
    ) -> None:
        self.objects = objects
        self.lost = lost
        self.unlistable = unlistable
        self.modified = modified or {}
        self.read: list[MadePlace] = []

    def get(self, bucket: str, key: str) -> StoredObject:
        self.read.append((bucket, key))
        if (bucket, key) in self.lost:
            raise CouldNotRead("connection reset")
        try:
            made = self.objects[bucket, key]
        except KeyError:
            raise ObjectMissing(key) from None
        return StoredObject(made.body, made.metadata)

    def read_all(self, places: Iterable[Place], look: Callable[[Place, Outcome], T]) -> Iterator[T]:
        for place in places:
            outcome: Outcome
            try:
                outcome = self.get(*place)
            except (ObjectMissing, CouldNotRead) as error:
                outcome = error
            yield look(place, outcome)

    def list(self, bucket: str, prefix: str, start_after: str = "") -> Iterator[ListedObject]:
        if bucket in self.unlistable:
            raise CouldNotRead("connection reset")
        found = [key for (at, key) in self.objects if at == bucket and key.startswith(prefix) and key > start_after]
        for key in sorted(found, key=str.encode):
            yield ListedObject(key, self.modified.get((bucket, key)))

    def folders(self, bucket: str, prefix: str) -> Iterator[str]:
        rests = [listed.key[len(prefix) :] for listed in self.list(bucket, prefix)]
        yield from sorted({rest.split("/", 1)[0] for rest in rests if "/" in rest}, key=str.encode)


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
    return PinnedKeys(
        {
            entry["Fingerprint"]: PublicKey(
                base64.b64decode(entry["Value"]), entry["ValidityStartTime"], entry["ValidityEndTime"]
            )
            for entry in entries
        }
    )


def question_of(chain: Chain, hours: int = 48, **changes: Any) -> Question:
    end = BEGIN + hours * HOUR
    return Question(
        **{"trail_arn": chain.arn, "place": place_of(chain), "start": BEGIN, "end": end, "now": end} | changes
    )


def findings_of(chain: Chain, objects: Any = None, keys: Any = None, hours: int = 48, **changes: Any) -> list[Finding]:
    """`changes` replace what is asked (`checks=Checks(coverage=False)`, …); `heads` is where heads come from."""
    reader = objects if objects is not None else InMemory(chain.objects)
    source = keys if keys is not None else pinned(listed_key(private_key(0)))
    sources = Sources(objects=reader, public_keys=source, heads=changes.pop("heads", None))
    return list(validate(question_of(chain, hours, **changes), sources))


def wrong(findings: list[Finding]) -> list[tuple[Kind, MadePlace]]:
    """All but what is valid."""
    return [
        (finding.kind, (finding.bucket, finding.key)) for finding in findings if finding.verdict is not Verdict.VALID
    ]
