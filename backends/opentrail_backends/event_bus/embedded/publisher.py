"""Publishing on the embedded bus: one thread writes, and what waits meanwhile shares its next transaction."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from opentrail_backends.event_bus.embedded.database import Database, all_topics
from opentrail_backends.event_bus.port import EventBusError, MessageTooLarge, Partition, PublishFailed, Topic
from opentrail_backends.event_bus.under_way import UnderWay

_MOST_MESSAGES = 1000  # in one transaction
_MOST_BYTES = 16 * 1024 * 1024
_BYTES_UNDER_WAY = 64 * 1024 * 1024
_SECONDS_FOR_ROOM = 10.0
_MILLISECONDS = 1000


@dataclass(slots=True)
class _Waiting:
    partition: Partition
    key: bytes
    value: bytes
    future: Future[None] = field(default_factory=Future)

    @property
    def size(self) -> int:
        return len(self.key) + len(self.value)


class EmbeddedPublisher:
    """Puts messages into the file. Safe for use by several threads."""

    def __init__(self, database: Database, max_message_bytes: int, now: Callable[[], float]) -> None:
        self._database = database
        self._max_message_bytes = max_message_bytes
        self._now = now
        self._under_way = UnderWay(_BYTES_UNDER_WAY)
        self._waiting: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._closed = False
        self._writer = threading.Thread(target=self._write_all, name="opentrail-bus-writer", daemon=True)
        self._writer.start()

    def topics(self) -> Mapping[str, Topic]:
        """See EventPublisher."""
        with self._database.read() as connection:
            return all_topics(connection)

    def publish(self, partition: Partition, key: bytes, value: bytes) -> Future[None]:
        """See EventPublisher. Waits for room when much is under way."""
        message = _Waiting(partition, key, value)
        message.future.set_running_or_notify_cancel()  # what was handed over cannot be called back
        if message.size > self._max_message_bytes:
            message.future.set_exception(
                MessageTooLarge(f"a message of {message.size} bytes; the bus takes {self._max_message_bytes}")
            )
        elif not self._under_way.enter(message.size, _SECONDS_FOR_ROOM):
            message.future.set_exception(PublishFailed("the embedded bus is behind: too much is under way"))
        else:
            self._hand_over(message)
        return message.future

    def _hand_over(self, message: _Waiting) -> None:
        with self._lock:  # nothing may come after the end mark
            if not self._closed:
                self._waiting.put(message)
                return
        self._answer(message, PublishFailed("the publisher is closed"))

    def close(self, timeout: float) -> None:
        """See EventPublisher."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._waiting.put(None)
        if not self._under_way.wait_until_empty(timeout):
            self._give_up_what_waits()
        self._writer.join(timeout)

    def _give_up_what_waits(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                message = self._waiting.get_nowait()
                if message is not None:
                    self._answer(message, PublishFailed("the publisher was closed before the message was written"))
        self._waiting.put(None)

    # --- The writer's thread

    def _write_all(self) -> None:
        with contextlib.closing(self._database):
            while (first := self._waiting.get()) is not None:
                messages, at_end = self._what_else_waits(first)
                self._write(messages)
                if at_end:
                    return

    def _what_else_waits(self, first: _Waiting) -> tuple[list[_Waiting], bool]:
        messages, size = [first], first.size
        while len(messages) < _MOST_MESSAGES and size < _MOST_BYTES:
            try:
                message = self._waiting.get_nowait()
            except queue.Empty:
                break
            if message is None:
                return messages, True
            messages.append(message)
            size += message.size
        return messages, False

    def _write(self, messages: Sequence[_Waiting]) -> None:
        unknown: list[_Waiting] = []
        failure: PublishFailed | None = None
        try:
            unknown = self._append(messages)
        except EventBusError as error:
            failure = PublishFailed(str(error))
        except Exception as error:  # the writer must live on, and each future be answered
            failure = PublishFailed(f"the embedded event bus: {type(error).__name__}: {error}")
        nowhere = {id(message) for message in unknown}
        for message in messages:
            if failure is None and id(message) in nowhere:
                self._answer(message, PublishFailed(f"the bus has no partition {message.partition}"))
            else:
                self._answer(message, failure)

    def _append(self, messages: Sequence[_Waiting]) -> list[_Waiting]:
        """One transaction for all; returns those whose partition does not exist."""
        unknown: list[_Waiting] = []
        with self._database.write() as connection:
            now = int(self._now() * _MILLISECONDS)
            places: dict[Partition, tuple[int, int, int] | None] = {}
            for message in messages:
                if message.partition not in places:
                    places[message.partition] = connection.execute(
                        "SELECT partitions.id, end_offset, last_append_time FROM partitions"
                        " JOIN topics ON topic = topics.id WHERE region = ? AND number = ?",
                        message.partition,
                    ).fetchone()
                place = places[message.partition]
                if place is None:
                    unknown.append(message)
                    continue
                key, offset, last = place
                append_time = max(now, last)  # a clock set back must not turn the order round
                connection.execute(
                    "INSERT INTO messages VALUES (?, ?, ?, ?, ?)",
                    [key, offset, append_time, message.key, message.value],
                )
                places[message.partition] = (key, offset + 1, append_time)
            connection.executemany(
                "UPDATE partitions SET end_offset = ?, last_append_time = ? WHERE id = ?",
                [(end, last, key) for key, end, last in filter(None, places.values())],
            )
        return unknown

    def _answer(self, message: _Waiting, failure: PublishFailed | None) -> None:
        self._under_way.leave(message.size)
        if failure is None:
            message.future.set_result(None)
        else:
            message.future.set_exception(failure)
