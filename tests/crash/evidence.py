"""What lies in a bucket, and what must hold of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import msgspec

from opentrail.evidence.digest import Digest
from opentrail.evidence.log_file import read_log_file
from opentrail.evidence.object_keys import DigestKey
from opentrail.evidence.records_tree import leaf_hash, tree_root


@dataclass
class Evidence:
    """Log files by key, digests by key."""

    log_files: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    digests: dict[str, tuple[DigestKey, Digest]] = field(default_factory=dict)

    def digested(self, trail_name: str | None = None) -> Counter[str]:
        """How often each log file is named by a digest."""
        return Counter(
            entry.s3_object
            for key, digest in self.digests.values()
            if trail_name in (None, key.trail_name)
            for entry in digest.log_files
        )

    def event_ids(self, trail_name: str) -> list[str]:
        """The events in the digested log files of a trail."""
        return [record["eventID"] for key in self.digested(trail_name) for record in self.log_files.get(key, [])]

    def chains(self) -> dict[tuple[str, str, str], list[Digest]]:
        """Digests by (trail, account, region), in the order of their ends."""
        chains: dict[tuple[str, str, str], list[Digest]] = {}
        for key, digest in sorted(self.digests.values(), key=lambda item: item[1].end):
            chains.setdefault((key.trail_name, key.account_id, key.region), []).append(digest)
        return chains


class _LogFile(msgspec.Struct):
    """A log file, its records left as they are."""

    records: list[msgspec.Raw] = msgspec.field(name="Records")


def root_of(body: bytes) -> tuple[int, str]:
    """How many records a log file has, and the root over them, by the records as they stand in it."""
    records = msgspec.json.decode(read_log_file(body), type=_LogFile).records
    return len(records), tree_root([leaf_hash(bytes(record)) for record in records]).hex()


def assert_exactly_once(evidence: Evidence, trails: Iterable[str], published: Iterable[str]) -> None:
    """Each event in exactly one digested file per trail, no stray object, each chain one unforked line."""
    expected = Counter(published)
    assert expected, "a check on nothing proves nothing"
    for trail in trails:
        assert Counter(evidence.event_ids(trail)) == expected
    assert evidence.digested() == Counter(dict.fromkeys(evidence.log_files, 1)), "files and digests do not fit"
    assert_chains_unforked(evidence)


def assert_chains_unforked(evidence: Evidence) -> None:
    """Each digest follows the one before it; the first follows none."""
    for digests in evidence.chains().values():
        assert digests[0].previous is None
        for before, digest in pairwise(digests):
            assert digest.previous is not None
            assert digest.previous.s3_object == before.s3_object
            assert digest.start == before.end
