"""Our share of the bus's partitions: owning, working through and letting go of each.

A partition that halts, or whose ledger cannot be reached, holds up no other.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Sequence
from functools import partial

import structlog

from opentrail_backends.event_bus.port import EventBusError, EventReader, Message, OffsetOutOfRange, Partition
from opentrail_backends.object_store.port import ObjectStoreError
from opentrail_backends.state.port import LedgerLost, StateError
from opentrail_delivery.errors import PartitionHalted
from opentrail_delivery.intent_body import IntentOfNewerFormat
from opentrail_delivery.partition_delivery import DeliveryTools, PartitionDelivery

_log = structlog.get_logger("opentrail.delivery")

_RETRY_SECONDS = 1.0
_ASK_SECONDS = 1.0
_OWN_AGAIN_SECONDS = 60.0
"""Longer than the bus takes to tell a reader that it lost a partition."""


class PartitionShare:
    """Our share of the partitions: told by the bus what is ours, and working through it. For one thread only."""

    def __init__(
        self,
        reader: EventReader,
        tools: DeliveryTools,
        clock: Callable[[], int],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock` is the wall clock in milliseconds, `monotonic` counts seconds."""
        self._reader = reader
        self._tools = tools
        self._clock = clock
        self._monotonic = monotonic
        self._read_again_at = 0.0
        self._ask_again_at: dict[Partition, float] = {}
        self._deliveries: dict[Partition, PartitionDelivery] = {}
        self._retry_at: dict[Partition, float] = {}
        self._halted: set[Partition] = set()
        self._paused: frozenset[Partition] = frozenset()

    # The bus tells (PartitionListener).

    def assigned(self, partitions: Collection[Partition]) -> None:
        """Step 1 for each."""
        self._paused -= frozenset(partitions)
        for partition in partitions:
            self._own(partition)

    def revoked(self, partitions: Collection[Partition]) -> None:
        """Hands over: what is finished is written, the rest is the next owner's."""
        for partition in partitions:
            if partition in self._deliveries:
                self._guard(partition, self._deliveries[partition].finish_puts)
            self._forget(partition)

    def lost(self, partitions: Collection[Partition]) -> None:
        """Another owner has them already."""
        for partition in partitions:
            self._forget(partition)

    # One round of work.

    @property
    def waits(self) -> float:
        """The seconds for which another round makes no sense: the bus does not answer."""
        return max(0.0, self._read_again_at - self._monotonic())

    def run_once(self) -> None:
        """Reads, closes what is due, finishes what was put. Does not wait for longer than the bus's `poll` does."""
        self._retry()
        self._hold_back()
        busy = any(not delivery.is_idle for delivery in self._deliveries.values())
        messages = self._read(0.01 if busy else 0.1)
        now = self._clock()
        for message in messages:
            delivery = self._deliveries.get(message.partition)
            if delivery is not None:
                self._guard(message.partition, partial(delivery.add, message, now))
        with_more = {message.partition for message in messages}
        for partition, delivery in list(self._deliveries.items()):
            caught_up = partition not in with_more and self._is_caught_up(partition, delivery, now)
            self._guard(partition, partial(delivery.close_if_due, now, is_caught_up=caught_up))
        self.finish()

    def close_all(self) -> None:
        """Closes the open windows whatever their age: the process stops. What is being redone is left as it is."""
        for partition, delivery in list(self._deliveries.items()):
            self._guard(partition, delivery.close_early)

    def finish(self) -> None:
        """Steps 5 and 6 where all puts are done."""
        for partition, delivery in list(self._deliveries.items()):
            self._guard(partition, delivery.finish_puts)

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits for its puts."""
        return all(delivery.is_idle for delivery in self._deliveries.values())

    def abandon(self) -> None:
        """Lets go of everything."""
        for partition in list(self._deliveries):
            self._forget(partition)

    # --- helpers ----------------------------------------------------------------------------------

    def _is_caught_up(self, partition: Partition, delivery: PartitionDelivery, now: int) -> bool:
        """Whether the bus holds nothing more of a partition: asked only where it decides, once a second."""
        if not delivery.would_be_due(now) or self._monotonic() < self._ask_again_at.get(partition, 0.0):
            return False
        self._ask_again_at[partition] = self._monotonic() + _ASK_SECONDS
        try:
            return self._reader.bounds(partition).end <= delivery.next_offset
        except EventBusError:
            return False

    def _read(self, timeout: float) -> Sequence[Message]:
        if self._monotonic() < self._read_again_at:
            return ()
        try:
            return self._reader.poll(timeout)
        except OffsetOutOfRange as error:
            self._forget(error.partition)
            self._park_position(error.partition)
            reason = "messages were deleted before they were delivered. `opentrail settle` tells what is lost"
            self._halt(error.partition, f"{error}: {reason}")
        except EventBusError as error:
            _log.warning("the bus does not answer", error=str(error))
            self._read_again_at = self._monotonic() + _RETRY_SECONDS
        return ()

    def _own(self, partition: Partition) -> None:
        try:
            delivery = PartitionDelivery(partition, self._tools)
        except PartitionHalted as halt:
            self._park_position(partition)
            self._halt(partition, halt.reason)
        except (StateError, EventBusError) as error:
            _log.warning("cannot own the partition yet", partition=partition, error=str(error))
            self._park_position(partition)
            self._retry_at[partition] = self._monotonic() + _RETRY_SECONDS
        except Exception as error:  # a fault of ours: the other partitions must go on
            _log.exception("partition failed", partition=partition)
            self._park_position(partition)
            self._halt(partition, f"an error of OpenTrail itself: {type(error).__name__}: {error}")
        else:
            self._deliveries[partition] = delivery
            self._reader.seek(partition, delivery.next_offset)
            self._tools.puts.status.released(_name(partition))

    def _park_position(self, partition: Partition) -> None:
        """A partition that is ours but not worked on: it has a position and is paused."""
        with contextlib.suppress(EventBusError):
            self._reader.seek(partition, self._reader.bounds(partition).end)
        self._reader.pause([partition])
        self._paused |= {partition}

    def _guard(self, partition: Partition, work: Callable[[], object]) -> None:
        """Runs a partition's work; what goes wrong there stays there."""
        if partition not in self._deliveries:
            return
        try:
            work()
        except LedgerLost as error:
            # Another owner has raised the epoch: wait until the bus assigns the partition anew. If it stays ours all
            # the same, the other one was late and has no claim: own it again then.
            _log.warning("lost the partition", partition=partition, error=str(error))
            self._tools.puts.metrics.lost_partitions.inc()
            self._forget(partition)
            self._park_position(partition)
            self._retry_at[partition] = self._monotonic() + _OWN_AGAIN_SECONDS
        except (PartitionHalted, IntentOfNewerFormat) as halt:
            self._forget(partition)
            self._park_position(partition)
            self._halt(partition, halt.reason if isinstance(halt, PartitionHalted) else str(halt))
        except (StateError, ObjectStoreError, EventBusError) as error:
            # Whether a write was kept is not known, or the store is away: start again at step 1, a little later.
            _log.warning("starting again at step 1", partition=partition, error=str(error))
            self._forget(partition)
            self._park_position(partition)
            self._retry_at[partition] = self._monotonic() + _RETRY_SECONDS
        except Exception as error:  # a fault of ours, or a record that breaks its reader: the others must go on
            _log.exception("partition failed", partition=partition)
            self._forget(partition)
            self._park_position(partition)
            self._halt(partition, f"an error of OpenTrail itself: {type(error).__name__}: {error}")

    def _forget(self, partition: Partition) -> None:
        delivery = self._deliveries.pop(partition, None)
        if delivery is not None:
            delivery.abandon()
        self._retry_at.pop(partition, None)
        self._ask_again_at.pop(partition, None)
        if partition in self._halted:
            self._halted.discard(partition)
            self._tools.puts.status.released(_name(partition))
            self._tools.puts.metrics.halted_partitions.set(len(self._halted))

    def _halt(self, partition: Partition, reason: str) -> None:
        _log.error("partition halted", partition=partition, reason=reason)
        self._halted.add(partition)
        self._tools.puts.status.halted(_name(partition), reason)
        self._tools.puts.metrics.halted_partitions.set(len(self._halted))

    def _retry(self) -> None:
        now = self._monotonic()
        for partition in [partition for partition, at in self._retry_at.items() if at <= now]:
            del self._retry_at[partition]
            if partition in self._reader.assigned_to_us():
                self._own(partition)

    def _hold_back(self) -> None:
        """Reads no more than memory allows: what is over waits on the bus."""
        held = sum(delivery.held_bytes for delivery in self._deliveries.values())
        self._tools.puts.metrics.held_bytes.set(held)
        full = held > self._tools.settings.memory_bytes
        if full:
            partition, largest = max(self._deliveries.items(), key=lambda item: item[1].open_bytes)
            self._guard(partition, largest.close_early)
        # A redo cannot be closed early: one of them reads on, else none would ever end.
        redoing = next((p for p, delivery in sorted(self._deliveries.items()) if delivery.is_redoing), None)
        paused = frozenset(
            partition
            for partition in self._reader.assigned_to_us()
            if partition not in self._deliveries
            or (full and partition != redoing)
            or not self._deliveries[partition].wants_messages
        )
        if paused - self._paused:
            self._reader.pause(paused - self._paused)
        if self._paused - paused:
            self._reader.resume([p for p in self._paused - paused if p in self._deliveries])
        self._paused = paused


def _name(partition: Partition) -> str:
    return f"partition {partition.region}/{partition.number}"
