"""`opentrail history export`: the events that were asked for, as the console's downloads have them."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from opentrail.events.lookup import lookup_attributes, lookup_fields
from opentrail_backends.state import open_state_store
from opentrail_backends.state.port import EventHistory, HistoryCategory, HistoryEvent
from opentrail_cli import opening
from opentrail_cli.errors import CommandFailed
from opentrail_cli.history import history_app

ACCOUNT, REGION = "111122223333", "us-east-1"
NOW = int(time.time())
WHERE = ("--account", ACCOUNT, "--region", REGION)
HEADER = (
    "User name,AWS access key,Event time,Event source,Event name,AWS region,Source IP address,User agent,"
    "Error code,Resources,Request ID,Event ID,Read-only,Event type,Recipient Account Id,Event category"
)


def event(number: int, at: int = NOW, account_id: str = ACCOUNT, **members: Any) -> HistoryEvent:
    record = {
        "eventID": f"id-{number}",
        "eventName": "GetUser",
        "eventSource": "iam.amazonaws.com",
        "awsRegion": REGION,
        "userIdentity": {"type": "IAMUser", "userName": "alice", "accessKeyId": "AKIA"},
        "readOnly": True,
        **members,
    }
    if "insightDetails" in members:
        del record["eventName"], record["eventSource"]
    raw = json.dumps(record, ensure_ascii=False).encode()
    return HistoryEvent(
        account_id=account_id,
        region=REGION,
        category=HistoryCategory.INSIGHT if "insightDetails" in members else HistoryCategory.MANAGEMENT,
        event_id=f"id-{number}",
        event_time=at,
        attributes=lookup_attributes(lookup_fields(raw)),
        record=raw,
    )


@pytest.fixture
def history(tmp_path: Path) -> Iterator[EventHistory]:
    (tmp_path / "data").mkdir()
    state = open_state_store(f"sqlite:///{tmp_path}/data/state.db")
    state.migrate()
    yield state.history
    state.close()


def add(history: EventHistory, *events: HistoryEvent) -> None:
    position = history.position(REGION, 0, "topic")
    history.add(REGION, 0, "topic", (position, (position or 0) + 1), events)


@pytest.fixture
def run(tmp_path: Path, history: EventHistory, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.setattr(opening, "configure_logs", lambda *_: None)
    app = typer.Typer()
    app.add_typer(history_app, name="history")

    def call(*arguments: str) -> Result:
        all_of_it = ["history", "export", *WHERE, "--data-directory", f"{tmp_path}/data", *arguments]
        result = CliRunner().invoke(app, all_of_it)
        if isinstance(result.exception, CommandFailed):
            raise result.exception
        assert result.exit_code == 0, result.output
        return result

    return call


def ids(result: Result) -> list[str]:
    return [record["eventID"] for record in json.loads(result.stdout)["Records"]]


def rows(result: Result) -> list[dict[str, str]]:
    read = csv.DictReader(io.StringIO(result.stdout, newline=""))
    assert ",".join(read.fieldnames or ()) == HEADER
    return list(read)


def test_json_has_the_form_of_a_log_file_and_the_records_as_they_are(history, run):
    strange = {"requestParameters": {"Größe": [1.5, "\n", "</script>"]}, "unknown": None}
    events = [event(1, NOW - 10), event(2, **strange)]
    add(history, *events)
    result = run()
    assert result.stdout.startswith('{"Records":[')
    assert json.loads(result.stdout)["Records"] == [json.loads(one.record) for one in reversed(events)]
    assert f"2 events of {ACCOUNT} in {REGION} were written." in result.stderr


def test_nothing_found_is_an_empty_file_in_the_right_form(run):
    assert json.loads(run().stdout) == {"Records": []}
    assert rows(run("--format", "csv")) == []


def test_csv_has_the_columns_of_the_console(history, run):
    members = {
        "sourceIPAddress": "192.0.2.1",
        "userAgent": 'aws-cli, "quoted"',
        "errorCode": "AccessDenied",
        "requestID": "request-1",
        "eventType": "AwsApiCall",
        "recipientAccountId": ACCOUNT,
        "eventCategory": "Management",
        "requestParameters": {"userName": "bob"},
    }
    add(history, event(1, 10 + NOW // 60 * 60, **members))
    (row,) = rows(run("--format", "csv"))
    assert row == {
        "User name": "alice",
        "AWS access key": "AKIA",
        "Event time": datetime.fromtimestamp(10 + NOW // 60 * 60, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "Event source": "iam.amazonaws.com",
        "Event name": "GetUser",
        "AWS region": REGION,
        "Source IP address": "192.0.2.1",
        "User agent": 'aws-cli, "quoted"',
        "Error code": "AccessDenied",
        "Resources": '[{"resourceType": "AWS::IAM::User", "resourceName": "bob"}]',
        "Request ID": "request-1",
        "Event ID": "id-1",
        "Read-only": "true",
        "Event type": "AwsApiCall",
        "Recipient Account Id": ACCOUNT,
        "Event category": "Management",
    }


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n"])
def test_a_cell_is_never_a_formula(history, run, start):
    text = f"{start}HYPERLINK(1)"
    add(history, event(1, userAgent=text, errorCode=text, eventName=text, userIdentity={"userName": text}))
    (row,) = rows(run("--format", "csv"))
    for column in ("User agent", "Error code", "Event name", "User name"):
        assert row[column] == f"'{text}"


def test_values_of_other_types_are_shown_as_json(history, run):
    add(history, event(1, userAgent={"a": [1]}, errorCode=None, sourceIPAddress=-5, requestID=["ü"]))
    (row,) = rows(run("--format", "csv"))
    assert [row[column] for column in ("User agent", "Error code", "Source IP address", "Request ID")] == [
        '{"a": [1]}',
        "",
        "'-5",
        '["ü"]',
    ]


def test_numbers_are_written_as_they_stand_in_the_record(history, run):
    """Python reads no whole number of more than 4,300 digits; one event must not cost all the others."""
    long = event(1, requestParameters={"count": 7}, userAgent=[8])
    record = b" " + long.record.replace(b"7", b"7" * 5000).replace(b"8", b"8.50")
    add(history, replace(long, record=record), event(2))
    first, second = rows(run("--format", "csv"))
    assert [first["Event ID"], second["Event ID"], second["User agent"]] == ["id-2", "id-1", "[8.50]"]


def test_only_what_was_asked_for_is_written(history, run):
    insight = {"insightDetails": {"eventName": "PutObject", "eventSource": "s3.amazonaws.com"}}
    day = 86_400
    add(
        history,
        event(1),
        event(2, userIdentity={"type": "Root"}),
        event(3, NOW - 3 * day),
        event(4, account_id="444455556666"),
        event(5, **insight),
    )
    time_of = lambda seconds: datetime.fromtimestamp(seconds, UTC).isoformat()
    assert ids(run()) == ["id-2", "id-1", "id-3"]
    assert ids(run("--attribute", "Username=root")) == ["id-2"]
    assert ids(run("--insights")) == ["id-5"]
    assert ids(run("--insights", "--attribute", "EventName=PutObject")) == ["id-5"]
    assert ids(run("--start", time_of(NOW - day))) == ["id-2", "id-1"]
    assert ids(run("--end", time_of(NOW - 3 * day))) == ["id-3"]
    assert ids(run("--start", time_of(NOW - 3 * day + 1), "--end", time_of(NOW - 1))) == []
    assert ids(run("--end", datetime.fromtimestamp(NOW - day, UTC).strftime("%Y-%m-%d"))) == ["id-3"]


def test_more_than_a_page_is_written_once_each(history, run):
    add(history, *(event(number, NOW - number % 7) for number in range(1_203)))
    written = ids(run())
    assert sorted(written) == sorted(f"id-{number}" for number in range(1_203))


def test_a_file_has_its_name_when_it_is_whole(history, run, tmp_path):
    add(history, event(1))
    target = tmp_path / "out.csv"
    target.write_text("before")
    result = run("--format", "csv", "--output", str(target))
    assert result.stdout == ""
    assert f"were written to {target}." in result.stderr.replace("\n", "")
    assert target.read_bytes().split(b"\r\n")[0].decode() == HEADER
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "out.csv"]


def test_a_file_that_fails_half_way_leaves_what_was_there(history, run, tmp_path, monkeypatch):
    add(history, event(1))
    target = tmp_path / "out.json"
    target.write_text("before")

    def fails(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("opentrail_cli.history.write_events", fails)
    with pytest.raises(CommandFailed, match="cannot be written: No space left on device"):
        run("--output", str(target))
    assert target.read_text() == "before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "out.json"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--attribute", "Username"], "--attribute is KEY=VALUE"),
        (["--attribute", "username=alice"], "KEY one of AccessKeyId, EventId"),
        (["--attribute", "Username=alice", "--insights"], "KEY one of EventId, EventName, EventSource"),
        (["--start", "yesterday"], "--start must be a date or a time"),
        (["--end", "2026-13-01"], "--end must be a date or a time"),
        (["--start", "2026-01-02", "--end", "2026-01-01"], "--start must not be later than --end"),
        (["--output", "/nowhere/at/all.json"], "cannot be written: No such file or directory"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(run, arguments, reason):
    with pytest.raises(CommandFailed, match=reason):
        run(*arguments)
