"""`opentrail settle`: an operator's way on where ledger and bus do not fit any more.

Delivery halts before it writes anything where a topic was made anew, a log was cut, or the ledger was restored from a
backup. Settling finds out what became of each open intent, by the files' hashes, records what is lost, and lets
delivery go on with the bus as it is. Without `accept` it only tells what it found and would do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from opentrail_backends.state.port import Settlement
from opentrail_delivery.configuration_feed import ConfigurationFeed
from opentrail_delivery.settle_chains import StrangeDigest, adopt, chains_of, of_no_chain, waiting_digests
from opentrail_delivery.settle_cut import settle_cut
from opentrail_delivery.settle_examine import Case, Trouble, examine
from opentrail_delivery.settle_files import all_fates
from opentrail_delivery.settle_reader import SettleReader, SettleRefused
from opentrail_delivery.settle_restored import settle_restored
from opentrail_delivery.settle_tools import Settled, SettleTools
from opentrail_delivery.trail_forms import TrailForms

__all__ = ["Settle", "SettleRefused", "SettleReport", "SettleTools", "Settled"]

_MADE_ANEW = "the topic was made anew: "
_FILES_NOWHERE = "their log files lie nowhere"
_RESTORED = {Trouble.LEDGER_BEHIND, Trouble.OPEN_INTENTS}


@dataclass(slots=True)
class SettleReport:
    """What was found, and done if it was accepted."""

    accepted: bool
    partitions: list[Settled] = field(default_factory=list)
    adopted_digests: int = 0
    strange_digests: list[StrangeDigest] = field(default_factory=list)


class Settle:
    """One run over the partitions that do not fit."""

    def __init__(self, tools: SettleTools) -> None:
        self._tools = tools
        self._feed = ConfigurationFeed(tools.state.configuration)

    def run(self, region: str | None, number: int | None, *, accept: bool) -> SettleReport:
        """Examines partitions (of a region, or one of them) and settles them if that is accepted.

        Raises SettleRefused, EventBusError, ObjectStoreError, StateError: what was settled before stays settled, the
        rest stands still as it did, and settling again goes on.
        """
        self._feed.refresh()
        tools = self._tools
        cases = examine(tools.event_bus, tools.state.ledger, tools.inspection, tools.settings.group, region, number)
        self._refuse(cases, number)
        report = SettleReport(accept)
        # The digests first: what they name must not come into another one.
        waiting = waiting_digests(tools.chains)
        chains = chains_of(tools.chains, None if region is None else (region,))
        report.strange_digests += of_no_chain(tools.chains, chains)
        for chain in chains:
            of_chain = waiting.get(chain.id, [])
            arn = TrailForms(self._feed).of(chain).arn
            report.adopted_digests += adopt(tools.chains, chain, of_chain, report.strange_digests, arn, accept=accept)
        if not accept:
            report.partitions += [self._look(case) for case in cases]
        elif cases:
            with SettleReader(tools.event_bus, tools.settings.group, tools.patience) as reader:
                self._settle(cases, reader, report)
        return report

    def _refuse(self, cases: Sequence[Case], number: int | None) -> None:
        for case in cases:
            if case.trouble is Trouble.TOPIC_GONE:
                raise SettleRefused(
                    f"the bus has no topic for region {case.partition.region}: start a producer, which makes it, and "
                    "settle then"
                )
            if case.trouble is Trouble.TOPIC_ANEW and number is not None:
                raise SettleRefused(
                    f"the topic of region {case.partition.region} was made anew: settle all of its partitions, without "
                    "--partition"
                )

    def _look(self, case: Case) -> Settled:
        """What would be done, as far as it can be told without owning the partition."""
        found = Settled(
            partition=case.partition,
            trouble=case.trouble.value,
            next_offset_was=case.next_offset,
            next_offset=_next_offset(case),
        )
        fates = all_fates(case.open_intents, *case.partition, self._tools.object_store, self._tools.spool)
        found.delivered = sum(len(one.delivered) for one in fates)
        found.parked = sum(len(one.parked) for one in fates)
        found.lost = sum(len(one.missing) for one in fates)
        if case.trouble in _RESTORED and case.bounds is not None:
            first = max(case.next_offset, case.bounds.start)
            if first < case.bounds.end:
                found.notes.append(
                    f"messages {first} to {case.bounds.end - 1} are read again and compared with the log files that "
                    "the ledger does not know"
                )
            if case.bounds.start > case.next_offset:
                found.notes.append(
                    f"messages {case.next_offset} to {case.bounds.start - 1} are not on the bus any more: log files "
                    "that only they could prove are adopted with --adopt-unproven"
                )
        elif found.lost:
            found.notes.append("files that lie nowhere are made again where the bus still has their messages")
        return found

    def _settle(self, cases: Sequence[Case], reader: SettleReader, report: SettleReport) -> None:
        for case in cases:
            if case.trouble in _RESTORED:
                report.partitions.append(settle_restored(self._tools, case, reader, self._feed))
            elif case.trouble in {Trouble.CUT_AT_START, Trouble.CUT_AT_END}:
                report.partitions.append(settle_cut(self._tools, case, reader, self._feed))
        for region in sorted({case.partition.region for case in cases}):
            of_region = [case for case in cases if case.partition.region == region]
            anew = [case for case in of_region if case.trouble is Trouble.TOPIC_ANEW]
            for index, case in enumerate(anew):
                report.partitions.append(self._settle_anew(case, is_last=index == len(anew) - 1))
            grown = [case for case in of_region if case.trouble is Trouble.PARTITION_COUNT]
            if grown:
                self._record_count(grown[0])
                report.partitions += [self._look(case) for case in grown]

    def _settle_anew(self, case: Case, *, is_last: bool) -> Settled:
        """The topic was made anew. Only the region's last partition records it: until then all stand still."""
        assert case.topic is not None
        ledger, partition = self._tools.state.ledger, case.partition
        lease, intents = ledger.own(*partition, 0)
        fates = all_fates(intents, *partition, self._tools.object_store, self._tools.spool)
        done = self._look(case)
        recorded = {
            (one.region, one.partition, one.topic_id)
            for one in ledger.lost_offsets()
            if one.reason.startswith(_MADE_ANEW)
        }
        if (*partition, case.known.topic_id) not in recorded:  # else a run before this one did it, and died
            lost = [
                case.lost(one.intent.first_offset, one.intent.end_offset, f"{_MADE_ANEW}{_FILES_NOWHERE}", one.accounts)
                for one in fates
                if one.missing
            ]
            end = max([case.last_needed, *(one.end_offset for one in lost)])
            done.lost_offsets = [
                *lost,
                case.lost(end, end, f"{_MADE_ANEW}all from here on that the topic still held; how much is not known"),
            ]
        topic = (case.topic.id, case.topic.partitions) if is_last else case.known
        ledger.settle(
            lease,
            Settlement(
                topic_id=topic[0],
                partitions=topic[1],
                next_offset=case.bounds.start if case.bounds else case.next_offset,
                delivered={key for one in fates for key in one.delivered},
                parked={key: parking for one in fates for key, parking in one.parked.items()},
                lost={key for one in fates for key in one.missing},
                lost_offsets=done.lost_offsets,
            ),
        )
        return done

    def _record_count(self, case: Case) -> None:
        """The same topic has more partitions: nothing else changes. A new partition has nothing open to be settled."""
        assert case.topic is not None
        new = case.topic.partitions - 1
        _, bounds = self._tools.event_bus.lag(self._tools.settings.group)[type(case.partition)(case.topic.region, new)]
        lease, intents = self._tools.state.ledger.own(case.topic.region, new, bounds.start)
        if intents:
            raise SettleRefused(f"partition {case.topic.region}/{new} is at work already: settle again")
        settlement = Settlement(topic_id=case.topic.id, partitions=case.topic.partitions, next_offset=lease.next_offset)
        self._tools.state.ledger.settle(lease, settlement)


def _next_offset(case: Case) -> int:
    if case.bounds is None or case.trouble is Trouble.PARTITION_COUNT:
        return case.next_offset
    if case.trouble in {Trouble.TOPIC_ANEW, Trouble.CUT_AT_START}:
        return case.bounds.start
    if case.trouble is Trouble.CUT_AT_END:
        return case.bounds.end
    return max(case.next_offset, case.hint.offset if case.hint else 0, case.last_needed)
