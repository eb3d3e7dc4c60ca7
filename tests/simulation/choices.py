"""Where all of a schedule's choices come from: a tape of bytes, so that a schedule can be replayed and made smaller."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar("Item")


class Choices:
    """Each choice takes a byte or two of the tape. A zero is always the plainest choice: no fault, the first of a list.

    A tape that was given ends in zeros without end; without one it is random, by the seed, and recorded.
    """

    def __init__(self, seed: int = 0, tape: bytes | None = None) -> None:
        self._random = random.Random(seed)
        self._is_given = tape is not None
        self.tape = bytearray(tape or b"")
        self._at = 0

    @property
    def used(self) -> bytes:
        """The part of the tape that was read so far."""
        return bytes(self.tape[: self._at])

    def below(self, limit: int) -> int:
        """A number from 0 to before `limit`."""
        if limit <= 1:
            return 0
        number = self._byte()
        if limit > 256:
            number = number * 256 + self._byte()
        return number % limit

    def chance(self, percent: float) -> bool:
        """Whether something happens that is to happen so often."""
        return percent > 0 and self._byte() >= 256 - percent * 2.56

    def pick(self, items: Sequence[Item]) -> Item:
        """One of the items."""
        return items[self.below(len(items))]

    def _byte(self) -> int:
        if self._at == len(self.tape):
            self.tape += bytes(256) if self._is_given else self._random.randbytes(256)
        self._at += 1
        return self.tape[self._at - 1]
