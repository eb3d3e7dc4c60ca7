"""Events of an account's history as a file, as the CloudTrail console's download has them.

JSON is a log file's form, `{"Records": […]}`, with the records as they are. CSV has the columns of the console's CSV
(the first eight of them are known from such files; the rest is not documented). A cell that a spreadsheet would take
for a formula gets an apostrophe before it: those that begin with = + - @, a tab or a line break.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import StrEnum
from typing import IO, Any

from msgspec import Raw

from opentrail.events.lookup import api_event
from opentrail.events.lookup_values import members_of
from opentrail_backends.state.port import EventHistory, FoundEvent, HistoryCursor, HistoryQuery

_PAGE = 500
_FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n")


class Format(StrEnum):
    """What the file is."""

    JSON = "json"
    CSV = "csv"


def all_events(history: EventHistory, query: HistoryQuery) -> Iterator[FoundEvent]:
    """All events of a query, newest first, read in pages. Raises StateError."""
    after: HistoryCursor | None = None
    while page := history.lookup(query, _PAGE, after):
        yield from page
        after = page[-1].cursor


def write_events(events: Iterable[FoundEvent], file: IO[str], form: Format) -> int:
    """Writes events; returns how many. The file must be opened with `newline=""`, in UTF-8."""
    shown = (api_event(event.record, event.cursor.event_time) for event in events)
    return _write_json(shown, file) if form is Format.JSON else _write_csv(shown, file)


def _write_json(events: Iterable[Mapping[str, Any]], file: IO[str]) -> int:
    count = 0
    file.write('{"Records":[')
    for count, event in enumerate(events, 1):
        file.write((",\n" if count > 1 else "\n") + event["CloudTrailEvent"])
    file.write("]}\n")
    return count


def _write_csv(events: Iterable[Mapping[str, Any]], file: IO[str]) -> int:
    writer = csv.writer(file)
    writer.writerow(_COLUMNS)
    count = 0
    for count, event in enumerate(events, 1):  # noqa: B007 (how many there were)
        record = members_of(Raw(event["CloudTrailEvent"].strip().encode()))
        writer.writerow([_harmless(column(event, record)) for column in _COLUMNS.values()])
    return count


def _resources(event: Mapping[str, Any]) -> str:
    resources = [
        {"resourceType": one["ResourceType"], "resourceName": one["ResourceName"]} for one in event["Resources"]
    ]
    return json.dumps(resources, ensure_ascii=False) if resources else ""


_COLUMNS: Mapping[str, Callable[[Mapping[str, Any], Mapping[str, Raw]], str | Raw | None]] = {
    "User name": lambda event, _: event["Username"],
    "AWS access key": lambda event, _: event["AccessKeyId"],
    "Event time": lambda event, _: event["EventTime"].strftime("%Y-%m-%dT%H:%M:%SZ"),
    "Event source": lambda event, _: event["EventSource"],
    "Event name": lambda event, _: event["EventName"],
    "AWS region": lambda _, record: record.get("awsRegion"),
    "Source IP address": lambda _, record: record.get("sourceIPAddress"),
    "User agent": lambda _, record: record.get("userAgent"),
    "Error code": lambda _, record: record.get("errorCode"),
    "Resources": lambda event, _: _resources(event),
    "Request ID": lambda _, record: record.get("requestID"),
    "Event ID": lambda event, _: event["EventId"],
    "Read-only": lambda event, _: event["ReadOnly"],
    "Event type": lambda _, record: record.get("eventType"),
    "Recipient Account Id": lambda _, record: record.get("recipientAccountId"),
    "Event category": lambda _, record: record.get("eventCategory"),
}


def _harmless(value: str | Raw | None) -> str:
    """The text of a cell; it comes from whoever sent the event."""
    text = value if isinstance(value, str) else "" if value is None else _text_of_member(value)
    return f"'{text}" if text.startswith(_FORMULAS) else text


def _text_of_member(value: Raw) -> str:
    """A text without its quotes, nothing for null; else as it stands there: numbers may be too long for Python."""
    written = bytes(value).decode()
    text: str = json.loads(written) if written.startswith('"') else "" if written == "null" else written
    return text
