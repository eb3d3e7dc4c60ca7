"""Steps 1, 3 and 5, and numbers of clients: each rule and how to break it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from opentrail.events.client_numbers import ClientNumbers, Taken, take
from opentrail_backends.event_bus.batches import MalformedBatch, NewerFormat
from opentrail_backends.state.port import LedgerLost, OutcomeUnknown
from opentrail_delivery import client_book, partition_delivery, window_build, window_close
from opentrail_delivery.client_book import ClientBook
from opentrail_delivery.partition_delivery import PartitionDelivery
from tests.simulation import faults
from tests.simulation.memory_ledger import MemoryLedger
from tests.simulation.rules import rule

Patch = pytest.MonkeyPatch


@rule("a ledger write names epoch and token of its owner", "zombies")
def _no_owner(patch: Patch) -> None:
    def fence(self: MemoryLedger, lease: Any) -> Any:
        row = self.tables.partitions[lease.region, lease.partition]
        if row.last_intent != lease.last_intent:
            raise LedgerLost("it moved on")
        return row

    patch.setattr(MemoryLedger, "_fence", fence)


@rule("a ledger write names the last intent; an unknown outcome is followed by step 1", "losses")
def _no_last_intent(patch: Patch) -> None:
    """The worker goes on with its old lease, and nobody minds."""
    write_intent = MemoryLedger.write_intent

    def fence(self: MemoryLedger, lease: Any) -> Any:
        row = self.tables.partitions[lease.region, lease.partition]
        if (row.epoch, row.token) != (lease.epoch, lease.token):
            raise LedgerLost("it has another owner")
        return row

    def again(self: MemoryLedger, lease: Any, intent: Any) -> Any:
        row = self.tables.partitions[lease.region, lease.partition]
        if row.last_intent > lease.last_intent:  # its own, of whose outcome it never heard
            intents = self.tables.intents[lease.region, lease.partition]
            intents[row.last_intent].closed = True
            row.last_intent = lease.last_intent
        return write_intent(self, lease, intent)

    def close(self: PartitionDelivery) -> None:
        try:
            original(self)
        except OutcomeUnknown:
            original(self)

    original = PartitionDelivery._close
    patch.setattr(MemoryLedger, "_fence", fence)
    patch.setattr(MemoryLedger, "write_intent", again)
    patch.setattr(PartitionDelivery, "_close", close)


@rule("nothing is put before the intent's commit is known", "losses")
def _put_too_early(patch: Patch) -> None:
    """An unknown outcome is taken for a commit."""
    state_call = faults.Faults.state_call

    def optimistic(self: faults.Faults, name: str, call: Any) -> Any:
        if name != "write_intent":
            return state_call(self, name, call)
        try:
            return state_call(self, name, call)
        except OutcomeUnknown:
            lease, intent = _arguments_of(call)
            return replace(lease, last_intent=intent.number)

    patch.setattr(faults.Faults, "state_call", optimistic)


def _arguments_of(call: Any) -> Any:
    """What the port was called with: it lies in the closure of `PortOfProcess`."""
    cells = dict(zip(call.__code__.co_freevars, call.__closure__, strict=True))
    return cells["arguments"].cell_contents


@rule("the intent names its files: a redo gives them the same keys", "crashes")
def _new_names(patch: Patch) -> None:
    def match(files: Any, plan: Any, partition: Any) -> Any:
        body = window_close.IntentBody.from_json(plan.body)
        return partition_delivery.name_files(files, partition.region, body.stamp)

    patch.setattr(partition_delivery, "match_plan", match)


@rule("files delivered and next offset change in one transaction", "crashes")
def _two_transactions(patch: Patch) -> None:
    """The second one is never reached by an owner that dies: here by none."""
    deliver = MemoryLedger.deliver

    def without_offset(self: MemoryLedger, lease: Any, intent: Any, *rest: Any) -> Any:
        row = self.tables.partitions[lease.region, lease.partition]
        row.next_offset = max(row.next_offset, lease.next_offset)
        before = row.next_offset
        after = deliver(self, lease, intent, *rest)
        row.next_offset = before
        return after

    patch.setattr(MemoryLedger, "deliver", without_offset)


@rule("windows are delivered in their order", "buckets")
def _out_of_order(patch: Patch) -> None:
    deliver, finish = MemoryLedger.deliver, PartitionDelivery.finish_puts

    def any_order(self: MemoryLedger, lease: Any, intent: Any, *rest: Any) -> Any:
        row = self.tables.partitions[lease.region, lease.partition]
        reached = row.next_offset
        row.next_offset = intent.first_offset
        after = deliver(self, lease, intent, *rest)
        row.next_offset = max(reached, row.next_offset)
        return replace(after, next_offset=row.next_offset)

    def done_first(self: PartitionDelivery) -> bool:
        ready = [w for w in self._closed if all(future.done() for future in w.futures)]
        for window in ready:
            self._closed.remove(window)
            self._closed.appendleft(window)
            finish(self)
        return finish(self)

    patch.setattr(MemoryLedger, "deliver", any_order)
    patch.setattr(PartitionDelivery, "finish_puts", done_first)


@rule("step 5 waits for all puts of the window", "buckets")
def _not_waiting(patch: Patch) -> None:
    deliver = PartitionDelivery.finish_puts

    def at_once(self: PartitionDelivery) -> bool:
        for window in self._closed:
            for future in window.futures:
                if not future.done():
                    future.set_result(partition_delivery.PutOutcome(partition_delivery.PutResult.DONE))
        return deliver(self)

    patch.setattr(PartitionDelivery, "finish_puts", at_once)


@rule("offsets have no gaps: what was passed over is read again", "losses")
def _gaps(patch: Patch) -> None:
    add = PartitionDelivery.add

    def jump(self: PartitionDelivery, message: Any, now: int) -> None:
        self.next_offset = max(self.next_offset, message.offset)
        add(self, message, now)

    patch.setattr(PartitionDelivery, "add", jump)


# --- numbers of clients ------------------------------------------------------------------------------


@rule("numbers of clients are kept: an event that is sent again is dropped", "losses")
def _no_numbers(patch: Patch) -> None:
    patch.setattr(client_book, "take", lambda known, ranges, seen_at: Taken(known))


@rule("holes are remembered: an old number that fills one is new", "losses")
def _no_holes(patch: Patch) -> None:
    def newest_only(known: ClientNumbers, ranges: Any, seen_at: int) -> Taken:
        taken = take(known, ranges, seen_at)
        return replace(taken, numbers=replace(taken.numbers, holes=()))

    patch.setattr(client_book, "take", newest_only)


@rule("numbers belong to an account: another's same client id does not touch them", "crashes")
def _shared_clients(patch: Patch) -> None:
    def all_accounts(self: MemoryLedger, region: str, account_id: str) -> Mapping[bytes, ClientNumbers]:
        return {c: numbers for (of_region, _, c), numbers in self.tables.numbers.items() if of_region == region}

    patch.setattr(MemoryLedger, "client_numbers", all_accounts)
    patch.setattr(client_book.ClientBook, "_known", lambda self, account: self._read(account))


@rule("step 5 writes what a window made of its clients' numbers", "losses")
def _numbers_not_written(patch: Patch) -> None:
    patch.setattr(MemoryLedger, "_write_numbers", lambda *_: None)


@rule("a redo starts from the numbers after the window before it", "crashes")
def _numbers_too_early(patch: Patch) -> None:
    """They are written with the intent."""
    build, init = partition_delivery.build_window, PartitionDelivery.__init__

    def with_ledger(self: PartitionDelivery, partition: Any, tools: Any) -> None:
        init(self, partition, tools)
        self._book.sim_ledger = tools.ledger  # type: ignore[attr-defined]

    def early(window: Any, tools: Any, now: int) -> Any:
        built = build(window, tools, now)
        tables = tools.book.sim_ledger._target.tables
        for (account, client), numbers in built.numbers.changed.items():
            tables.numbers[tools.partition.region, account, client] = numbers
        return built

    patch.setattr(PartitionDelivery, "__init__", with_ledger)
    patch.setattr(partition_delivery, "build_window", early)


@rule("the next window goes on from the numbers of the one before it, delivered or not", "losses")
def _book_forgets(patch: Patch) -> None:
    patch.setattr(ClientBook, "accept", lambda *_: None)


# --- poison and versions -----------------------------------------------------------------------------


@rule("poison is kept in the spool before it is passed", "poison")
def _poison_dropped(patch: Patch) -> None:
    patch.setattr(partition_delivery, "keep_undeliverable", lambda *_: None)


@rule("a redo obeys the offsets that the intent notes as poison", "poison")
def _poison_judged_anew(patch: Patch) -> None:
    read = window_close.read_batches
    patch.setattr(window_close, "read_batches", lambda messages, _known, **named: read(messages, None, **named))


@rule("a batch of a newer format is no poison", "newer")
def _newer_is_poison(patch: Patch) -> None:
    def as_poison(read: Any) -> Any:
        def reading(value: Any) -> Any:
            try:
                return read(value)
            except NewerFormat as error:
                raise MalformedBatch(str(error)) from error

        return reading

    patch.setattr(window_build, "unpack", as_poison(window_build.unpack))
    patch.setattr(window_build, "peek", as_poison(window_build.peek))
    patch.setattr(partition_delivery, "peek", as_poison(partition_delivery.peek))
