"""What every report is told, in this order; and how a text from evidence is shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from opentrail_validator.findings import Finding
from opentrail_validator.question import Question
from opentrail_validator.summary import ChainSummary, Summary


@dataclass(frozen=True, slots=True)
class RunInfo:
    """What is known before the first finding."""

    questions: Sequence[Question]
    has_heads: bool = False
    verbose: bool = False
    """Whether what is valid is named, too."""
    notices: Sequence[str] = ()
    """What the reader should know beside the findings: from which bundle they are, which one was written."""


class Report(Protocol):
    """Takes findings as they come and writes them; nothing is kept that grows with their number."""

    def begin(self, run: RunInfo) -> None:
        """Before the first chain."""
        ...

    def begin_chain(self, question: Question) -> None:
        """Before the chain's first finding."""
        ...

    def add(self, question: Question, finding: Finding) -> None:
        """One finding; the order does not depend on what was read first."""
        ...

    def end_chain(self, chain: ChainSummary) -> None:
        """After the chain's last finding, or after it could not be validated at all."""
        ...

    def finish(self, summary: Summary) -> None:
        """After the last chain."""
        ...


def printable(text: str) -> str:
    r"""A text from evidence in one harmless line: what is not printable is written as `\x1b`, `\u202e`, ….

    Names of objects may be chosen by an adversary: a line break must not make a line of its own, an escape sequence
    must not reach a terminal.
    """
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode("ascii") for char in text
    )
