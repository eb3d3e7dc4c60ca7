"""Reading no more than memory allows; a partition's trouble stays its own; starting again at step 1."""

from __future__ import annotations

from dataclasses import replace

import pytest

from opentrail_backends.event_bus.port import EventBusError
from opentrail_backends.state.port import KnownTopic, Lease, OutcomeUnknown, StateError
from opentrail_delivery import partition_share
from tests.unit.delivery.delivery_fakes import HERE, THERE, message
from tests.unit.delivery.share_world import EACH_BY_ITSELF, events, world


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    monkeypatch.setattr(partition_share, "_RETRY_SECONDS", 0.0)


# --- memory ---------------------------------------------------------------------------------------


def test_when_memory_is_short_nothing_is_read_and_the_largest_open_window_is_closed_until_puts_are_done():
    large = 4000
    w = world(here=2, there=2, size=large).start(memory_bytes=large // 2)
    w.putter.held_regions = {HERE.region, THERE.region}

    w.run(1)
    assert sorted(w.reader.given) == [(HERE, 0), (THERE, 0)]
    assert w.ledger.written == []
    w.run(1)
    assert w.ledger.written == [(HERE, 0, 1)], "the largest window first"
    assert w.reader.paused == {HERE, THERE}
    w.run(1)
    assert w.ledger.written == [(HERE, 0, 1), (THERE, 0, 1)], "still too much: the next largest"
    w.run(5)
    assert len(w.reader.given) == 2
    assert w.reader.paused == {HERE, THERE}

    w.putter.release()
    w.run(1)
    assert sorted(w.ledger.delivered) == [(HERE, 0), (THERE, 0)]
    w.run(1)
    assert sorted(w.reader.given) == [(HERE, 0), (HERE, 1), (THERE, 0), (THERE, 1)]


def test_a_partition_that_is_assigned_anew_while_memory_is_short_is_held_back_too():
    w = world(here=3, there=3).start(memory_bytes=1)
    w.putter.held_regions = {THERE.region}
    w.run(4)
    assert w.reader.paused == {HERE, THERE}
    w.share.revoked([HERE])
    w.reader.assign(w.share, HERE)
    given = list(w.reader.given)
    w.run(4)
    assert w.reader.paused == {HERE, THERE}
    assert w.reader.given == given


def test_whatever_comes_memory_is_exceeded_by_no_more_than_one_poll():
    w = world(here=30, there=30).start(memory_bytes=5_000)
    most = max(len(sent.value) for log in w.reader.logs.values() for sent in log)
    for _ in range(200):
        w.run(1)
        assert sum(delivery.held_bytes for delivery in w.share._deliveries.values()) <= 5_000 + 2 * most
    assert len(w.reader.given) == 60


def test_a_partition_with_too_many_closed_windows_is_paused_alone():
    w = world(here=5, there=5).start(windows_in_flight=2, **EACH_BY_ITSELF)
    w.putter.held_regions = {HERE.region}
    w.run(12)
    assert w.reader.paused == {HERE}
    assert [offset for partition, offset in w.reader.given if partition == HERE] == [0, 1]
    assert w.ledger.delivered == [(THERE, n) for n in range(5)]

    w.putter.release()
    w.run(12)
    assert w.reader.paused == set()
    assert [offset for partition, offset in w.ledger.delivered if partition == HERE] == [0, 1, 2, 3, 4]
    assert w.stored == sorted(events(HERE, 5) + events(THERE, 5))


# --- one partition's trouble ----------------------------------------------------------------------


def assert_halted_alone(w, reason):
    assert w.reader.paused == {HERE}
    assert w.stored == events(THERE, 3)
    assert list(w.status.snapshot()["halted"]) == ["partition eu-central-1/0"]
    assert reason in w.status.snapshot()["halted"]["partition eu-central-1/0"]
    assert w.halted_partitions() == 1


def test_a_partition_that_halts_at_step_1_stays_paused_and_the_others_go_on():
    w = world(here=3, there=3)
    w.ledger.topics[HERE.region] = KnownTopic("another topic", 1)
    w.start(**EACH_BY_ITSELF)
    w.run(10)
    assert_halted_alone(w, "made anew")
    assert w.ledger.leases.keys() == {THERE}, "its epoch was not raised"


def test_a_log_that_grew_while_the_partition_was_taken_over_is_not_held_to_be_cut(monkeypatch):
    """The owner before went on between our look at the log and the raising of the epoch: the ledger is newer."""
    w = world(here=1)
    own = w.ledger.own

    def own_after_the_other_went_on(region, partition, start_offset):
        w.reader.logs[HERE].append(message(HERE, 1))
        w.ledger.leases[region, partition] = Lease(region, partition, 1, "the other", 0, 2)
        monkeypatch.setattr(w.ledger, "own", own)
        return own(region, partition, start_offset)

    monkeypatch.setattr(w.ledger, "own", own_after_the_other_went_on)
    w.start()
    assert w.halted_partitions() == 0
    assert w.reader.positions[HERE] == 2


def test_a_partition_whose_redo_gives_other_files_stays_paused_and_the_others_go_on():
    w = world(here=3, there=3).start(**EACH_BY_ITSELF)
    w.ledger.fail("write_intent", OutcomeUnknown("no answer"), kept=True)
    w.ledger.fail("own", StateError("away"))
    w.putter.held_regions = {THERE.region}
    w.run(1)
    (intent,) = w.ledger.intents[HERE.region]
    w.ledger.intents[HERE.region] = [replace(intent, files=[replace(intent.files[0], sha256="0" * 64)])]
    w.putter.release()
    w.run(12)
    assert_halted_alone(w, "gives other files")
    assert all("eu-central-1" not in attempt.key for attempt in w.store.attempts), "nothing was put"


def test_a_partition_whose_messages_were_deleted_stays_paused_and_the_others_go_on():
    w = world(here=3, there=3).start(**EACH_BY_ITSELF)
    w.reader.starts[HERE] = 1
    w.run(12)
    assert_halted_alone(w, "deleted before they were delivered")


def test_a_defect_in_a_partition_stays_there():
    w = world(here=3, there=3).start(**EACH_BY_ITSELF)
    w.ledger.fail("write_intent", KeyError("a defect"))
    w.run(12)
    assert_halted_alone(w, "an error of OpenTrail itself: KeyError")


def test_a_halted_partition_that_is_taken_from_us_is_no_longer_told():
    w = world(here=3, there=3)
    w.ledger.topics[HERE.region] = KnownTopic("another topic", 1)
    w.start(**EACH_BY_ITSELF)
    del w.reader.positions[HERE]
    w.share.revoked([HERE])
    assert w.status.snapshot()["halted"] == {}
    assert w.halted_partitions() == 0


def test_a_lost_partition_is_left_alone_until_it_is_assigned_anew():
    w = world(here=3, there=3).start(**EACH_BY_ITSELF)
    w.ledger.own(*HERE, 0)  # another owner
    w.run(12)
    assert w.reader.paused == {HERE}
    assert w.stored == events(THERE, 3)
    assert w.ledger.leases[HERE].epoch == 2, "the epoch is not raised against the new owner"
    assert w.metrics.registry.get_sample_value("opentrail_delivery_lost_partitions_total") == 1

    w.reader.assign(w.share, HERE)
    w.run(12)
    assert w.ledger.leases[HERE].epoch == 3
    assert w.stored == events(HERE, 3) + events(THERE, 3)


# --- step 1 again ---------------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["write_intent", "deliver"])
@pytest.mark.parametrize("kept", [False, True], ids=["lost", "kept"])
def test_after_a_write_with_an_unknown_outcome_the_partition_starts_again_at_step_1(call, kept):
    w = world(here=3, there=3).start(**EACH_BY_ITSELF)
    w.putter.held_regions = {THERE.region} if call == "deliver" else set()  # so that it is HERE's write
    w.ledger.fail(call, OutcomeUnknown("no answer"), kept=kept)
    w.run(6)
    w.putter.release()
    w.run(12)
    assert w.ledger.leases[HERE].epoch == 2
    assert w.ledger.leases[THERE].epoch == 1
    assert w.stored == events(HERE, 3) + events(THERE, 3)
    assert sorted(w.ledger.delivered) == [(p, n) for p in (HERE, THERE) for n in range(3)]
    assert w.reader.paused == set()


def test_a_partition_that_cannot_be_owned_yet_is_tried_again():
    w = world(here=3, there=3)
    for error in (StateError("away"), EventBusError("away"), StateError("away")):
        w.ledger.fail("own", error)
    w.start(**EACH_BY_ITSELF)
    w.run(12)
    assert w.stored == events(HERE, 3) + events(THERE, 3)
    assert w.status.snapshot()["halted"] == {}


def test_a_partition_that_went_before_its_retry_is_not_owned():
    w = world(here=3, there=3)
    w.ledger.fail("own", StateError("away"))
    w.start(**EACH_BY_ITSELF)
    del w.reader.positions[HERE]
    w.share.lost([HERE])
    w.run(8)
    assert w.ledger.leases.keys() == {THERE}
