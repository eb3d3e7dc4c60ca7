"""Makes the tape of a schedule that fails as short and as plain as it can in a bounded number of tries."""

from __future__ import annotations

from tests.simulation.choices import Choices
from tests.simulation.invariants import Violated
from tests.simulation.schedules import Theme, run

_TRIES = 250


def fails(theme: Theme, tape: bytes) -> Violated | None:
    """The violation that a tape ends in."""
    try:
        run(theme, Choices(tape=tape))
    except Violated as violated:
        return violated
    return None


def smaller(theme: Theme, tape: bytes, tries: int = _TRIES) -> bytes:
    """A tape that still fails: its end cut off, then pieces of it made zeros, ever smaller ones."""
    tape = tape.rstrip(b"\0")
    size = max(len(tape) // 2, 1)
    while size >= 1 and tries > 0:
        start = 0
        while start < len(tape) and tries > 0:
            piece = tape[start : start + size]
            if any(piece):
                for candidate in (
                    tape[:start] + tape[start + size :],
                    tape[:start] + bytes(len(piece)) + tape[start + size :],
                ):
                    tries -= 1
                    if fails(theme, candidate) is not None:
                        tape = candidate.rstrip(b"\0")
                        break
                else:
                    start += size
                    continue
                continue
            start += size
        size //= 2
    return tape
