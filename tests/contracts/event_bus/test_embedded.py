"""What only the embedded bus has: one file, several processes, a clock of its own."""

from __future__ import annotations

import contextlib
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from opentrail_backends.event_bus import open_event_bus
from opentrail_backends.event_bus.embedded.bus import EmbeddedEventBus
from opentrail_backends.event_bus.embedded.settings import EmbeddedSettings
from opentrail_backends.event_bus.port import Bounds, EventBusError, Partition, PublishFailed
from tests.contracts.event_bus.conftest import EmbeddedWorld
from tests.contracts.event_bus.members import numbered, steps, until

REGION = "eu-west-1"
ZERO, ONE = Partition(REGION, 0), Partition(REGION, 1)

READING_PROCESS = """
import sys
from opentrail_backends.event_bus import open_event_bus
reader = open_event_bus(sys.argv[1]).reader("delivery")
class Listener:
    def assigned(self, partitions):
        print(len(partitions), flush=True)
    revoked = lost = lambda self, partitions: None
reader.subscribe(Listener())
while True:
    reader.poll(1.0)
"""

PUBLISHING_PROCESS = """
import sys
from opentrail_backends.event_bus import open_event_bus
from opentrail_backends.event_bus.port import Partition
publisher = open_event_bus(sys.argv[1]).publisher()
print("ready", flush=True)
sys.stdin.readline()
name = sys.argv[2].encode()
futures = [publisher.publish(Partition("eu-west-1", n % 2), b"", b"%s %d" % (name, n)) for n in range(200)]
for future in futures:
    future.result(60)
publisher.close(10)
"""


class Clock:
    def __init__(self) -> None:
        self.time = 1_700_000_000.0
        self.asked = 0

    def __call__(self) -> float:
        self.asked += 1
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def bus(tmp_path: Path, clock: Clock) -> Iterator[EmbeddedEventBus]:
    bus = EmbeddedEventBus(EmbeddedSettings(tmp_path / "bus.db"), now=clock)
    bus.ensure_topic(REGION, 2)
    yield bus
    bus.close()


@pytest.fixture
def process(embedded_world: EmbeddedWorld, closing: contextlib.ExitStack) -> Iterator[subprocess.Popen[str]]:
    """Another process that reads as a member of the group."""
    embedded_world.bus.ensure_topic(REGION, 2)
    command = [sys.executable, "-c", READING_PROCESS, embedded_world.url()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def test_a_reader_whose_process_was_killed_is_not_waited_for(
    embedded_world: EmbeddedWorld, process: subprocess.Popen[str]
) -> None:
    assert process.stdout is not None
    assert process.stdout.readline() == "2\n"
    reader = embedded_world.member().join()
    steps(3, reader)
    assert len(reader.ours) < 2  # the other one lives
    process.send_signal(signal.SIGKILL)
    process.wait()
    later = embedded_world.member("later").join()  # buries the dead when it joins; no lease has ended
    until(lambda: len(reader.ours) + len(later.ours) == 2, reader, later)
    assert embedded_world.ahead == 0.0


def test_several_processes_publish_into_one_file(embedded_world: EmbeddedWorld) -> None:
    embedded_world.bus.ensure_topic(REGION, 2)
    with contextlib.ExitStack() as stack:
        processes = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", PUBLISHING_PROCESS, embedded_world.url(), name],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            for name in "abc"
        ]
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            process.communicate("go\n", timeout=60)
            assert process.returncode == 0
    reader = embedded_world.member().join()
    until(lambda: len(reader.messages) >= 600, reader)
    assert sorted(reader.values()) == sorted(b"%s %d" % (who, n) for who in (b"a", b"b", b"c") for n in range(200))
    for number in range(2):
        offsets = [message.offset for message in reader.messages if message.partition.number == number]
        assert offsets == list(range(300))
        for who in (b"a", b"b", b"c"):
            found = [int(value[2:]) for value in reader.values(Partition(REGION, number)) if value[:1] == who]
            assert found == list(range(number, 200, 2))


def test_a_clock_that_is_set_back_does_not_turn_append_times_round(bus: EmbeddedEventBus, clock: Clock) -> None:
    publisher = bus.publisher()
    for time in (1_700_000_000.5, 1_600_000_000.0, 1_700_000_000.4, 1_700_000_001.0):
        clock.time = time
        publisher.publish(ZERO, b"", b"value").result(10)
    clock.time = 1_600_000_000.0
    publisher.publish(ONE, b"", b"another partition").result(10)
    publisher.close(10)
    with contextlib.closing(sqlite3.connect(bus._settings.path)) as connection:
        times = connection.execute("SELECT append_time FROM messages ORDER BY partition, offset").fetchall()
    first = 1_700_000_000_500
    assert [time for (time,) in times] == [first, first, first, 1_700_000_001_000, 1_600_000_000_000]


def test_what_waits_together_shares_one_transaction(bus: EmbeddedEventBus, clock: Clock) -> None:
    publisher = bus.publisher()
    publisher.publish(ZERO, b"", b"warm").result(10)
    with bus._database.write():  # the writer waits for this one
        futures = [publisher.publish(ZERO, b"", value) for value in numbered(0, 200)]
        assert not futures[-1].done()
        asked = clock.asked
    for future in futures:
        future.result(10)
    assert clock.asked - asked <= 2  # one transaction for the first message, one for all others
    publisher.close(10)


def test_a_lease_is_renewed_by_polling(embedded_world: EmbeddedWorld) -> None:
    embedded_world.bus.ensure_topic(REGION, 2)
    first, second = embedded_world.member("first").join(), embedded_world.member("second").join()
    until(lambda: len(first.ours) == 1 == len(second.ours), first, second)
    for _ in range(20):
        embedded_world.ahead += 20
        steps(1, first, second)
    assert first.told("lost") == second.told("lost") == set()


def test_messages_survive_a_new_start(tmp_path: Path) -> None:
    url = f"embedded://{tmp_path}/bus.db"
    first = open_event_bus(url)
    made = first.ensure_topic(REGION, 1)
    publisher = first.publisher()
    publisher.publish(ZERO, b"", b"value").result(10)
    publisher.close(10)
    first.close()
    second = open_event_bus(url)
    assert second.topics() == {REGION: made}
    assert second.lag("delivery") == {ZERO: (None, Bounds(0, 1))}
    second.close()


def test_a_writer_that_is_held_up_fails_what_waits_when_it_is_closed(bus: EmbeddedEventBus) -> None:
    publisher = bus.publisher()
    with bus._database.write():
        first = publisher.publish(ZERO, b"", b"in the writer's hands")
        waiting = [publisher.publish(ZERO, b"", value) for value in numbered(0, 10)]
        publisher.close(0.05)
        failed = [future for future in waiting if future.done()]
        for future in failed:
            with pytest.raises(PublishFailed, match="closed before"):
                future.result(0)
    kept = [future for future in [first, *waiting] if future not in failed]
    for future in kept:
        future.result(10)
    assert bus.lag("delivery")[ZERO][1] == Bounds(0, len(kept))


def test_a_full_disk_fails_the_message_and_the_next_one_is_taken(bus: EmbeddedEventBus) -> None:
    publisher = bus.publisher()
    publisher.publish(ZERO, b"", b"first").result(10)
    connection = publisher._database._connection
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(PublishFailed, match="full"):
        publisher.publish(ZERO, b"", bytes(1_000_000)).result(10)
    connection.execute("PRAGMA max_page_count = 1000000")
    publisher.publish(ZERO, b"", b"second").result(10)
    publisher.close(10)
    assert bus.lag("delivery")[ZERO][1] == Bounds(0, 2)


@pytest.mark.parametrize("content", [b"this is no database, but long enough to look at" * 50, None])
def test_a_file_that_is_none_is_an_error_that_names_it(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "folder" / "bus.db"
    if content is not None:
        path.parent.mkdir()
        path.write_bytes(content)
    with pytest.raises(EventBusError, match=r"bus\.db"):
        open_event_bus(f"embedded://{path}")


def test_a_file_of_a_newer_format_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "bus.db"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 2")
    with pytest.raises(EventBusError, match="format 2; this release knows format 1"):
        open_event_bus(f"embedded://{path}")
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)


def test_two_that_open_a_new_file_at_once_both_succeed(tmp_path: Path) -> None:
    ready = threading.Barrier(8)
    failures: list[BaseException] = []

    def open_and_ensure() -> None:
        ready.wait()
        try:
            bus = open_event_bus(f"embedded://{tmp_path}/bus.db")
            bus.ensure_topic(REGION, 2)
            bus.close()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=open_and_ensure) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
