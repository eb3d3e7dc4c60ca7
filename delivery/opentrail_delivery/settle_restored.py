"""`opentrail settle` for a ledger that was restored from a backup: what was done since is found and counted again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from opentrail.events.partition import partition_of
from opentrail.trails.configuration import Configuration
from opentrail_backends.event_bus.port import Bounds, Partition
from opentrail_backends.state.port import FileState, Lease, LostOffsets, Settlement
from opentrail_delivery.chain_roster import accounts_of, regions_of
from opentrail_delivery.configuration_feed import ConfigurationFeed
from opentrail_delivery.routing import target_of
from opentrail_delivery.settle_chains import digests_since
from opentrail_delivery.settle_examine import Case
from opentrail_delivery.settle_files import Fates, FoundFile, all_fates, found_in_bucket, found_in_spool
from opentrail_delivery.settle_reader import SettleReader
from opentrail_delivery.settle_strays import Match, Wanted, match, read_strays
from opentrail_delivery.settle_tools import Rows, Settled, SettleTools, held_of, read_rows
from opentrail_delivery.settle_windows import Rebuild, WantedReader, wanted_of

_CLOCKS_DIFFER_SECONDS = 900
"""Files are stamped by the state store's clock, messages by the bus's."""
_ROWS_KEPT_SECONDS = 34 * 24 * 3600
"""A file that was delivered longer ago may have been forgotten by the ledger."""
_AN_HOUR_MS = 3_600_000
_MARK = 300
"""Stamps of files stand on marks of so many seconds."""

Named = Mapping[tuple[str, str], tuple[str, str]]
"""The hash and the trail's incarnation that a digest of ours gives, by (bucket, object key)."""


@dataclass(slots=True)
class _Restored:
    """What is known of one partition while it is settled."""

    tools: SettleTools
    case: Case
    feed: ConfigurationFeed
    bounds: Bounds
    topic_id: str
    partitions: int
    done: Settled
    until: int
    """Windows begin below it: what the bus was told, or the end of what is open."""

    @property
    def partition(self) -> Partition:
        return self.case.partition


def settle_restored(tools: SettleTools, case: Case, reader: SettleReader, feed: ConfigurationFeed) -> Settled:
    """Settles a partition; its chains' digests are adopted already.

    Raises SettleRefused, EventBusError, ObjectStoreError, StateError. A crash: settle again.
    """
    assert case.topic is not None
    assert case.bounds is not None
    done = Settled(
        partition=case.partition,
        trouble=case.trouble.value,
        next_offset_was=case.next_offset,
        next_offset=case.next_offset,
    )
    hint = case.hint.offset if case.hint is not None else 0
    known = _Restored(
        tools=tools,
        case=case,
        feed=feed,
        bounds=case.bounds,
        topic_id=case.topic.id,
        partitions=case.topic.partitions,
        done=done,
        until=min(max(hint, case.last_needed), case.bounds.end),
    )
    reader.hold(case.partition)
    tools.state.ledger.record_topic(case.partition.region, case.topic.id, case.topic.partitions)
    lease, intents = tools.state.ledger.own(*case.partition, case.bounds.start)
    since = _since(known, reader, lease)
    named = _named(known, since)
    lease = _settle_open(known, lease, all_fates(intents, *case.partition, tools.object_store, tools.spool), named)
    _settle_parked(known, named)
    rows = read_rows(tools.inspection, known.partition, _recent(known, since))
    rebuild = Rebuild(tools, feed, lease, known.topic_id, done)
    first = max(lease.next_offset, known.bounds.start)
    wanted = wanted_of(
        reader.read(known.partition, first, known.bounds.end),
        WantedReader(tools, feed, known.partition),
        known.partition.region,
    )
    has_gap = first > lease.next_offset
    if has_gap:
        _expect_all(known, wanted)
    matches, strange = match(
        _candidates(known, rows, wanted, since), wanted, known.partition.region, named, partly=has_gap
    )
    if has_gap:
        matches = _cross_gap(known, rebuild, matches, first)
    else:
        done.notes += [f"s3://{file.bucket}/{file.object_key} fits no message on the bus" for file in strange]
    if rebuild.lease.next_offset < known.until or any(one.events for one in matches):
        messages = reader.read(known.partition, rebuild.lease.next_offset, known.bounds.end)
        rebuild.run(messages, matches, known.until)
    done.next_offset = rebuild.lease.next_offset
    metadata = f"{rebuild.lease.token}:{rebuild.lease.last_intent}"
    if not reader.set_hint(known.partition, rebuild.lease.next_offset, metadata):
        done.notes.append("the bus did not keep the new position: settle again")
    return done


def _since(known: _Restored, reader: SettleReader, lease: Lease) -> int:
    """Files that were made since the backup bear stamps from here on (seconds)."""
    now = known.tools.state.ledger.now() // 1000
    if known.bounds.start > lease.next_offset:
        return now - _ROWS_KEPT_SECONDS
    for message in reader.read(known.partition, lease.next_offset, min(lease.next_offset + 1, known.bounds.end)):
        seconds: int = message.append_time // 1000 - _CLOCKS_DIFFER_SECONDS
        return seconds // _MARK * _MARK
    return now - _CLOCKS_DIFFER_SECONDS


def _recent(known: _Restored, since: int) -> int:
    """From when on (ms) delivered files may hold messages that the ledger has not passed."""
    (last,) = [
        row["last_delivered_at"] or 0
        for row in known.tools.state.ledger.windows()
        if (row["region"], row["partition"]) == known.partition
    ]
    # Where messages are gone, `since` says nothing of the messages that are there.
    return min(since * 1000, last) if since * 1000 > last else max(since * 1000, last - _AN_HOUR_MS)


def _named(known: _Restored, since: int) -> Named:
    """What our digests name that end after `since`."""
    named: dict[tuple[str, str], tuple[str, str]] = {}
    chains = known.tools.chains
    for chain in chains.chains.all_chains():
        if chain.region == known.partition.region and _is_here(known, chain.account_id):
            for found in digests_since(chains, chain, since):
                named |= {place: (sha256, chain.incarnation) for place, sha256 in found.names.items()}
    return named


def _is_here(known: _Restored, account_id: str) -> bool:
    return partition_of(account_id, known.partitions) == known.partition.number


def _settle_open(known: _Restored, lease: Lease, fates: Sequence[Fates], named: Named) -> Lease:
    """Closes the open intents by hash, and leaves the next offset: their events are gone through like all others."""
    if not fates:
        return lease
    known.done.delivered += sum(len(one.delivered) for one in fates)
    known.done.parked += sum(len(one.parked) for one in fates)
    places = {file.object_key: (file.bucket, file.object_key) for one in fates for file in one.intent.files}
    delivered = {key for one in fates for key in one.delivered}
    gone = [one for one in fates if one.missing and one.intent.first_offset < known.bounds.start]
    lost = [
        LostOffsets(
            region=known.partition.region,
            partition=known.partition.number,
            topic_id=known.topic_id,
            first_offset=one.intent.first_offset,
            end_offset=min(one.intent.end_offset, known.bounds.start),
            reason="the ledger was restored, and these messages are not on the bus any more",
            accounts=one.accounts,
        )
        for one in gone
    ]
    known.done.lost += sum(len(one.missing) for one in gone)
    known.done.lost_offsets += lost
    return known.tools.state.ledger.settle(
        lease,
        Settlement(
            topic_id=known.topic_id,
            partitions=known.partitions,
            next_offset=lease.next_offset,
            delivered=delivered,
            digested={key for key in delivered if places[key] in named},
            parked={key: parking for one in fates for key, parking in one.parked.items()},
            lost={key for one in fates for key in one.missing},
            lost_offsets=lost,
        ),
    )


def _settle_parked(known: _Restored, named: Named) -> None:
    """Files that were parked at the backup and delivered since."""
    ledger, after = known.tools.state.ledger, 0
    while page := ledger.parked_files(500, after):
        after = page[-1].id
        for file in page:
            if (file.region, file.partition) != known.partition:
                continue
            there = found_in_bucket(known.tools.object_store, file.bucket, file.object_key)
            if there is None or there.sha256 != file.sha256:
                continue
            if named.get((file.bucket, file.object_key), ("",))[0] == file.sha256:
                known.tools.inspection.deliver_digested(file)
            else:
                ledger.deliver_parked(file)
            known.tools.spool.forget(file)
            known.done.adopted += 1


def _candidates(known: _Restored, rows: Rows, wanted: Wanted, since: int) -> Iterator[tuple[FoundFile, bool]]:
    """Files whose events may be among the wanted ones, and whether the ledger knows them."""
    tools = known.tools
    for row in rows.recent:
        if row.state is FileState.DELIVERED:
            found = found_in_bucket(tools.object_store, row.bucket, row.object_key)
        else:
            found = found_in_spool(tools.spool, held_of(row))
        if found is not None and found.sha256 == row.sha256:
            yield found, True
    for stray in read_strays(tools.object_store, wanted, since, rows.places):
        yield stray, False
    for held in tools.spool.held_files():
        if (held.region, held.partition) == known.partition and held not in rows.copies:
            found = found_in_spool(tools.spool, held)
            if found is not None:
                yield found, False


def _expect_all(known: _Restored, wanted: Wanted) -> None:
    """Messages are gone: files may lie in the folders of all trails that take events of the partition's accounts."""
    configuration: Configuration = known.feed.history.newest
    region = known.partition.region
    for trail in configuration.trails.values():
        if region in regions_of(trail, (region,)):
            for account_id in accounts_of(trail, configuration):
                if _is_here(known, account_id):
                    wanted.expect(target_of(trail), account_id, region)


def _cross_gap(known: _Restored, rebuild: Rebuild, matches: Sequence[Match], first: int) -> list[Match]:
    """Passes the offsets that the bus does not hold any more; returns the files that hold events after them too."""
    done, lease = known.done, rebuild.lease
    hint = known.case.hint.offset if known.case.hint is not None else 0
    # A file that a digest names needs no row: the digest is its proof. One whose events are all on the bus is proven.
    unnamed = [one for one in matches if not (one.is_known or one.is_named)]
    unproven = [one for one in unnamed if one.events != one.file.events]
    done.unproven += [f"s3://{one.file.bucket}/{one.file.object_key}" for one in unproven]
    adopted = unproven if known.tools.adopt_unproven else []
    lost = []
    if hint < first:
        lost.append(
            LostOffsets(
                region=known.partition.region,
                partition=known.partition.number,
                topic_id=known.topic_id,
                first_offset=max(hint, lease.next_offset),
                end_offset=first,
                reason="the messages were deleted from the bus before they were delivered",
            )
        )
        done.lost_offsets += lost
    if adopted:
        rebuild.adopt_gap(adopted, first)
    if lost or not adopted:
        rebuild.lease = known.tools.state.ledger.settle(
            rebuild.lease,
            Settlement(topic_id=known.topic_id, partitions=known.partitions, next_offset=first, lost_offsets=lost),
        )
    left_out = {id(one) for one in unproven} - {id(one) for one in adopted}
    adopted_now = {id(one) for one in adopted}
    return [
        Match(one.file, one.line, one.target, one.is_named, one.is_known or id(one) in adopted_now, one.events)
        for one in matches
        if one.events and id(one) not in left_out
    ]
