"""How old a window is after a hand-over and while catching up; stopping; waiting for the bus."""

from __future__ import annotations

from dataclasses import replace

import pytest

from opentrail_backends.event_bus.port import CommittedPosition, EventBusError, Message
from opentrail_backends.state.port import StateError
from opentrail_delivery import partition_share
from opentrail_delivery.spool import LogFilePut, Spool
from tests.unit.delivery.delivery_fakes import HERE, THERE
from tests.unit.delivery.share_world import EACH_BY_ITSELF, events, world


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    monkeypatch.setattr(partition_share, "_RETRY_SECONDS", 0.0)


# --- how old a window is ---------------------------------------------------------------------------


MINUTE = 60_000
SPOOL = "opentrail-spool"


def test_a_hand_over_keeps_the_windows_age():
    w = world(here=2, at=10 * MINUTE).start(window_seconds=300)
    w.now = 13 * MINUTE
    w.run(2)
    assert w.ledger.written == []
    w.share.revoked([HERE])
    w.reader.assign(w.share, HERE)
    w.run(2)
    w.now = 15 * MINUTE - 1
    w.run(1)
    assert w.ledger.written == [], "five minutes after the bus took its first message"
    w.now, w.seconds = 15 * MINUTE, 5
    w.run(1)
    assert w.ledger.written == [(HERE, 0, 2)]


def test_catching_up_makes_no_tiny_files():
    w = world(here=10, at=MINUTE).start(window_seconds=300)
    w.now = 1000 * MINUTE
    for _ in range(10):
        w.run(1)
        w.seconds += 5
        assert w.ledger.written == []
    w.run(1)
    assert w.ledger.written == [(HERE, 0, 10)]


def test_a_poll_without_messages_of_a_partition_does_not_mean_that_it_is_caught_up():
    w = world(here=10, at=MINUTE).start(window_seconds=300)
    w.now = 1000 * MINUTE
    w.run(3)
    w.reader.pause([HERE])  # the bus has more, and gives nothing for a while
    for _ in range(10):
        w.share._paused = frozenset([HERE])
        w.seconds += 5
        w.reader.poll = lambda _timeout: []
        w.run(1)
        assert w.ledger.written == []


# --- stopping --------------------------------------------------------------------------------------


def test_a_stop_closes_open_windows_and_delivers_them():
    w = world(here=2, there=1).start()
    w.run(3)
    assert w.ledger.written == []
    w.share.close_all()
    w.share.finish()
    assert sorted(w.ledger.delivered) == [(HERE, 0), (HERE, 1), (THERE, 0)]
    assert w.share.is_idle


def test_a_stop_leaves_a_redo_as_it_is():
    w = world(here=3).start(window_bytes=10**6)
    w.run(2)
    w.putter.held_regions = {HERE.region}
    w.share.close_all()
    w.share.revoked([HERE])
    w.reader.assign(w.share, HERE)
    w.run(1)
    w.share.close_all()
    assert w.ledger.written == [(HERE, 0, 2)]
    assert w.ledger.delivered == []


def test_a_redone_windows_puts_are_known_to_be_repeated():
    w = world(here=2).start(**EACH_BY_ITSELF)
    w.putter.held_regions = {HERE.region}
    w.run(1)
    assert w.putter.redone == []
    w.share.revoked([HERE])
    w.reader.assign(w.share, HERE)
    w.putter.held_regions = set()
    w.run(4)
    assert w.putter.redone == [w.ledger.files[HERE.region][0].object_key]
    assert w.stored == events(HERE, 2)


def test_a_bus_that_does_not_answer_is_not_asked_again_at_once(monkeypatch):
    monkeypatch.setattr(partition_share, "_RETRY_SECONDS", 1.0)
    w = world(here=1).start(**EACH_BY_ITSELF)
    asked = []

    def poll(_timeout):
        asked.append(w.seconds)
        raise EventBusError("away")

    monkeypatch.setattr(w.reader, "poll", poll)
    for _ in range(5):
        w.run(1)
        w.seconds += 0.4
    assert asked == [0.0, pytest.approx(1.2)]
    assert 0 < w.share.waits <= 1


def test_a_hint_that_a_newer_owner_gave_while_we_stood_still_is_no_restored_ledger():
    """The process wakes up after step 1's write: the bus was told more since than this write knew."""
    running = world(here=2)
    own, hints = running.ledger.own, [None]

    def own_and_stand_still(*arguments):
        owned = own(*arguments)
        hints.append(CommittedPosition(9, "token:3"))
        return owned

    running.ledger.own = own_and_stand_still
    running.reader.committed = lambda _partition: hints[-1]
    running.start(**EACH_BY_ITSELF)
    assert running.halted_partitions() == 0


def test_what_cannot_be_delivered_is_kept_only_once_the_intent_says_so():
    running = world(here=1)
    running.reader.logs[HERE].append(Message(HERE, 1, 1_000, b"garbage"))
    running.store.create_bucket(SPOOL)
    running.ledger.fail("write_intent", StateError("away"), kept=False)
    running.start(window_seconds=3600)
    object.__setattr__(running.share._tools.puts, "spool", Spool(running.store, SPOOL))
    running.run(3)
    running.share.close_all()
    assert running.ledger.written == []
    assert list(running.store.list(SPOOL)) == [], "the next owner may be able to read it, and delivers it then"
    running.seconds += 2
    running.run(3)
    running.share.close_all()
    assert running.ledger.written == [(HERE, 0, 2)]
    assert [info.key for info in running.store.list(SPOOL)] == [f"poison/{HERE.region}/id-{HERE.region}/0/1"]


def test_who_delivers_a_redone_window_removes_the_copies_that_its_dead_owner_left():
    running = world(here=2)
    running.store.create_bucket(SPOOL)
    running.start(**EACH_BY_ITSELF)
    spool = Spool(running.store, SPOOL)
    object.__setattr__(running.share._tools.puts, "spool", spool)
    running.putter.held_regions.add(HERE.region)
    running.run(4)
    ((first, second),) = running.ledger.intents.values()
    for intent in (first, second):
        (file,) = intent.files
        spool.park(LogFilePut(*HERE, intent.number, file, b"copy"))
    running.share.revoked([HERE])
    running.putter.release()
    running.ledger.fail("deliver", StateError("away"), kept=False)
    running.reader.assign(running.share, HERE)
    running.run(1)
    assert running.ledger.delivered == []
    assert len(list(spool.held_files())) == 2, "not before the window is delivered"
    running.run(6)
    assert running.ledger.delivered == [(HERE, 0), (HERE, 1)]
    assert list(spool.held_files()) == []


def test_a_topic_made_anew_while_the_partition_stays_ours_is_noticed_before_an_intent_is_written():
    running = world(here=3)
    running.start(**EACH_BY_ITSELF)
    running.run(1)
    topic = running.reader.topic
    running.reader.topic = lambda region: replace(topic(region), id="made anew")
    running.run(3)
    assert running.ledger.written == [(HERE, 0, 1)]
    assert running.halted_partitions() == 1
    (reason,) = running.status.snapshot()["halted"].values()
    assert "made anew" in reason
    assert "opentrail settle" in reason
