"""`opentrail settle` after a restore: what was delivered since the backup becomes windows of the ledger again.

The messages are read as delivery reads them; of what each trail wants, the files that lie in buckets and in the spool
hold a part, the rest is put into new files. A window ends where no file that was found is begun and not ended, so each
is whole in itself, and each begins below the offset that the bus was told of: until the last one is delivered the
ledger is behind the bus, delivery stands still, and settling again goes on where it stopped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import structlog

from opentrail.events.batch import EventBatch, EventGroup, MalformedBatch, record_views, select
from opentrail_backends.event_bus.batches import NewerFormat, unpack
from opentrail_backends.event_bus.port import Message, Partition
from opentrail_backends.state.port import Intent, Lease
from opentrail_delivery.client_book import ClientBook, WindowNumbers
from opentrail_delivery.configuration_feed import ConfigurationFeed
from opentrail_delivery.file_names import file_stamp, name_files
from opentrail_delivery.intent_body import IntentBody
from opentrail_delivery.routing import Router, Target
from opentrail_delivery.settle_build import adopted_file, built_files, event_seconds
from opentrail_delivery.settle_files import event_hash
from opentrail_delivery.settle_put import put_window
from opentrail_delivery.settle_reader import SettleRefused
from opentrail_delivery.settle_strays import Line, Match, Wanted
from opentrail_delivery.settle_tools import Settled, SettleTools
from opentrail_delivery.window_build import accepted_at, governing_revisions

_log = structlog.get_logger("opentrail.delivery")


@dataclass(slots=True)
class WantedPart:
    """What one target wants of one group."""

    target: Target
    account_id: str
    group: EventGroup
    hashes: Sequence[bytes]


class WantedReader:
    """Reads messages as step 2 does: repeats dropped, each group with the targets that want it."""

    def __init__(self, tools: SettleTools, feed: ConfigurationFeed, partition: Partition) -> None:
        self._feed = feed
        self._region = partition.region
        self._book = ClientBook(partial(tools.state.ledger.client_numbers, partition.region))
        self._routers: dict[tuple[int, str], Router] = {}
        self.numbers: WindowNumbers = self._book.window()
        self.poison: list[Message] = []

    def parts(self, message: Message) -> Iterator[WantedPart]:
        """What the trails want of a message. Raises SettleRefused on a newer format."""
        try:
            batch = unpack(message.value)
            revision = self._feed.history.at_time(accepted_at(message)).revision
            if any(group.attributes for group in batch.groups):
                # A column that only some selectors read may be broken: then none of the batch counts.
                list(self._route(batch, revision))
        except NewerFormat as error:
            raise SettleRefused(f"{error}: settle with the newer release") from error
        except MalformedBatch:
            self.poison.append(message)
        else:
            yield from self._route(self.numbers.without_repeats(message, batch), revision)

    def next_window(self) -> None:
        """The window is in the ledger: the next one goes on from its numbers."""
        self._book.accept(self.numbers)
        self.numbers = self._book.window()
        self.poison = []

    def _route(self, batch: EventBatch, revision: int) -> Iterator[WantedPart]:
        place = (revision, batch.account_id)
        if place not in self._routers:
            configuration = self._feed.history.at_revision(revision)
            self._routers[place] = Router(configuration, batch.account_id, batch.region)
        for group in batch.groups:
            for targets, part in self._routers[place].route(group):
                hashes = [event_hash(record) for record in record_views(part)]
                for target in targets:
                    yield WantedPart(target, batch.account_id, part, hashes)


def wanted_of(messages: Iterable[Message], reader: WantedReader, region: str) -> Wanted:
    """All that the trails want of these messages. About 100 bytes of memory for each event and trail."""
    wanted = Wanted()
    for message in messages:
        for part in reader.parts(message):
            wanted.add(part.target, part.account_id, region, part.hashes)
    return wanted


class _Covered:
    """What files hold already, as the messages are gone through."""

    def __init__(self, matches: Sequence[Match]) -> None:
        self._matches = matches
        self._left = [Counter(match.events) for match in matches]
        self._by_event: dict[tuple[Line, bytes], list[int]] = {}
        for index, match in enumerate(matches):
            for event in match.events:
                self._by_event.setdefault((match.line, event), []).append(index)
        self.open: set[int] = set()
        self.to_come = sum(1 for match in matches if match.events)

    def take(self, line: Line, event: bytes) -> tuple[bool, Match | None]:
        """Whether a file holds the event, and the file if this was its last."""
        # Of several files with the same event, one that is begun comes first, so that windows stay short.
        holders = [index for index in self._by_event.get((line, event), ()) if self._left[index][event] > 0]
        if not holders:
            return False, None
        index = next((index for index in holders if index in self.open), holders[0])
        left = self._left[index]
        left[event] -= 1
        self.open.add(index)
        if left.total() > 0:
            return True, None
        self.open.discard(index)
        self.to_come -= 1
        return True, self._matches[index]


@dataclass(slots=True)
class _Open:
    """The window that is being filled."""

    first_offset: int
    messages: list[Message] = field(default_factory=list)
    rest: dict[tuple[Target, str], list[EventGroup]] = field(default_factory=dict)
    adopted: list[Match] = field(default_factory=list)
    size: int = 0

    def add(self, part: WantedPart, kept: Sequence[int]) -> None:
        """Events that no file holds."""
        group = select(part.group, kept)
        self.rest.setdefault((part.target, part.account_id), []).append(group)
        self.size += len(group.records)


class Rebuild:
    """Writes windows of one partition, from the lease's next offset on."""

    def __init__(self, tools: SettleTools, feed: ConfigurationFeed, lease: Lease, topic_id: str, done: Settled) -> None:
        self._tools = tools
        self._feed = feed
        self.lease = lease
        self._topic_id = topic_id
        self._done = done

    def run(self, messages: Iterable[Message], matches: Sequence[Match], until: int) -> None:
        """Windows over the messages, until all found files are taken in and `until` is passed.

        Raises SettleRefused, ObjectStoreError, StateError, EventBusError. A crash: settle again.
        """
        partition = Partition(self.lease.region, self.lease.partition)
        reader = WantedReader(self._tools, self._feed, partition)
        covered = _Covered(matches)
        window = _Open(self.lease.next_offset)
        for message in messages:
            window.messages.append(message)
            window.size += len(message.value)
            for part in reader.parts(message):
                self._take(part, covered, window)
            if covered.open:
                continue
            end = message.offset + 1
            is_last = end >= until and not covered.to_come
            if is_last or (window.size >= self._tools.settings.window_bytes // 2 and end < until):
                self._write(window, reader)
                window = _Open(end)
            if is_last:
                return
        if window.messages:
            self._write(window, reader)

    def adopt_gap(self, matches: Sequence[Match], end: int) -> None:
        """One window without messages: files of offsets that the bus does not hold any more."""
        window = _Open(self.lease.next_offset, adopted=list(matches))
        body = IntentBody(
            stamp=file_stamp(self._tools.state.ledger.now()),
            file_bytes=self._tools.settings.file_bytes,
            revisions=[(window.first_offset, self._feed.history.newest.revision)],
        )
        self._deliver(window, body, end, WindowNumbers(lambda _: {}))

    def _take(self, part: WantedPart, covered: _Covered, window: _Open) -> None:
        line = Line(part.target.incarnation, part.account_id)
        kept = []
        for index, event in enumerate(part.hashes):
            is_covered, complete = covered.take(line, event)
            if not is_covered:
                kept.append(index)
            elif complete is not None and not complete.is_known:
                # Its trail's target as it was for these events.
                window.adopted.append(replace(complete, target=part.target))
        if kept:
            window.add(part, kept)

    def _write(self, window: _Open, reader: WantedReader) -> None:
        for message in reader.poison:
            self._tools.spool.keep_poison(self._topic_id, message)
        for letter in reader.numbers.dead_letters:
            self._tools.spool.keep_dead_letter(self._topic_id, letter)
        for given_up in reader.numbers.given_up:
            self._tools.spool.keep_given_up(self._topic_id, given_up)
        body = IntentBody(
            stamp=file_stamp(self._tools.state.ledger.now()),
            file_bytes=self._tools.settings.file_bytes,
            revisions=governing_revisions(window.messages, self._feed.history),
            poison=[message.offset for message in reader.poison],
        )
        self._deliver(window, body, window.messages[-1].offset + 1, reader.numbers)
        reader.next_window()

    def _deliver(self, window: _Open, body: IntentBody, end: int, numbers: WindowNumbers) -> None:
        """Steps 3 to 5."""
        built = [
            file
            for (target, account_id), groups in window.rest.items()
            for file in built_files(
                target,
                account_id,
                groups,
                body.file_bytes,
                self._tools.codec,
                record_proofs=self._tools.settings.record_proofs,
            )
        ]
        # Two targets of one trail (it moved inside the window) count their parts together.
        parts: Counter[Line] = Counter()
        topic_of = self._feed.topic_of
        named = [
            replace(file, part=_next(parts, Line(file.incarnation, file.account_id)))
            for file in name_files(built, self.lease.region, body.stamp, topic_of)
        ]
        adopted = [
            adopted_file(
                match,
                _next(parts, match.line),
                event_seconds(match, body.stamp),
                topic_of(match.target.incarnation),
            )
            for match in window.adopted
        ]
        number = self.lease.last_intent + 1
        intent = Intent(number, window.first_offset, end, body.to_json(), [*named, *adopted])
        self.lease = put_window(
            self._tools,
            self.lease,
            intent,
            [(file, one.log_file.body) for file, one in zip(named, built, strict=True)],
            [(file, match.file.held) for file, match in zip(adopted, window.adopted, strict=True)],
            numbers.changed,
        )
        self._done.rebuilt += len(named)
        self._done.adopted += len(adopted)
        _log.info(
            "a window was rebuilt",
            partition=f"{self.lease.region}/{self.lease.partition}",
            first_offset=window.first_offset,
            end_offset=end,
            adopted=len(adopted),
            rebuilt=len(named),
        )


def _next(parts: Counter[Line], line: Line) -> int:
    parts[line] += 1
    return parts[line] - 1
