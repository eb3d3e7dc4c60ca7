"""What a command tells instead of a stack trace."""

from __future__ import annotations

from collections.abc import Sequence


class CommandFailed(Exception):
    """The command cannot do its work; the message is one sentence that says what to do."""


class Mistakes(CommandFailed):
    """Several things are wrong in what the user gave; each is named with its place."""

    def __init__(self, summary: str, mistakes: Sequence[str]) -> None:
        super().__init__("\n".join([summary, *(f"  - {mistake}" for mistake in mistakes)]))
        self.mistakes = tuple(mistakes)
