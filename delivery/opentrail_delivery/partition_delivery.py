"""Steps 1 to 6 for one partition of the bus. For one thread only, but for the puts of step 4.

step  what                                                        after a crash here
1     own the partition: raise its epoch                          the next owner raises it again
2     read events into the open window                            nothing happened
3     close: write the intent                                     redo from 4 with the same offsets
4     put the files, create-only                                  redo 4
5     one transaction: delivered, next offset, intent closed      redo 4, then 5
6     commit the offset to the bus: a hint only                   read on from the ledger

Recovery is the same code: an open intent of the ledger is the plan of the next window.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from opentrail.events.client_numbers import ClientNumbers
from opentrail.evidence.log_file import Codec
from opentrail_backends.event_bus.batches import MalformedBatch, NewerFormat, peek
from opentrail_backends.event_bus.port import EventBusError, EventReader, Message, Partition
from opentrail_backends.state.port import IntendedFile, Intent, Ledger, Parking
from opentrail_delivery.client_book import ClientBook
from opentrail_delivery.configuration_feed import ConfigurationFeed
from opentrail_delivery.errors import PartitionHalted
from opentrail_delivery.file_names import another_key, name_files
from opentrail_delivery.log_file_put import PutOutcome, PutResult, PutTools
from opentrail_delivery.preconditions import check_positions, check_same_topic, check_topic
from opentrail_delivery.settings import DeliverySettings
from opentrail_delivery.spool import LogFilePut, place_of
from opentrail_delivery.window import Window
from opentrail_delivery.window_close import (
    BuildTools,
    BuiltWindow,
    build_window,
    demand_spool,
    keep_undeliverable,
    match_plan,
)


class Putter(Protocol):
    """Who carries out step 4 (`PutSchedule`)."""

    def submit(self, file: LogFilePut, *, redone: bool) -> Future[PutOutcome]:
        """Puts a file, or parks it, in its own time. `redone`: an earlier owner's put may be under way."""
        ...

    def abandon(self, futures: Collection[Future[PutOutcome]]) -> None:
        """Nobody waits for these any more."""
        ...


@dataclass(slots=True)
class _ClosedWindow:
    """A window whose intent is known to be in the ledger and whose files are being put."""

    intent: Intent
    is_redone: bool
    puts: list[LogFilePut]
    futures: list[Future[PutOutcome]]
    held_bytes: int
    numbers: Mapping[tuple[str, bytes], ClientNumbers | None]


def _at_once(work: Callable[[], object]) -> None:
    work()


@dataclass(frozen=True, slots=True)
class DeliveryTools:
    """The ports and values that all partitions of a process share."""

    ledger: Ledger
    reader: EventReader
    feed: ConfigurationFeed
    codec: Codec
    putter: Putter
    puts: PutTools
    settings: DeliverySettings
    later: Callable[[Callable[[], object]], object] = _at_once
    """Runs what no window waits for."""


class PartitionDelivery:
    """A partition that the bus has assigned to us, from step 1 on."""

    def __init__(self, partition: Partition, tools: DeliveryTools) -> None:
        """Step 1. Raises PartitionHalted where bus and ledger do not fit; StateError if the ledger cannot be asked."""
        self.partition = partition
        self._tools = tools
        self._metrics = tools.puts.metrics
        self._book = ClientBook(partial(tools.ledger.client_numbers, partition.region))
        self._closed: deque[_ClosedWindow] = deque()
        self._topic = check_topic(partition, tools.reader.topic(partition.region), tools.ledger)
        bounds = tools.reader.bounds(partition)
        # The hint first: while this process stands still between the two, another owner may commit a newer one.
        hint = tools.reader.committed(partition)
        self._lease, open_intents = tools.ledger.own(partition.region, partition.number, bounds.start)
        # The log as it is after the ledger was read: another owner may have gone on in between.
        check_positions(partition, self._lease, open_intents, tools.reader.bounds(partition), hint)
        self._plans = deque(open_intents)
        self.next_offset = self._lease.next_offset
        self._window = self._open_window()

    @property
    def held_bytes(self) -> int:
        """Memory that this partition's windows take."""
        return self._window.held_bytes + sum(window.held_bytes for window in self._closed)

    @property
    def open_bytes(self) -> int:
        """What of it closing the open window early gives back."""
        return 0 if self._window.plan else self._window.held_bytes

    @property
    def is_redoing(self) -> bool:
        """Whether the open window redoes an intent."""
        return self._window.plan is not None

    @property
    def wants_messages(self) -> bool:
        """Whether more may be read: not while too many windows wait for their puts."""
        return len(self._closed) < self._tools.settings.windows_in_flight

    def add(self, message: Message, now: int) -> None:
        """Step 2: takes the next message in; closes a planned window at its end. Raises EventBusError on a gap."""
        if message.offset < self.next_offset:
            return
        if message.offset > self.next_offset:  # our topics have none: what was passed over is read again
            raise EventBusError(f"offsets {self.next_offset} to {message.offset - 1} were passed over")
        if self._window.has_reached_plan(message.offset):
            self._close()
        try:
            size = peek(message.value).size
        except MalformedBatch:
            size = len(message.value)
        except NewerFormat as error:
            raise PartitionHalted(self.partition, str(error)) from None
        self._window.add(message, size, now)
        self.next_offset = message.offset + 1
        if self._window.has_reached_plan(self.next_offset):
            self._close()

    def close_if_due(self, now: int, *, is_caught_up: bool = False) -> None:
        """Closes the open window when its time or size has come, or its plan was read (a close that failed).

        `is_caught_up`: the bus has nothing more for us, so the window's age counts from its first message's append
        time: a restart or a hand-over loses no time. While catching up that would make tiny files.
        """
        settings = self._tools.settings
        if self._window.has_reached_plan(self.next_offset) or self._window.is_due(
            now, settings.window_seconds, settings.window_bytes, is_caught_up=is_caught_up
        ):
            self._close()

    def would_be_due(self, now: int) -> bool:
        """Whether the open window would be closed if the bus had nothing more for us."""
        settings = self._tools.settings
        return self._window.is_due(now, settings.window_seconds, settings.window_bytes, is_caught_up=True)

    def close_early(self) -> None:
        """Closes the open window whatever its age: memory is short, or the process stops."""
        if self._window.plan is None and self._window.messages:
            self._close()

    def _close(self) -> None:
        started = time.perf_counter()
        tools, plan = self._tools, self._window.plan
        # A topic that was made anew while this partition stayed ours has other events at our offsets.
        check_same_topic(self.partition, self._topic, tools.reader.topic(self.partition.region))
        tools.feed.refresh()
        settings = tools.settings
        built_with = BuildTools(
            self.partition, tools.feed, tools.codec, self._book, settings.file_bytes, settings.record_proofs
        )
        built = build_window(self._window, built_with, tools.ledger.now())
        intended = (
            match_plan(built.files, plan, self.partition)
            if plan
            else name_files(built.files, self.partition.region, built.body.stamp, tools.feed.topic_of)
        )
        intent = plan or Intent(
            self._lease.last_intent + 1,
            self._window.first_offset,
            self._window.end_offset,
            built.body.to_json(),
            intended,
        )
        demand_spool(built, self.partition, tools.puts.spool)
        if plan is None:
            # After a crash past this line the next owner finds the intent, reads these offsets again and goes on at 4.
            self._lease = tools.ledger.write_intent(self._lease, intent)
        # Not before the intent: without it the next owner may be able to read these messages, and deliver them.
        keep_undeliverable(built, self._topic.id, tools.puts.spool, self._metrics)
        self._metrics.windows.labels("redone" if plan else "new").inc()
        self._metrics.window_seconds.observe(time.perf_counter() - started)
        self._book.accept(built.numbers)
        self._metrics.repeats.inc(built.numbers.repeats)
        self._start_puts(intent, built, intended)
        self._window = self._open_window()

    # --- step 4 -----------------------------------------------------------------------------------

    def _start_puts(self, intent: Intent, built: BuiltWindow, intended: Sequence[IntendedFile]) -> None:
        region, number = self.partition
        puts = [
            LogFilePut(region, number, intent.number, known, file.log_file.body)
            for file, known in zip(built.files, intended, strict=True)
        ]
        self._metrics.file_bytes.inc(sum(file.log_file.size for file in built.files))
        is_redone = self._window.plan is not None
        self._closed.append(
            _ClosedWindow(
                intent=intent,
                is_redone=is_redone,
                puts=puts,
                futures=[self._tools.putter.submit(put, redone=is_redone) for put in puts],
                held_bytes=sum(len(put.body) for put in puts),
                numbers=built.numbers.changed,
            )
        )

    def _put_again_elsewhere(self, window: _ClosedWindow, index: int) -> None:
        """Another object lies at a file's key: the new key is in the ledger before anything is put there."""
        old = window.puts[index]
        old_key = old.file.object_key
        new_key = another_key(old_key)
        self._tools.ledger.rename_file(self._lease, window.intent.number, old_key, new_key)
        put = replace(old, file=replace(old.file, object_key=new_key))
        window.puts[index] = put
        window.futures[index] = self._tools.putter.submit(put, redone=window.is_redone)

    # --- steps 5 and 6 ----------------------------------------------------------------------------

    def finish_puts(self) -> bool:
        """Steps 5 and 6 for each window, in order, whose files all lie in their buckets. Whether any did."""
        finished = False
        while self._closed and all(future.done() for future in self._closed[0].futures):
            window = self._closed[0]
            outcomes = [future.result() for future in window.futures]
            results = [outcome.result for outcome in outcomes]
            if PutResult.STOPPED in results:
                break
            if PutResult.OTHER_OBJECT in results:
                for index, result in enumerate(results):
                    if result is PutResult.OTHER_OBJECT:
                        self._put_again_elsewhere(window, index)
                break
            parked: dict[str, Parking] = {
                put.file.object_key: outcome.parking
                for put, outcome in zip(window.puts, outcomes, strict=True)
                if outcome.parking is not None
            }
            self._lease = self._tools.ledger.deliver(self._lease, window.intent, parked, window.numbers)
            self._closed.popleft()
            if window.is_redone or any(outcome.has_copy for outcome in outcomes):
                self._remove_copies(window, parked)
            self._metrics.files.inc(len(window.intent.files) - len(parked))
            self._metrics.events.inc(sum(file.events for file in window.intent.files))
            hint = f"{self._lease.token}:{window.intent.number}"
            self._tools.reader.commit(self.partition, self._lease.next_offset, hint)
            finished = True
        if not self._closed:
            self._book.rest()
        return finished

    def _remove_copies(self, window: _ClosedWindow, parked: Mapping[str, Parking]) -> None:
        """Of files that were put after all, by an earlier owner perhaps, which died before step 5.

        Only here: who delivered the window knows that nobody needs them. A crash before it: `fsck` finds them.
        """
        spool = self._tools.puts.spool
        places = [place_of(put) for put in window.puts if put.file.object_key not in parked]
        if spool is not None and places:
            self._tools.later(partial(spool.forget_copies, places))

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits for its puts."""
        return not self._closed

    def abandon(self) -> None:
        """Lets go: nothing more is written; the next owner redoes what was open."""
        self._tools.putter.abandon([future for window in self._closed for future in window.futures])

    def _open_window(self) -> Window:
        plan = self._plans.popleft() if self._plans else None
        return Window(plan.first_offset if plan else self.next_offset, plan)
