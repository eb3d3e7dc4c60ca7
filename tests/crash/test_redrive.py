"""`opentrail redrive`: poison and dead letters are delivered after all, each event once, however often it is done."""

import uuid
from dataclasses import replace
from functools import partial

import pytest
from sqlalchemy import select

from opentrail.events import client_numbers
from opentrail_backends.event_bus.batches import MalformedBatch, peek, unpack
from opentrail_backends.event_bus.port import Partition
from opentrail_backends.object_store.in_memory import Refuse
from opentrail_backends.state import tables
from opentrail_delivery import client_book, window_build
from opentrail_delivery import redrive as redriving
from opentrail_delivery.redrive import Kept, Outcome, Redrive, RedriveRefused, RedriveTools
from opentrail_delivery.spool import Spool
from tests.crash.faults import Effect, Faulty, Step, Then
from tests.crash.operating import SPOOL, keep_messages, operated_world
from tests.crash.world import ACCOUNT, REGION, Crash, assert_exactly_once


@pytest.fixture
def world(tmp_path):
    with operated_world(tmp_path) as world:
        keep_messages(world)
        yield world


@pytest.fixture
def trail(world):
    return world.add_trail("trail")


@pytest.fixture
def broken_reader(monkeypatch):
    """A release that cannot read any batch; the next one can."""

    def read(_value):
        raise MalformedBatch("the reader of this release is broken")

    def mend():
        monkeypatch.setattr(window_build, "unpack", unpack)

    monkeypatch.setattr(window_build, "unpack", read)
    return mend


@pytest.fixture
def few_holes(monkeypatch):
    """An account keeps two holes."""
    monkeypatch.setattr(client_book, "bounded", partial(client_numbers.bounded, max_holes=2))


def held(world, why="poison"):
    return list(world.spool.held_messages(why))


def work_until(world, done):
    worker = world.worker()
    worker.run_until(done)
    worker.close()


def redrive(world, *kinds, spool=None, **options):
    tools = RedriveTools(event_bus=world.bus, ledger=world.state.ledger, spool=spool or world.spool)
    return list(Redrive(tools, **options).run(kinds or list(Kept)))


def finish(world, trail, expected):
    """Delivers all and judges the bucket."""
    worker = world.worker()
    worker.run_until_digested(trail, len(expected))
    last = world.publish(1)
    worker.run_until_digested(trail, len(expected) + 1)
    worker.close()
    assert_exactly_once(world.evidence(), [trail.name], [*expected, *last])


# --- poison -------------------------------------------------------------------------------------------


def test_poison_that_can_be_read_now_is_delivered(world, trail, broken_reader):
    published = world.publish(4) + world.publish(2)
    work_until(world, lambda: len(held(world)) == 2)
    broken_reader()
    assert [(one.outcome, one.events) for one in redrive(world)] == [(Outcome.SENT, 4), (Outcome.SENT, 2)]
    assert held(world) == []
    finish(world, trail, published)


def test_a_dry_run_changes_nothing(world, trail, broken_reader):
    world.publish(4)
    work_until(world, lambda: len(held(world)) == 1)
    broken_reader()
    assert [one.outcome for one in redrive(world, dry_run=True)] == [Outcome.SENT]
    assert len(held(world)) == 1
    assert end_of_log(world) == 1
    assert world.state.ledger.report_worker("old", {"batch": 1}).get("batch", 1) == 1


def end_of_log(world):
    return world.bus.lag("opentrail-delivery")[Partition(REGION, 0)][1].end


def test_poison_that_cannot_be_read_either_is_listed_and_left(world, trail):
    publisher = world.bus.publisher()
    publisher.publish(Partition(REGION, 0), b"k", b"no batch at all").result(10)
    publisher.close(5)
    work_until(world, lambda: len(held(world)) == 1)
    (one,) = redrive(world)
    assert (one.kept, one.outcome) == (Kept.POISON, Outcome.UNREADABLE)
    assert one.key == held(world)[0].key
    assert "OTEB" in one.reason


@pytest.mark.parametrize("numbered", [False, True])
def test_a_redrive_that_is_killed_and_repeated_delivers_once(world, trail, broken_reader, numbered):
    ids = [str(uuid.uuid4()) for _ in range(5)]
    numbers = {"client_id": uuid.uuid4().bytes, "numbers": range(5)} if numbered else {}
    world.put_on_bus(ids, **numbers)
    work_until(world, lambda: len(held(world)) == 1)
    broken_reader()
    fault = Faulty(world.store, Step(0, "delete", "store", "delete"), Effect.LOST, Then.DIES)
    with pytest.raises(Crash):
        redrive(world, spool=Spool(fault, SPOOL))
    assert len(held(world)) == 1
    redrive(world)
    assert end_of_log(world) == 3
    finish(world, trail, ids)


def test_what_its_client_sent_again_meanwhile_is_delivered_once(world, trail, broken_reader):
    client_id = uuid.uuid4().bytes
    ids = [str(uuid.uuid4()) for _ in range(5)]
    world.put_on_bus(ids, client_id=client_id, numbers=range(5))
    work_until(world, lambda: len(held(world)) == 1)
    broken_reader()
    world.put_on_bus(ids[2:], client_id=client_id, numbers=range(2, 5))
    redrive(world)
    finish(world, trail, ids)


def test_the_configuration_of_the_time_of_acceptance_governs(world, trail, broken_reader):
    """The trail has stopped since: it wanted the events when the bus took them. A later trail did not."""
    published = world.publish(3)
    work_until(world, lambda: len(held(world)) == 1)
    broken_reader()
    world.put_trail(replace(trail, is_logging=False))
    world.add_trail("later", s3_key_prefix="later")
    redrive(world)
    (message,) = [held_message for held_message in read_all(world) if held_message.offset == 1]
    assert peek(message.value).accepted_at == read_all(world)[0].append_time
    worker = world.worker()
    worker.run_until_digested(trail, 3)
    worker.close()
    assert sorted(world.evidence().event_ids("trail")) == sorted(published)
    assert world.evidence("later/").log_files == {}


def read_all(world):
    from opentrail_delivery.settle_reader import SettleReader

    keep = SettleReader(world.bus, "judge", 10)
    messages = list(keep.read(Partition(REGION, 0), 0, end_of_log(world)))
    keep.close()
    return messages


def test_what_is_older_than_the_configurations_that_are_kept_is_left_until_an_operator_says_so(
    world, trail, broken_reader, monkeypatch
):
    ids = world.publish(3)
    work_until(world, lambda: len(held(world)) == 1)
    broken_reader()
    monkeypatch.setattr(redriving, "_KEPT_MS", -1)
    (one,) = redrive(world)
    assert one.outcome is Outcome.TOO_OLD
    assert "--as-now" in one.reason
    assert len(held(world)) == 1
    assert end_of_log(world) == 1
    (one,) = redrive(world, as_now=True)
    assert (one.outcome, one.events) == (Outcome.SENT, 3)
    finish(world, trail, ids)


def test_it_refuses_while_workers_of_an_older_release_run(world, trail, broken_reader):
    world.publish(1)
    work_until(world, lambda: len(held(world)) == 1)
    broken_reader()
    world.state.ledger.report_worker("old", {"batch": 1, "intent": 1})
    with pytest.raises(RedriveRefused, match="older release"):
        redrive(world)
    assert len(held(world)) == 1
    world.state.ledger.remove_worker("old")
    assert [one.outcome for one in redrive(world)] == [Outcome.SENT]
    with world.state._transactions.reading() as connection:  # nobody waits for a redrive that has ended
        assert connection.execute(select(tables.worker.c.id).where(tables.worker.c.id.like("redrive%"))).all() == []


def test_a_bus_that_does_not_take_it_leaves_it_in_the_spool(world, trail, broken_reader):
    published = world.publish(2)
    work_until(world, lambda: len(held(world)) == 1)
    broken_reader()
    bus, world.bus = world.bus, _Refusing(world.bus)
    assert [one.outcome for one in redrive(world)] == [Outcome.FAILED]
    world.bus = bus
    assert len(held(world)) == 1
    redrive(world)
    finish(world, trail, published)


class _Refusing:
    """A bus whose publishers confirm nothing."""

    def __init__(self, bus):
        self._bus = bus

    def publisher(self):
        from concurrent.futures import Future

        from opentrail_backends.event_bus.port import PublishFailed

        publisher = self._bus.publisher()

        def publish(*_):
            future = Future()
            future.set_exception(PublishFailed("not confirmed"))
            return future

        publisher.publish = publish
        return publisher


# --- dead letters -------------------------------------------------------------------------------------


def test_of_dead_letters_the_surely_new_events_are_delivered_once(world, trail, few_holes):
    """Numbers 0 and 2 lie in holes that were given up, 1 was delivered; all come again, 2 even twice."""
    client_id = uuid.uuid4().bytes
    ids = [str(uuid.uuid4()) for _ in range(8)]
    for number in (1, 3, 5, 7):
        world.put_on_bus([ids[number]], client_id=client_id, numbers=[number])
    world.put_on_bus(ids[:3], client_id=client_id, numbers=range(3))
    world.put_on_bus(ids[2:4], client_id=client_id, numbers=[2, 3])
    work_until(world, lambda: len(held(world, "dead-letters")) == 2)
    assert world.spool.given_up(REGION, ACCOUNT, client_id) == [(0, 0), (2, 2)]
    first, second = sorted(redrive(world, Kept.DEAD_LETTERS), key=lambda one: -one.events)
    assert (first.outcome, first.events, first.repeats) == (Outcome.SENT, 2, 1)
    assert (second.outcome, second.events, second.repeats) == (Outcome.SENT, 1, 0)
    assert held(world, "dead-letters") == []
    expected = [ids[number] for number in (0, 1, 2, 3, 5, 7)]
    finish(world, trail, expected)


def test_dead_letters_of_which_all_was_delivered_are_dropped(world, trail, few_holes):
    client_id = uuid.uuid4().bytes
    ids = [str(uuid.uuid4()) for _ in range(8)]
    for number in (1, 3, 5, 7):
        world.put_on_bus([ids[number]], client_id=client_id, numbers=[number])
    world.put_on_bus([ids[1]], client_id=client_id, numbers=[1])
    work_until(world, lambda: len(held(world, "dead-letters")) == 1)
    end = end_of_log(world)
    (one,) = redrive(world)
    assert (one.outcome, one.events, one.repeats) == (Outcome.DROPPED, 0, 1)
    assert held(world, "dead-letters") == []
    assert end_of_log(world) == end


# --- parked -------------------------------------------------------------------------------------------


def test_expired_files_are_tried_again(world, trail):
    world.store.script("*_CloudTrail_*", Refuse("AccessDenied"), times=None)
    published = world.publish(3)
    work_until(world, lambda: len(world.state.ledger.parked_files(10)) == 1)
    assert world.state.ledger.expire_parked(-1) == 1
    world.store.clear_script()
    tools = RedriveTools(event_bus=world.bus, ledger=world.state.ledger, spool=world.spool)
    assert Redrive(tools, dry_run=True).retry_parked() == 1
    assert world.state.ledger.parked_files(10) == []
    assert Redrive(tools).retry_parked() == 1
    assert Redrive(tools).retry_parked() == 0
    finish(world, trail, published)
