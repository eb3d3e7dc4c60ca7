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

import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

from opentrail.events.client_numbers import ClientNumbers
from opentrail.evidence.log_file import Codec
from opentrail_backends.event_bus.batches import MalformedBatch, NewerFormat, peek
from opentrail_backends.event_bus.port import EventBusError, EventReader, Message, Partition
from opentrail_backends.state.port import IntendedFile, Intent, Ledger
from opentrail_delivery.client_book import ClientBook, WindowNumbers
from opentrail_delivery.configuration_feed import ConfigurationFeed
from opentrail_delivery.errors import PartitionHalted
from opentrail_delivery.file_names import another_key, file_stamp, name_files
from opentrail_delivery.intent_body import IntentBody
from opentrail_delivery.log_file_put import PutResult, PutTools, put_until_done
from opentrail_delivery.preconditions import check_positions, check_topic
from opentrail_delivery.settings import DeliverySettings
from opentrail_delivery.spool import LogFilePut
from opentrail_delivery.window import Window
from opentrail_delivery.window_build import BuiltFile, build_files, governing_revisions, read_batches


@dataclass(slots=True)
class _ClosedWindow:
    """A window whose intent is known to be in the ledger and whose files are being put."""

    intent: Intent
    puts: list[LogFilePut]
    futures: list[Future[PutResult]]
    held_bytes: int
    numbers: Mapping[tuple[str, bytes], ClientNumbers | None]


class _BuiltWindow(NamedTuple):
    """What step 3 makes of a window."""

    files: Sequence[BuiltFile]
    body: IntentBody
    poison: Sequence[Message]
    numbers: WindowNumbers


@dataclass(frozen=True, slots=True)
class DeliveryTools:
    """The ports and values that all partitions of a process share."""

    ledger: Ledger
    reader: EventReader
    feed: ConfigurationFeed
    codec: Codec
    putter: Executor
    puts: PutTools
    settings: DeliverySettings


class PartitionDelivery:
    """A partition that the bus has assigned to us, from step 1 on."""

    def __init__(self, partition: Partition, tools: DeliveryTools) -> None:
        """Step 1. Raises PartitionHalted where bus and ledger do not fit; StateError if the ledger cannot be asked."""
        self.partition = partition
        self._tools = tools
        self._metrics = tools.puts.metrics
        self._stop = threading.Event()
        self._book = ClientBook(partial(tools.ledger.client_numbers, partition.region))
        self._closed: deque[_ClosedWindow] = deque()
        self._topic = check_topic(partition, tools.reader.topic(partition.region), tools.ledger)
        bounds = tools.reader.bounds(partition)
        self._lease, open_intents = tools.ledger.own(partition.region, partition.number, bounds.start)
        check_positions(partition, self._lease, open_intents, bounds, tools.reader.committed(partition))
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

    def close_if_due(self, now: int) -> None:
        """Closes the open window when its time or size has come, or its plan was read (a close that failed)."""
        settings = self._tools.settings
        if self._window.has_reached_plan(self.next_offset) or self._window.is_due(
            now, settings.window_seconds, settings.window_bytes
        ):
            self._close()

    def close_early(self) -> None:
        """Closes the open window whatever its age: memory is short."""
        if self._window.plan is None and self._window.messages:
            self._close()

    def _close(self) -> None:
        started = time.perf_counter()
        window = self._window
        plan = window.plan
        self._tools.feed.refresh()
        built = self._build(window)
        intended = (
            self._match(built.files, plan) if plan else name_files(built.files, self.partition.region, built.body.stamp)
        )
        intent = plan or Intent(
            self._lease.last_intent + 1, window.first_offset, window.end_offset, built.body.to_json(), intended
        )
        self._spool(built.poison, "poison")
        self._spool(built.numbers.dead_letters, "dead-letters")
        if plan is None:
            # After a crash past this line the next owner finds the intent, reads these offsets again and goes on at 4.
            self._lease = self._tools.ledger.write_intent(self._lease, intent)
        self._metrics.windows.labels("redone" if plan else "new").inc()
        self._metrics.window_seconds.observe(time.perf_counter() - started)
        self._book.accept(built.numbers)
        self._metrics.repeats.inc(built.numbers.repeats)
        self._start_puts(intent, built, intended)
        self._window = self._open_window()

    def _build(self, window: Window) -> _BuiltWindow:
        """The window's files by its plan, or by the configuration as it is known now. Raises PartitionHalted."""
        tools = self._tools
        planned = IntentBody.from_json(window.plan.body) if window.plan else None
        for thoroughly in (False, True):
            try:
                batches, poison = read_batches(
                    window.messages, planned.poison if planned else None, thoroughly=thoroughly
                )
                body = planned or IntentBody(
                    stamp=file_stamp(tools.ledger.now()),
                    file_bytes=tools.settings.file_bytes,
                    revisions=governing_revisions(window.messages, tools.feed.history),
                    poison=[message.offset for message in poison],
                )
                numbers = self._book.window()
                new = [(message, numbers.without_repeats(message, batch)) for message, batch in batches]
                files = build_files(new, body, tools.feed.history, tools.codec)
                return _BuiltWindow(files, body, poison, numbers)
            except NewerFormat as error:
                raise PartitionHalted(self.partition, str(error)) from None
            except MalformedBatch as error:
                # A column that only some selectors read is broken: look for it in all messages, once.
                if planned or thoroughly:
                    raise PartitionHalted(self.partition, str(error)) from None
        raise AssertionError("unreachable")

    def _match(self, files: Sequence[BuiltFile], plan: Intent) -> Sequence[IntendedFile]:
        """The intent decides: a redo must give the same files, else the partition stops loudly."""
        intended = {(file.incarnation, file.account_id, file.part): file for file in plan.files}
        matched = [intended.pop((file.target.incarnation, file.account_id, file.part), None) for file in files]
        different = [
            file
            for file, known in zip(files, matched, strict=True)
            if known is None or known.sha256 != file.log_file.sha256
        ]
        if different or intended:
            raise PartitionHalted(
                self.partition,
                f"redoing intent {plan.number} (offsets {plan.first_offset} to {plan.end_offset - 1}) gives other "
                f"files than it fixed: {len(different)} differ, {len(intended)} are missing. The bus has other "
                "messages at these offsets than before, or this release builds them differently",
            )
        return [file for file in matched if file is not None]

    def _spool(self, messages: Sequence[Message], why: str) -> None:
        """What cannot be delivered: the raw bytes are kept before step 5, so that nothing is lost by going on."""
        if not messages:
            return
        if self._tools.puts.spool is None:
            raise PartitionHalted(
                self.partition,
                f"the message at offset {messages[0].offset} cannot be delivered and there is no spool to keep it in: "
                "set OPENTRAIL_SPOOL",
            )
        for message in messages:
            self._tools.puts.spool.keep(why, self._topic.id, message)
            self._metrics.spooled.labels(why).inc()

    # --- step 4 -----------------------------------------------------------------------------------

    def _start_puts(self, intent: Intent, built: _BuiltWindow, intended: Sequence[IntendedFile]) -> None:
        puts = [
            LogFilePut(
                incarnation=known.incarnation,
                bucket=known.bucket,
                key=known.object_key,
                body=file.log_file.body,
                sha256=known.sha256,
                kms_key_id=file.target.kms_key_id,
                trail_arn=file.target.trail_arn,
            )
            for file, known in zip(built.files, intended, strict=True)
        ]
        self._metrics.file_bytes.inc(sum(file.log_file.size for file in built.files))
        held = sum(len(put.body) for put in puts)
        self._closed.append(_ClosedWindow(intent, puts, [self._put(put) for put in puts], held, built.numbers.changed))

    def _put(self, put: LogFilePut) -> Future[PutResult]:
        return self._tools.putter.submit(put_until_done, put, self._tools.puts, self._stop)

    def _put_again_elsewhere(self, window: _ClosedWindow, index: int) -> None:
        """Another object lies at a file's key: the new key is in the ledger before anything is put there."""
        old = window.puts[index]
        new_key = another_key(old.key)
        self._tools.ledger.rename_file(self._lease, window.intent.number, old.key, new_key)
        put = replace(old, key=new_key)
        window.puts[index] = put
        window.futures[index] = self._put(put)

    # --- steps 5 and 6 ----------------------------------------------------------------------------

    def finish_puts(self) -> bool:
        """Steps 5 and 6 for each window, in order, whose files all lie in their buckets. Whether any did."""
        finished = False
        while self._closed and all(future.done() for future in self._closed[0].futures):
            window = self._closed[0]
            results = [future.result() for future in window.futures]
            if PutResult.STOPPED in results:
                break
            if PutResult.OTHER_OBJECT in results:
                for index, result in enumerate(results):
                    if result is PutResult.OTHER_OBJECT:
                        self._put_again_elsewhere(window, index)
                break
            parked = [put.key for put, result in zip(window.puts, results, strict=True) if result is PutResult.PARKED]
            self._lease = self._tools.ledger.deliver(self._lease, window.intent, parked, window.numbers)
            self._closed.popleft()
            self._metrics.files.inc(len(window.intent.files) - len(parked))
            self._metrics.events.inc(sum(file.events for file in window.intent.files))
            hint = f"{self._lease.token}:{window.intent.number}"
            self._tools.reader.commit(self.partition, self._lease.next_offset, hint)
            finished = True
        if not self._closed:
            self._book.rest()
        return finished

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits for its puts."""
        return not self._closed

    def abandon(self) -> None:
        """Lets go: puts under way end soon, nothing more is written; the next owner redoes what was open."""
        self._stop.set()

    def _open_window(self) -> Window:
        plan = self._plans.popleft() if self._plans else None
        return Window(plan.first_offset if plan else self.next_offset, plan)
