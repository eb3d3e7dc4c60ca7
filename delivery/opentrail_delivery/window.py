"""A window: one contiguous range of a partition's offsets that is delivered as a whole (design §2.5)."""

from __future__ import annotations

from dataclasses import dataclass, field

from opentrail_backends.event_bus.port import Message
from opentrail_backends.state.port import Intent


@dataclass(slots=True)
class Window:
    """The events of a partition that were read since the last window.

    A window that redoes an intent has that intent as its `plan` and ends where the plan ends.
    """

    first_offset: int
    plan: Intent | None = None
    messages: list[Message] = field(default_factory=list)
    record_bytes: int = 0
    """Uncompressed size of the records, as the messages state it."""
    held_bytes: int = 0
    """Size of the messages, which is what an open window takes of memory."""
    opened_at: int = 0
    """Milliseconds since the epoch: when the first message was read."""

    def add(self, message: Message, record_bytes: int, now: int) -> None:
        """Adds the next message."""
        if not self.messages:
            self.opened_at = now
        self.messages.append(message)
        self.record_bytes += record_bytes
        self.held_bytes += len(message.value)

    @property
    def end_offset(self) -> int:
        """The offset after the last one that belongs to the window."""
        if self.plan is not None:
            return self.plan.end_offset
        return self.messages[-1].offset + 1 if self.messages else self.first_offset

    def has_reached_plan(self, next_offset: int) -> bool:
        """Whether everything that the plan asks for has been read."""
        return self.plan is not None and next_offset >= self.plan.end_offset

    def is_due(self, now: int, window_seconds: float, window_bytes: int, *, is_caught_up: bool = False) -> bool:
        """Whether an unplanned window is to be closed, by its age (wall clock) or its size.

        The age counts from when the first message was read; once all that the bus holds was read, from when the bus
        took it.
        """
        if self.plan is not None or not self.messages:
            return False
        opened_at = min(self.opened_at, self.messages[0].append_time) if is_caught_up else self.opened_at
        return self.record_bytes >= window_bytes or now - opened_at >= window_seconds * 1000
