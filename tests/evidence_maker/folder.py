"""A folder of made chains with the times of a living store, and objects planted in it."""

from __future__ import annotations

import re
from typing import Any

from opentrail_validator import Finding, Kind
from opentrail_validator.unlisted import unlisted_log_files
from opentrail_validator.walked import Walked
from tests.evidence_maker.in_memory import BEGIN, InMemory, pinned, question_of
from tests.evidence_maker.maker import HOUR, Chain, MadeObject, Place, listed_key, private_key, stamp
from tests.evidence_maker.walked import moment, walked_of

KEYS = pinned(listed_key(private_key(0))).between(0, 0)
MINUTE = 60
PLANT = MadeObject(b"planted", {})


class Folder:
    """A bucket as its store lists it: digests are put a minute after their end, log files when they are named for."""

    def __init__(self, chain: Chain, *siblings: Chain) -> None:
        self.chain = chain
        self.siblings = siblings
        self.objects = chain.objects
        self.put_late: dict[int, int] = {}
        self.modified: dict[Place, float] = {}

    def plant(
        self, put_at: int, name: int | str | None = None, kind: str = "CloudTrail", unique: str = "AAAAAAAAAAAAAAAA"
    ) -> str:
        """Lays a file that no digest names; `name`: the time that its name says, or its name."""
        chain = self.chain
        named_for = name if isinstance(name, int) else put_at
        folder = chain._folder(kind, named_for)
        file = f"{chain.account}_{kind}_{chain.region}_{stamp(named_for, '%Y%m%dT%H%MZ')}_{unique}.json.gz"
        key = f"{folder}/{name if isinstance(name, str) else file}"
        self.objects[chain.bucket, key] = PLANT
        self.modified[chain.bucket, key] = put_at
        return key

    def put_at(self, end: int) -> int:
        return self.put_late.get(end, end + MINUTE)

    def reader(self, *, times: bool = True, **changes: Any) -> InMemory:
        if not times:
            return InMemory(self.objects, **changes)
        modified = dict(self.modified)
        for chain in (self.chain, *self.siblings):
            for place in chain.digests:
                modified[place] = self.put_at(end_of(chain, place))
            for place in chain.logs:
                modified.setdefault(place, named_for(place[1]) + 1)
        return InMemory(self.objects, modified=modified, **changes)

    def walked(self, *, times: bool = True, **changes: Any) -> Walked:
        return walked_of(self.chain, put_at=self.put_at if times else lambda _end: None, **changes)

    def told(
        self, *, times: bool = True, reader: InMemory | None = None, walked: Walked | None = None, **changes: Any
    ) -> list[Finding]:
        question = question_of(self.chain, **{"hours": (self.chain.now - BEGIN) // HOUR} | changes)
        reader = reader or self.reader(times=times)
        return list(unlisted_log_files(question, reader, walked or self.walked(times=times), KEYS))

    def planted_found(self, **changes: Any) -> list[str]:
        found = self.told(**changes)
        assert {finding.kind for finding in found} <= {Kind.PLANTED}
        return [finding.key for finding in found]


def end_of(chain: Chain, place: Place) -> int:
    one = Chain(chain.objects, digests=[place])
    return walked_of(one).digests[0].end


def named_for(key: str) -> int:
    return moment(re.sub(r".*_([0-9]{8}T[0-9]{4})Z_.*", r"\1Z", key, flags=re.DOTALL))


def at(hours: int, minutes: int = 0) -> int:
    return BEGIN + hours * HOUR + minutes * MINUTE
