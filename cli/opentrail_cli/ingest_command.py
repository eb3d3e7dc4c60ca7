"""`opentrail ingest`: progress while it runs, then what was accepted and what was not, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from opentrail_cli.errors import CommandFailed
from opentrail_cli.ingest import NOT_CONFIRMED, Ingestion, Summary
from opentrail_cli.ingest_journal import Journal, open_journal
from opentrail_cli.record_files import FoundRecord, records_in
from opentrail_cli.terminal import notices, output
from opentrail_producer.client import ClientTls, is_reachable

CONNECT_SECONDS = 10.0
SHOWN = 20
"""Records that are named one by one; the rest is counted, unless all are asked for."""


def ingest(
    files: Sequence[Path],
    target: str,
    token_for: Callable[[str | None], str],
    certificate_authority: Path | None,
    *,
    journal: Path | None,
    show_all: bool,
) -> bool:
    """Sends the files' records and prints the summary; True if every record was accepted. Raises CommandFailed."""
    tls = _tls(certificate_authority)
    _check_reachable(target, tls)
    console = notices()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with ExitStack() as stack:
        opened = None if journal is None else stack.enter_context(open_journal(journal, files))
        ingestion = Ingestion(target, token_for, tls=tls, client_id=None if opened is None else opened.client_id)
        progress = stack.enter_context(
            Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        )
        task = progress.add_task("files", total=len(files))
        summary = ingestion.send_files(_records(files, opened), lambda: progress.advance(task))
    _print(output(), summary, len(files), show_all=show_all)
    if opened is not None and summary.by_code[NOT_CONFIRMED]:
        output().print("Repeat the same command: what was accepted already is not delivered again.")
    return summary.is_clean


def _records(files: Sequence[Path], journal: Journal | None) -> Iterator[tuple[Path, Iterator[FoundRecord]]]:
    for position, file in enumerate(files):
        if journal is None:
            yield file, records_in(file)
        else:
            with journal.content(position, file) as content:
                yield file, records_in(file, content)


def _print(console: Console, summary: Summary, files: int, *, show_all: bool) -> None:
    console.print(f"{summary.accepted} events accepted from {files} {'file' if files == 1 else 'files'}.")
    for file, reason in summary.unreadable:
        console.print(f"{file}: {reason}", style="red")
    if not summary.not_accepted_count:
        return
    counts = ", ".join(f"{count} {code}" for code, count in summary.by_code.most_common())
    console.print(f"{summary.not_accepted_count} records were not accepted ({counts}):", style="bold red")
    ordered = sorted(summary.not_accepted)
    listed = ordered if show_all else ordered[:SHOWN]
    for refusal in listed:
        console.print(f"  {refusal.file}:{refusal.position}  {refusal.code}  {refusal.message}")
    if summary.not_accepted_count > len(listed):
        console.print(f"  … and {summary.not_accepted_count - len(listed)} more (--all lists them)")


def _check_reachable(target: str, tls: ClientTls | None) -> None:
    """Tells at once that nobody listens, instead of trying again for a minute. Raises CommandFailed."""
    if not is_reachable(target, tls, CONNECT_SECONDS):
        raise CommandFailed(
            f"No producer answers on {target}: start one with `opentrail up`, or name another with --producer "
            "(and --certificate-authority if it uses TLS)."
        )


def _tls(certificate_authority: Path | None) -> ClientTls | None:
    if certificate_authority is None:
        return None
    try:
        return ClientTls(authorities=certificate_authority.read_bytes())
    except OSError as error:
        raise CommandFailed(f"{certificate_authority} cannot be read: {error.strerror}.") from error
