"""`opentrail history export`: events of an account's history as a file, straight from the state store."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from io import TextIOWrapper
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Annotated

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from opentrail.events.lookup import INSIGHT_KEYS, RETENTION_SECONDS, LookupKey
from opentrail_backends.state.port import FoundEvent, HistoryCategory, HistoryQuery
from opentrail_cli.errors import CommandFailed
from opentrail_cli.history_export import Format, all_events, write_events
from opentrail_cli.opening import local_parts, opened_settings
from opentrail_cli.options import ConfigOption, DataDirectoryOption
from opentrail_cli.terminal import notices

history_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, context_settings={"max_content_width": 100})

_AHEAD = 86_400
"""Seconds from now: events may come from clocks that are ahead."""


@history_app.callback()
def history() -> None:
    """The event history: management events of the last 90 days, of each account and region."""


@history_app.command(
    short_help="Write an account's events to a file.",
    epilog="Example: opentrail history export --account 123456789012 --region us-east-1 --attribute Username=alice "
    "--format csv --output alice.csv",
)
def export(
    account: Annotated[str, typer.Option(metavar="ID", help="whose events")],
    region: Annotated[str, typer.Option(metavar="REGION", help="where they were recorded")],
    start: Annotated[
        str | None, typer.Option(metavar="TIME", help="the first second, as 2026-01-31 or 2026-01-31T12:00:00Z")
    ] = None,
    end: Annotated[str | None, typer.Option(metavar="TIME", help="the last second [default: the newest event]")] = None,
    attribute: Annotated[
        str | None, typer.Option(metavar="KEY=VALUE", help="only events with this attribute, as Username=alice")
    ] = None,
    insights: Annotated[bool, typer.Option("--insights", help="Insights events instead of management events")] = False,
    form: Annotated[
        Format, typer.Option("--format", help="json as in log files, or csv for spreadsheets")
    ] = Format.JSON,
    file: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="the file to write [default: standard output]")
    ] = None,
    config: ConfigOption = None,
    data_directory: DataDirectoryOption = None,
) -> None:
    """Write an account's events, newest first. In CSV, an apostrophe is put before what could be a formula."""
    now = int(datetime.now(UTC).timestamp())
    query = HistoryQuery(
        account_id=account,
        region=region,
        category=HistoryCategory.INSIGHT if insights else HistoryCategory.MANAGEMENT,
        attribute=_attribute(attribute, insights=insights),
        start=now - RETENTION_SECONDS if start is None else _seconds("--start", start),
        end=now + _AHEAD if end is None else _seconds("--end", end),
    )
    if query.start > query.end:
        raise CommandFailed("--start must not be later than --end.")
    with local_parts(opened_settings(config, data_directory=data_directory)) as parts, _opened(file) as written:
        events = _with_progress(all_events(parts.state.history, query), query, now)
        count = write_events(events, written, form)
    place = "" if file is None else f" to {file}"
    notices().print(f"{count} events of {account} in {region} were written{place}.")


def _attribute(text: str | None, *, insights: bool) -> tuple[str, str] | None:
    if text is None:
        return None
    key, _, value = text.partition("=")
    keys = sorted(INSIGHT_KEYS if insights else LookupKey)
    if key not in keys or not value:
        raise CommandFailed(f"--attribute is KEY=VALUE, and KEY one of {', '.join(keys)}: {text}")
    return key, value


def _seconds(option: str, text: str) -> int:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise CommandFailed(
            f"{option} must be a date or a time such as 2026-01-31 or 2026-01-31T12:00:00Z: {text}"
        ) from None
    return int((time if time.tzinfo is not None else time.replace(tzinfo=UTC)).timestamp())


@contextmanager
def _opened(file: Path | None) -> Iterator[IO[str]]:
    """Where to write: a file has its name only once it is whole. Raises CommandFailed."""
    if file is None:
        written = TextIOWrapper(sys.stdout.buffer, encoding="utf-8", newline="")
        try:
            yield written
        finally:
            written.detach()  # flushes, and leaves the standard output open
        return
    try:
        with TemporaryDirectory(dir=file.parent, prefix=f".{file.name}.") as folder:
            part = Path(folder) / file.name
            with part.open("w", encoding="utf-8", newline="") as written_part:
                yield written_part
            part.replace(file)
    except OSError as error:
        raise CommandFailed(f"{file} cannot be written: {error.strerror}.") from error


def _with_progress(events: Iterable[FoundEvent], query: HistoryQuery, now: int) -> Iterator[FoundEvent]:
    """Shows on a terminal how many events were written, and how far back they reach."""
    console = notices()
    columns = (TextColumn("{task.completed:,.0f} events"), BarColumn(), TimeElapsedColumn())
    newest, oldest = min(query.end, now), max(query.start, now - RETENTION_SECONDS)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("events", total=None)
        for count, event in enumerate(events, 1):
            yield event
            if count % 500 == 0:
                done = (newest - event.cursor.event_time) / max(newest - oldest, 1)
                progress.update(task, completed=count, total=count / done if done > 0 else None)
