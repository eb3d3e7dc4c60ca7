"""The section that ends the text report: what is covered, whom the verdict stands on, what was not looked at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final

from opentrail.evidence.times import format_time
from opentrail_validator.findings import Subject, Verdict
from opentrail_validator.question import Span
from opentrail_validator.reports.port import RunInfo
from opentrail_validator.summary import ChainSummary, Origins, Summary

_MOST_LINES: Final = 12
"""Of one label: a run over an organization has hundreds of chains; `--output json` has them all."""

_MOST_NAMES: Final = 3

Line = tuple[str, str]
"""A label, empty on the lines that go on, and a text."""


def section(run: RunInfo, summary: Summary) -> Iterator[Line]:
    """The lines, in their order."""
    yield from _labelled("Covered", _covered(summary.chains))
    yield from _labelled("Not covered", _not_covered(summary.chains))
    yield from _labelled("Public keys", _keys(summary.origins))
    yield from _labelled("Heads", _heads(run, summary.origins))
    yield from _labelled("Not checked", _not_checked(run, summary))
    if summary.count(Verdict.INVALID):
        yield "Affected", _affected(summary)
    for notice in run.notices:
        yield "Note", notice


def _labelled(label: str, texts: Iterator[str]) -> Iterator[Line]:
    """The label once, and no more lines than a reader takes in."""
    for number, text in enumerate(islice(texts, _MOST_LINES)):
        yield ("" if number else label), text
    left = sum(1 for _ in texts)
    if left:
        yield "", f"… and {left} more (--output json has them all)"


def _covered(chains: Sequence[ChainSummary]) -> Iterator[str]:
    if len(chains) == 1:
        (chain,) = chains
        for span in chain.covered:
            until = chain.known_until
            known = f" (up to {format_time(until)} by a run before)" if until and span.start < until else ""
            yield f"{_span(span)}{known}"
        if not chain.covered:
            yield "nothing"
        return
    whole = sum(1 for chain in chains if chain.covered and not chain.not_covered())
    yield f"{whole} of {len(chains)} chains wholly"


def _not_covered(chains: Sequence[ChainSummary]) -> Iterator[str]:
    for chain in chains:
        name = f"{chain.question.place.account_id} in {chain.question.place.region}: " if len(chains) > 1 else ""
        for span in chain.not_covered():
            yield f"{name}{_span(span)}"
    since = [due for chain in chains if (due := chain.due_since()) is not None]
    if since:
        some = "" if len(since) == 1 else f" at the earliest, in {len(since)} chains"
        yield f"since {format_time(min(since))}{some}: digest files are due within two hours"


def _keys(origins: Origins) -> Iterator[str]:
    for origin, count in origins.keys.items():
        believed = "" if origins.are_pinned else "; believed, for none were pinned with --public-keys"
        yield f"{count}, {origin}{believed}"
    if not origins.keys:
        yield "none were asked for"


def _heads(run: RunInfo, origins: Origins) -> Iterator[str]:
    if run.has_heads:
        yield f"checked {origins.heads_seen}, of {origins.heads}"
    else:
        yield "none given: the newest digest files could be removed unseen without --heads"


def _not_checked(run: RunInfo, summary: Summary) -> Iterator[str]:
    unread = [
        _count(count, name, names)
        for subjects, name, names in (
            ((Subject.DIGEST, Subject.BACKFILL_DIGEST), "digest file", "digest files"),
            ((Subject.LOG_FILE,), "log file", "log files"),
            ((Subject.LISTING,), "list of files", "lists of files"),
            ((Subject.HEAD, Subject.CHAIN, Subject.STATE), "question about a chain", "questions about chains"),
        )
        if (count := summary.count(Verdict.UNCHECKED, *subjects))
    ]
    if unread:
        yield f"{', '.join(unread)} could not be read"
    failures = sum(1 for chain in summary.chains if chain.failure is not None)
    if failures:
        yield f"{failures} of {len(summary.chains)} chains: nothing could be validated"
    checks = run.questions[0].checks if run.questions else None
    if checks is not None and not checks.records:
        yield "the records in log files (--no-records)"
    if checks is not None and not checks.unlisted:
        yield "whether there are log files that no digest file names (--no-unlisted)"
    if checks is not None and not checks.coverage:
        yield "whether all of the time is covered (--no-require-coverage)"


def _affected(summary: Summary) -> str:
    affected = summary.affected
    accounts = ", ".join(sorted(affected.accounts)[:_MOST_NAMES]) + ", …" * (len(affected.accounts) > _MOST_NAMES)
    parts = [f"{_count(len(affected.accounts), 'account')} ({accounts})"]
    counts = ((len(affected.hours), "hour"), (affected.digests, "digest file"), (affected.log_files, "log file"))
    parts += [_count(number, name) for number, name in counts if number]
    if affected.log_files:
        least = "" if affected.all_known else " or more"
        parts += [f"{affected.events:,}{least} events", f"{readable_size(affected.size)}{least}"]
    return ", ".join(parts)


def readable_size(size: float) -> str:
    """Bytes with a unit: 17 bytes, 1.2 KB, 3.4 MB."""
    if size < 1000:  # noqa: PLR2004 - the units are decimal
        return f"{size:.0f} bytes"
    for unit in ("KB", "MB", "GB"):
        size /= 1000
        if size < 1000:  # noqa: PLR2004 - as above
            return f"{size:.1f} {unit}"
    return f"{size / 1000:.1f} TB"


def _count(number: int, name: str, names: str = "") -> str:
    return f"{number:,} {name if number == 1 else names or f'{name}s'}"


def _span(span: Span) -> str:
    return f"{format_time(span.start)} to {format_time(span.end)}"
