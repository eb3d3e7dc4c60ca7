"""`opentrail settle` after a restore: log files that the ledger does not know, and whose events they hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from opentrail.evidence.object_keys import LogFileKey, LogKind, MalformedKey, parse_key
from opentrail_backends.object_store.port import BucketNotFound, ObjectStore
from opentrail_delivery.routing import Target
from opentrail_delivery.settle_files import FoundFile, found_in_bucket


class Line(NamedTuple):
    """A trail and an account: whose events go into one file."""

    incarnation: str
    account_id: str


class Folder(NamedTuple):
    """Where log files of an account lie. Two trails may share one."""

    bucket: str
    prefix: str | None
    organization_id: str | None
    account_id: str
    region: str


@dataclass(slots=True)
class Wanted:
    """The events that trails want of a stretch of the bus, and where their files would lie."""

    events: dict[Line, Counter[bytes]] = field(default_factory=dict)
    lines: dict[Folder, dict[Line, Target]] = field(default_factory=dict)

    def add(self, target: Target, account_id: str, region: str, hashes: Iterable[bytes]) -> None:
        """The target wants these events of an account."""
        line = Line(target.incarnation, account_id)
        self.events.setdefault(line, Counter()).update(hashes)
        self.expect(target, account_id, region)

    def expect(self, target: Target, account_id: str, region: str) -> None:
        """The target's files are looked for."""
        folder = Folder(target.bucket, target.prefix, target.organization_id, account_id, region)
        self.lines.setdefault(folder, {})[Line(target.incarnation, account_id)] = target


@dataclass(frozen=True, slots=True)
class Match:
    """A found file and whose events it holds."""

    file: FoundFile
    line: Line
    target: Target
    is_named: bool
    """Whether a digest of ours names it."""
    is_known: bool
    """Whether the ledger has it already: its events count, it is not adopted."""
    events: Counter[bytes]
    """Those of its events that the bus holds still, and that count as delivered by it."""


def strays_in(store: ObjectStore, folder: Folder, since: int, known: Mapping[tuple[str, str], str]) -> Iterator[str]:
    """Keys of log files stamped from `since` (seconds) on that the ledger does not know. Raises ObjectStoreError."""
    first = str(LogFileKey(folder.account_id, folder.region, since, "0", folder.prefix, folder.organization_id))
    root, *date, _ = first.rsplit("/", 4)
    try:
        for info in store.list(folder.bucket, f"{root}/", f"{root}/{'/'.join(date)}"):
            try:
                key = parse_key(info.key)
            except MalformedKey:
                continue
            if (
                isinstance(key, LogFileKey)
                and key.kind is LogKind.EVENTS
                and key.seconds >= since
                and (folder.bucket, info.key) not in known
            ):
                yield info.key
    except BucketNotFound:
        return


def match(
    candidates: Iterable[tuple[FoundFile, bool]],
    wanted: Wanted,
    region: str,
    named: Mapping[tuple[str, str], tuple[str, str]],
    *,
    partly: bool,
) -> tuple[list[Match], list[FoundFile]]:
    """Finds out whose events each file (and whether the ledger knows it) holds; the rest fits nothing.

    `named`: the hash and the incarnation that a digest gives, by (bucket, key). A file fits if all of its events are
    wanted and not taken by another file; `partly`: also if only some, since the bus does not hold the others any more.
    `wanted` keeps what no file holds.
    """
    matches: list[Match] = []
    strange: list[FoundFile] = []
    # Those that the ledger or a digest vouches for come first, then the largest: of two that hold the same, they count.
    ranked = sorted(candidates, key=lambda item: (not item[1], not _is_named(item[0], named), -item[0].count))
    for file, is_known in ranked:
        found = _fit(file, wanted, region, named, partly=partly)
        if found is None:
            strange.append(file)
            continue
        line, target, taken = found
        wanted.events.get(line, Counter()).subtract(taken)
        matches.append(Match(file, line, target, _is_named(file, named), is_known, taken))
    return matches, strange


def _is_named(file: FoundFile, named: Mapping[tuple[str, str], tuple[str, str]]) -> bool:
    return named.get((file.bucket, file.object_key), ("", ""))[0] == file.sha256


def _fit(
    file: FoundFile, wanted: Wanted, region: str, named: Mapping[tuple[str, str], tuple[str, str]], *, partly: bool
) -> tuple[Line, Target, Counter[bytes]] | None:
    key = parse_key(file.object_key)
    if not isinstance(key, LogFileKey):
        return None
    folder = Folder(file.bucket, key.prefix, key.organization_id, key.account_id, region)
    lines = wanted.lines.get(folder, {})
    if _is_named(file, named):
        incarnation = named[file.bucket, file.object_key][1]
        lines = {line: target for line, target in lines.items() if line.incarnation == incarnation}
    for line, target in lines.items():
        asked = wanted.events.get(line, Counter())
        taken = Counter({event: min(count, asked[event]) for event, count in file.events.items() if asked[event] > 0})
        if partly or (taken and taken == file.events):
            return line, target, taken
    return None


def read_strays(
    store: ObjectStore, wanted: Wanted, since: int, known: Mapping[tuple[str, str], str]
) -> Iterator[FoundFile]:
    """All log files in the wanted folders that the ledger does not know. Raises ObjectStoreError."""
    for folder in sorted(wanted.lines, key=str):
        for key in strays_in(store, folder, since, known):
            found = found_in_bucket(store, folder.bucket, key)
            if found is not None:
                yield found
