"""What a chain must be beyond the AWS CLI's rules: one line, in order, all of which a validator comes by."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from opentrail.evidence.digest import MalformedDigest, parse_digest
from opentrail.evidence.log_file import MalformedLogFile, read_log_file
from opentrail.evidence.object_keys import DIGEST_FOLDER
from tests.simulation.evidence import Buckets, Place

if TYPE_CHECKING:
    from tests.simulation.world import World


@dataclass
class Lines:
    """Told of each step of each chain: where a line may begin."""

    begins: dict[str, str] = field(default_factory=dict)
    """By chain: why its next digest is a starting one; empty if it is not."""
    again: list[tuple[str, tuple[Place, ...]]] = field(default_factory=list)
    """Chains that began again after their end, and what the first digest then names."""
    defects: list[str] = field(default_factory=list)
    chain_of: dict[Place, str] = field(default_factory=dict)
    irregular: set[str] = field(default_factory=set)
    """Chains that moved, that got other stamps, that began again after their end, or that were made for files that were
    there already: others may run in their place meanwhile."""

    def appended(self, chain: Any, digest: Any) -> None:
        content = parse_digest(digest.body)
        begins = self.begins.get(digest.chain_id, "new")
        if bool(begins) != (content.previous is None):
            where = "forgets the digest before it" if content.previous is None else "follows a line that has ended"
            self.defects.append(f"digest {digest.sequence} of chain {digest.chain_id} {where}")
        if content.previous is None and begins == "ended":
            named = tuple((entry.s3_bucket, entry.s3_object) for entry in content.log_files)
            self.again.append((chain.account_id, named))
            self.irregular.add(digest.chain_id)
        self.put(digest)
        self.begins[digest.chain_id] = "ended" if chain.ended else ""

    def put(self, digest: Any) -> None:
        """A digest, or another form of it, is to lie there."""
        self.chain_of[digest.bucket, digest.object_key] = digest.chain_id

    def withdrawn(self, chain: Any) -> None:
        self.begins[chain.id] = "withdrawn" if chain.head_key is None else ""


def check_lines(world: World, buckets: Buckets) -> Iterator[str]:
    """What is wrong with the chains as lines."""
    yield from world.audit.lines.defects
    yield from _restarts(world)
    yield from _passed_by(buckets, world.audit.lines)
    yield from _order_of_puts(world)
    yield from _delivered_in_time(world)


def _restarts(world: World) -> Iterator[str]:
    """A chain begins again only for files that were late, or because it is wanted again."""
    if world.clocks_differed:
        return  # what the bus took after a change by one clock was before it by the other
    for account, named in world.audit.lines.again:
        late = [place for place in named if place in world.audit.parked]
        if named and len(late) < len(named) and account not in world.operator.came_back:
            yield f"the last digest of a chain of {account} was built too early: {named[0]} came after it"


def _passed_by(buckets: Buckets, lines: Lines) -> Iterator[str]:
    """The AWS CLI goes from the newest digest of a place to the oldest, by links, and where there is none by stamps."""
    by_line: dict[tuple[str, str, str, str, str], list[Place]] = {}
    for place, found in buckets.digests.items():
        folder = place[1].partition(DIGEST_FOLDER)[0]
        by_line.setdefault((place[0], folder, found.key.region, found.key.trail_name, found.key.account_id), []).append(
            place
        )
    seen: set[Place] = set()
    for places in by_line.values():
        places.sort(key=lambda place: buckets.digests[place].digest.end)
    for places in by_line.values():
        current: Place | None = places[-1]
        while current is not None and current not in seen:
            seen.add(current)
            current = _next(buckets, current, by_line)
    irregular = {buckets.digests[p].key.trail_name for p in buckets.digests if lines.chain_of.get(p) in lines.irregular}
    for place, found in buckets.digests.items():
        if place not in seen and found.key.trail_name not in irregular:
            yield f"a validator passes {place} by"


def _next(buckets: Buckets, current: Place, by_line: dict[tuple[str, str, str, str, str], list[Place]]) -> Place | None:
    found = buckets.digests[current]
    previous = found.digest.previous
    if previous is not None:
        before = (previous.s3_bucket, previous.s3_object)
        return before if before in buckets.digests else None
    folder = current[1].partition(DIGEST_FOLDER)[0]
    line = by_line[current[0], folder, found.key.region, found.key.trail_name, found.key.account_id]
    index = line.index(current)
    return line[index - 1] if index else None


def _order_of_puts(world: World) -> Iterator[str]:
    """At no moment is there a digest whose predecessor is not there yet."""
    there: set[Place] = set()
    for attempt in world.store.attempts:
        if attempt.outcome != "stored" or DIGEST_FOLDER not in attempt.key:
            continue
        there.add((attempt.bucket, attempt.key))
        try:
            previous = parse_digest(read_log_file(attempt.body)).previous
        except (MalformedDigest, MalformedLogFile):
            continue  # planted
        if previous is not None and (previous.s3_bucket, previous.s3_object) not in there:
            yield f"{attempt.key} was put before the digest that it follows"


def _delivered_in_time(world: World) -> Iterator[str]:
    tables = world.state.tables
    ends = {(row.digest.chain_id, row.digest.sequence): row.digest.end for row in tables.digests.values()}
    chains = {row.identity: row.chain.id for row in tables.chains.values()}
    for row in tables.files.values():
        end = ends.get((chains.get(row.identity, ""), row.digest or 0))
        if end is not None and (row.delivered_at or 0) >= end * 1000:
            yield f"a digest that ends at {end} names {row.file.object_key}, delivered at {row.delivered_at}"
