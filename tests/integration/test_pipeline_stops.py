"""Ends and beginnings: a stop loses no time, what delivery stands on is looked after, releases run side by side."""

from __future__ import annotations

import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from opentrail.events.batch import EventBatch, SelectorClass, group_of
from opentrail_backends.event_bus.batches import pack
from opentrail_backends.event_bus.port import Partition
from opentrail_backends.object_store.in_memory import Hold, InMemoryObjectStore
from opentrail_backends.state import open_state_store
from opentrail_delivery.errors import ConditionsUnmet
from opentrail_delivery.service import DeliveryService
from opentrail_delivery.settings import DeliverySettings
from tests.crash.world import ACCOUNT, REGION, assert_exactly_once
from tests.pipeline.pipeline import Pipeline, pipeline
from tests.pipeline.watched import Replaced

SLOW = DeliverySettings(window_seconds=300, digest_seconds=2, put_threads=4)
PARTITION = Partition(REGION, 0)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Pipeline]:
    with pipeline(tmp_path) as opened:
        yield opened


def next_offset(running: Pipeline) -> int:
    rows = [row["next_offset"] for row in running.state.ledger.windows()]
    return int(rows[0]) if rows else 0


def objects(running: Pipeline) -> list[str]:
    return sorted(running.keys_in())


# --- stopping --------------------------------------------------------------------------------------


def test_a_stop_delivers_what_the_open_window_holds(running: Pipeline) -> None:
    trail = running.add_trail("audit")
    running.settings = SLOW
    service = running.start_delivery()
    expected = running.send(3)
    running.wait_until(lambda: service.metrics.held_bytes._value.get() > 0, "the window is read")
    began = time.monotonic()
    running.stop_delivery(timeout=60)
    assert time.monotonic() - began < 30
    assert sum(len(records) for records in running.seen().log_files.values()) == 3
    assert next_offset(running) == 1
    running.start_delivery()
    running.wait_until_digested(3, trail)
    assert_exactly_once(running.seen(), ["audit"], expected)


def test_what_cannot_be_put_within_the_limit_is_the_next_owners(running: Pipeline) -> None:
    trail = running.add_trail("audit", s3_bucket_name="held")
    held = InMemoryObjectStore(["held"])
    hold = Hold(threading.Event(), threading.Event())
    held.script("*", hold, times=None)
    running.settings = SLOW
    service = running.start_delivery(object_store=held)
    expected = running.send(3)
    running.wait_until(lambda: service.metrics.held_bytes._value.get() > 0, "the window is read")
    began = time.monotonic()
    running.stop_delivery(timeout=1)
    assert time.monotonic() - began < 30
    assert next_offset(running) == 0
    running.store.create_bucket("held")
    running.start_delivery()
    running.more_buckets.append("held")
    running.wait_until_digested(3, trail)
    assert_exactly_once(running.seen("held"), ["audit"], expected)
    hold.release.set()  # not before: what the first one puts then lies in its own store


# --- conditions -----------------------------------------------------------------------------------


def test_a_process_does_not_start_while_a_condition_is_unmet(running: Pipeline) -> None:
    bus = Replaced(running.bus, unmet_conditions=lambda: ["the topic forgets: set retention.ms to 35 days"])
    with pytest.raises(ConditionsUnmet, match=r"retention\.ms"):
        running.start_delivery(event_bus=bus)
    assert objects(running) == []
    assert running.state.ledger.windows() == []


def test_while_a_condition_is_unmet_nothing_is_written_and_then_it_goes_on(running: Pipeline) -> None:
    trail = running.add_trail("audit")
    unmet: list[str] = []
    service = running.start_delivery(event_bus=Replaced(running.bus, unmet_conditions=lambda: unmet))
    expected = running.send(3)
    running.wait_until_digested(3, trail)

    unmet.append("the topic forgets: set retention.ms to 35 days")
    service._maintenance._check_at = 0.0  # an hour has passed
    assert "retention.ms" in running.wait_until_halted(service, "this process")
    running.wait_until(lambda: service._ports.event_bus.lag(SLOW.group)[PARTITION][0] is not None, "committed")
    before, offset = objects(running), next_offset(running)
    expected += running.send(3)
    time.sleep(3)
    assert (objects(running), next_offset(running)) == (before, offset)

    unmet.clear()
    service._maintenance._check_at = 0.0  # a minute has passed
    running.wait_until_digested(6, trail)
    assert service.status()["halted"] == {}
    running.stop_delivery()
    assert_exactly_once(running.seen(), ["audit"], expected)


def test_a_ledger_from_a_backup_is_noticed_before_anything_is_written(running: Pipeline, tmp_path: Path) -> None:
    trail = running.add_trail("audit")
    running.start_delivery()
    expected = running.send(3)
    running.wait_until_digested(3, trail)
    running.stop_delivery()
    with (
        closing(sqlite3.connect(tmp_path / "state.db")) as live,
        closing(sqlite3.connect(tmp_path / "dump.db")) as dump,
    ):
        live.backup(dump)
    running.start_delivery()
    expected += running.send(2)
    running.wait_until_digested(5, trail)
    running.stop_delivery()
    before = objects(running)

    shutil.copy(tmp_path / "dump.db", tmp_path / "old.db")
    old = open_state_store(f"sqlite:///{tmp_path}/old.db", secret_key=b"k" * 32)
    with pytest.raises(ConditionsUnmet, match=r"restored from a backup.*opentrail settle"):
        running.start_delivery(state_store=old)
    old.close()
    assert objects(running) == before
    assert_exactly_once(running.seen(), ["audit"], expected)


# --- releases side by side ------------------------------------------------------------------------


def test_a_rolling_upgrade_switches_a_format_on_when_the_last_old_process_is_gone(running: Pipeline) -> None:
    trail = running.add_trail("audit")

    def start(batch: int) -> DeliveryService:
        return running.start_delivery(formats={"batch": batch, "intent": 1})

    def switched_on() -> float | None:
        return new.metrics.registry.get_sample_value("opentrail_delivery_format", {"kind": "batch"})

    old, new = start(1), start(2)
    expected = running.send(3)
    running.wait_until_digested(3, trail)
    running.wait_until(lambda: switched_on() == 1, "both work with the old format")
    running.stop_delivery(old)
    new._maintenance._report_at = 0.0  # a minute has passed
    running.wait_until(lambda: switched_on() == 2, "the new format is on")
    with pytest.raises(ConditionsUnmet, match="upgrade this worker"):
        start(1)

    selector_class = SelectorClass("Management", "ec2.amazonaws.com", "RunInstances", "AwsApiCall", False, ())
    record = b'{"eventID":"sent again"}'
    batch = EventBatch(ACCOUNT, REGION, [group_of(selector_class, [record], [len(record)], [1_760_000_000])])
    publisher = running.bus.publisher()
    before_the_trail = running.state.configuration.changes_after(0)[0].effective_at - 1
    for accepted_at in (before_the_trail, int(time.time() * 1000)):
        publisher.publish(PARTITION, ACCOUNT.encode(), pack(batch, accepted_at)).result(30)
    publisher.close(10)
    running.wait_until_digested(4, trail)
    running.wait_until(lambda: next_offset(running) == 3, "all is delivered")
    running.stop_delivery()
    assert_exactly_once(running.seen(), ["audit"], [*expected, "sent again"])
