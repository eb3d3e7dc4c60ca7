"""`opentrail redrive`, `settle` and `fsck` as commands: what they print, and how they end."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from opentrail_backends.event_bus.port import Message, Partition
from opentrail_cli import settle
from opentrail_cli.composition import Parts
from opentrail_cli.errors import CommandFailed
from opentrail_cli.services import SPOOL_BUCKET
from opentrail_cli.settings import read_settings
from opentrail_delivery.settle import Settle, SettleTools
from opentrail_delivery.settle_reader import SettleReader
from opentrail_delivery.spool import Spool

REGION = "eu-central-1"


@pytest.fixture
def parts(data: Path) -> Iterator[Parts]:
    """An installation whose region has a topic that delivery has seen."""
    data.mkdir()
    with Parts(read_settings(None, {}, data_directory=data)) as opened:
        topic = opened.event_bus.ensure_topic(REGION, 1)
        opened.state.ledger.record_topic(REGION, topic.id, topic.partitions)
        opened.state.ledger.own(REGION, 0, 0)
        opened.spool_store.create_bucket(SPOOL_BUCKET)
        yield opened


def poison(parts: Parts) -> str:
    message = Message(Partition(REGION, 0), 7, 1_767_225_600_000, b"no batch")
    Spool(parts.spool_store, SPOOL_BUCKET).keep_poison("topic", message)
    return f"poison/{REGION}/topic/0/7"


def make_topic_anew(parts: Parts) -> None:
    import contextlib
    import sqlite3

    file = parts.settings.data_directory / "event-bus.db"
    with contextlib.closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("DELETE FROM topics")
    parts.event_bus.ensure_topic(REGION, 1)


def test_redrive_lists_what_is_left_and_fails(run: Callable[..., str], parts: Parts) -> None:
    key = poison(parts)
    said = run("redrive", code=1)
    assert "poisoned messages: 0 sent again (0 events), 0 dropped, 1 left" in said
    assert f"unreadable  {key}  " in said
    assert "parked files: 0 that had expired tried again" in said
    result = json.loads(run("redrive", "--json", "poison", code=1))
    assert result["poison"] == {"unreadable": 1, "events": 0, "repeats": 0}
    assert [one["key"] for one in result["left"]] == [key]
    assert "parked" not in result


def test_redrive_where_there_is_nothing(run: Callable[..., str], parts: Parts) -> None:
    said = run("redrive", "--dry-run", "dead-letters", "parked")
    assert "poisoned" not in said
    assert "dead-letter messages: 0 would be sent again" in said
    assert "parked files: 0 that had expired would be tried again" in said
    assert parts.state.ledger.windows()


def test_settle_where_all_fits(run: Callable[..., str], parts: Parts) -> None:
    assert run("settle") == "Ledger and bus fit: there is nothing to settle.\n"
    assert json.loads(run("settle", "--json", "--accept"))["partitions"] == []
    assert parts.state.ledger.lost_offsets() == []


def test_settle_only_tells_until_it_is_accepted(run: Callable[..., str], parts: Parts) -> None:
    make_topic_anew(parts)
    said = run("settle")
    assert f"{REGION}/0: topic-anew" in said
    assert "delivery would go on at offset 0 (it stood at 0)" in said
    assert "opentrail settle --accept" in said
    assert parts.state.ledger.lost_offsets() == []
    said = run("settle", "--accept")
    assert "delivery goes on at offset 0" in said
    assert "lost: offsets from 0 on: the topic was made anew" in said
    assert len(parts.state.ledger.lost_offsets()) == 1
    assert "nothing to settle" in run("settle")


def test_settle_says_what_stands_in_its_way(run: Callable[..., str], parts: Parts) -> None:
    make_topic_anew(parts)
    with pytest.raises(CommandFailed, match="settle all of its partitions"):
        run("settle", "--region", REGION, "--partition", "0")
    assert "needs its --region" in run("settle", "--partition", "0", code=2)


def test_settle_does_not_read_what_a_delivery_process_holds(parts: Parts) -> None:
    from opentrail_delivery.settle_reader import SettleRefused

    with SettleReader(parts.event_bus, "opentrail-delivery", 5.0) as holder:
        holder.hold(Partition(REGION, 0))
        with (
            SettleReader(parts.event_bus, "opentrail-delivery", 0.3) as reader,
            pytest.raises(SettleRefused, match="stop all delivery processes"),
        ):
            reader.hold(Partition(REGION, 0))


def test_fsck_tells_what_it_looked_at(run: Callable[..., str], parts: Parts) -> None:
    assert run("fsck") == "Looked at 0 copies in the spool, 1 partitions: 0 errors, 0 notices.\n"
    poison(parts)
    said = run("fsck", "--deep", "--since", "2026-01-01")
    assert f"notice  poison  {REGION}/0  1 messages: opentrail redrive poison" in said
    make_topic_anew(parts)
    result = json.loads(run("fsck", "--json", code=1))
    assert [one["kind"] for one in result["findings"]] == ["poison", "partition-misfit"]
    assert result["exit_code"] == 1


def test_fsck_wants_a_time(run: Callable[..., str], parts: Parts) -> None:
    with pytest.raises(CommandFailed, match="--since must be"):
        run("fsck", "--since", "yesterday")
    assert parts.state.ledger.windows()


@pytest.mark.parametrize("command", ["redrive", "settle", "fsck"])
def test_they_make_no_empty_installation(run: Callable[..., str], data: Path, command: str) -> None:
    with pytest.raises(CommandFailed, match="start `opentrail up` there first"):
        run(command)
    assert not data.exists()


def test_settle_makes_files_with_the_settings_of_delivery(
    run: Callable[..., str], parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[SettleTools] = []
    monkeypatch.setattr(settle, "Settle", lambda tools: (seen.append(tools), Settle(tools))[1])
    monkeypatch.setenv("OPENTRAIL_RECORD_PROOFS", "false")
    monkeypatch.setenv("OPENTRAIL_FILE_BYTES", "2000000")
    run("settle")
    assert (seen[0].settings.record_proofs, seen[0].settings.file_bytes) == (False, 2_000_000)
