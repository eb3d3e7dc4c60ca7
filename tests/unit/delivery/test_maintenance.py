"""Conditions: unmet at the start, later, and met again; formats of several releases; what is shown and forgotten."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from opentrail_backends.event_bus.port import Bounds, CommittedPosition, EventBusError, Partition
from opentrail_backends.state.port import ClientsOfAccount, ParkedOfTrail, SpoolUsage, StateError
from opentrail_delivery.errors import ConditionsUnmet, DeliveryHalted
from opentrail_delivery.maintenance import FORMATS, Maintenance, MaintenanceTools
from opentrail_delivery.metrics import DeliveryMetrics
from opentrail_delivery.settings import DeliverySettings
from opentrail_delivery.status import DeliveryStatus
from tests.unit.delivery.putting import Clock

HERE = Partition("eu-central-1", 0)
KNOWN = {"batch": 2, "intent": 1}


class Ledger:
    """What the ledger says, and which workers it knows."""

    def __init__(self):
        self.time = 1_000_000
        self.rows = [{"region": HERE.region, "partition": HERE.number, "next_offset": 10}]
        self.workers = {}
        self.on = {}

    def now(self):
        return self.time

    def windows(self):
        return self.rows

    def report_worker(self, worker_id, formats):
        self.workers[worker_id] = dict(formats)
        for kind in formats:
            known = min(worker.get(kind, 0) for worker in self.workers.values())
            self.on[kind] = max(self.on.get(kind, 0), known)
        return dict(self.on)

    def remove_worker(self, worker_id):
        self.workers.pop(worker_id, None)

    def clients(self):
        fields = {"region": HERE.region, "account_id": "a", "clients": 1, "repeats": 4}
        return [ClientsOfAccount(missing=n, given_up=10 * n, **fields) for n in (1, 2)]

    def spool_usage(self):
        return SpoolUsage(123, {})

    def parked_by_trail(self):
        fields = {"trail_arn": "t", "region": HERE.region, "files": 9, "size": 9, "oldest_parked_at": 1, "error": None}
        return [ParkedOfTrail(incarnation=str(n), expired=n, **fields) for n in (1, 2)]


class World:
    """A process that maintains itself."""

    def __init__(self, ledger=None, formats=KNOWN):
        self.clock = Clock()
        self.ledger = ledger or Ledger()
        self.bus_unmet, self.state_unmet, self.worker_time = [], [], 1_000_000
        self.committed = CommittedPosition(10, "")
        self.forgotten, self.forget_calls = [], []
        self.failure = None
        self.metrics, self.status = DeliveryMetrics(), DeliveryStatus()
        state = SimpleNamespace(ledger=self.ledger, unmet_conditions=lambda: self.state_unmet, forget=self._forget)
        bus = SimpleNamespace(
            unmet_conditions=self._bus_conditions, lag=lambda _group: {HERE: (self.committed, Bounds(0, 50))}
        )
        self.maintenance = Maintenance(
            MaintenanceTools(
                event_bus=bus,
                state_store=state,
                settings=DeliverySettings(),
                metrics=self.metrics,
                status=self.status,
                clock=lambda: self.worker_time,
                formats=formats,
                monotonic=self.clock,
            )
        )

    def _bus_conditions(self):
        if self.failure:
            raise self.failure
        return self.bus_unmet

    def _forget(self, kept_ms, limit):
        self.forget_calls.append((self.clock.now, kept_ms, limit))
        return self.forgotten.pop(0) if self.forgotten else 0

    def pass_time(self, seconds):
        self.clock.now += seconds
        self.maintenance.run_once()

    def value(self, name, **labels):
        return self.metrics.registry.get_sample_value(f"opentrail_delivery_{name}", labels)


@pytest.fixture
def world():
    return World()


def unmet_in_each_way(world):
    world.bus_unmet = ["the topic keeps messages for an hour only: set retention.ms"]
    world.state_unmet = ["synchronous_commit is off: switch it on"]
    world.worker_time = 1_500_000
    world.committed = CommittedPosition(11, "token:5")


def test_a_process_whose_conditions_are_unmet_does_not_start_and_says_all_of_them(world):
    unmet_in_each_way(world)
    with pytest.raises(ConditionsUnmet) as caught:
        world.maintenance.start()
    assert isinstance(caught.value, DeliveryHalted)
    text = str(caught.value)
    assert "retention.ms" in text
    assert "synchronous_commit" in text
    assert "500 s off" in text
    assert "opentrail settle" in text
    assert len(caught.value.sentences) == 4
    assert not world.maintenance.may_work
    assert world.ledger.workers == {}, "nobody waits for a worker that did not start"


def test_a_store_that_cannot_be_asked_at_the_start_is_told(world):
    world.failure = EventBusError("away")
    with pytest.raises(EventBusError):
        world.maintenance.start()
    assert world.ledger.workers == {}


def test_conditions_are_checked_hourly_and_while_unmet_each_minute(world, capsys):
    world.maintenance.start()
    assert world.maintenance.may_work
    unmet_in_each_way(world)
    world.committed = None  # a ledger that went back would be noticed within a minute
    world.pass_time(3599)
    assert world.maintenance.may_work
    world.pass_time(1)
    assert not world.maintenance.may_work
    assert world.value("unmet_conditions") == 3
    assert "retention.ms" in world.status.snapshot()["halted"]["this process"]
    world.bus_unmet, world.state_unmet, world.worker_time = [], [], 1_000_000
    world.pass_time(59)
    assert not world.maintenance.may_work
    world.pass_time(1)
    assert world.maintenance.may_work
    assert world.value("unmet_conditions") == 0
    assert world.status.snapshot()["halted"] == {}


def test_what_cannot_be_asked_later_changes_nothing_and_is_asked_again(world):
    world.maintenance.start()
    world.failure = EventBusError("away")
    world.pass_time(3600)
    assert world.maintenance.may_work
    world.failure = None
    unmet_in_each_way(world)
    world.pass_time(60)
    assert not world.maintenance.may_work


@pytest.mark.parametrize(
    ("committed", "rows", "gone_back"),
    [
        (None, [], False),
        (CommittedPosition(0, ""), [], False),
        (CommittedPosition(1, ""), [], True),
        (CommittedPosition(10, ""), [{"region": HERE.region, "partition": 0, "next_offset": 10}], False),
        (CommittedPosition(11, ""), [{"region": HERE.region, "partition": 0, "next_offset": 10}], True),
        (CommittedPosition(11, ""), [{"region": "us-east-1", "partition": 0, "next_offset": 99}], True),
    ],
)
def test_a_ledger_that_went_back_in_any_partition_is_noticed(world, committed, rows, gone_back):
    world.committed, world.ledger.rows = committed, rows
    if not gone_back:
        world.maintenance.start()
        return
    with pytest.raises(ConditionsUnmet, match="restored from a backup"):
        world.maintenance.start()


# --- releases side by side ------------------------------------------------------------------------


def test_a_ledger_that_is_restored_under_a_living_process_is_noticed_within_a_minute(world):
    world.maintenance.start()
    world.maintenance.run_once()
    world.ledger.rows[0]["next_offset"] = 3
    world.clock.now += 59
    world.maintenance.run_once()
    assert world.maintenance.may_work
    world.clock.now += 1
    world.maintenance.run_once()
    assert not world.maintenance.may_work


def test_a_format_is_switched_on_once_all_workers_know_it():
    ledger = Ledger()
    old, new = World(ledger, {"batch": 1, "intent": 1}), World(ledger, KNOWN)
    old.maintenance.start()
    new.maintenance.start()
    new.maintenance.run_once()
    assert new.value("format", kind="batch") == 1
    old.maintenance.stop()
    new.pass_time(60)
    assert new.value("format", kind="batch") == 2
    assert new.maintenance.may_work


def test_an_older_worker_stops_loudly_when_a_newer_format_is_on():
    ledger = Ledger()
    old, new = World(ledger, {"batch": 1, "intent": 1}), World(ledger, KNOWN)
    new.maintenance.start()
    with pytest.raises(ConditionsUnmet, match="format 2 of each batch is switched on, this release knows 1: upgrade"):
        old.maintenance.start()
    assert new.maintenance.may_work


def test_a_worker_that_was_away_while_a_format_was_switched_on_stops_within_a_minute():
    ledger = Ledger()
    old = World(ledger, {"batch": 1, "intent": 1})
    old.maintenance.start()
    ledger.on = {"batch": 2}
    old.pass_time(60)
    assert not old.maintenance.may_work
    assert "upgrade this worker" in old.status.snapshot()["halted"]["this process"]


def test_this_release_knows_both_formats_of_batches():
    assert FORMATS == KNOWN


# --- showing and forgetting -----------------------------------------------------------------------


def test_it_shows_that_it_lives_each_minute_and_what_is_kept(world):
    world.maintenance.start()
    world.maintenance.run_once()
    assert world.value("missing_numbers") == 3
    assert world.value("given_up_numbers") == 30
    assert world.value("parked_bytes") == 123
    assert world.value("expired_files") == 3
    world.ledger.workers.clear()
    world.pass_time(59)
    assert world.ledger.workers == {}
    world.pass_time(1)
    assert list(world.ledger.workers) == [world.maintenance.worker_id]
    world.maintenance.stop()
    assert world.ledger.workers == {}


def test_rows_are_forgotten_hourly_and_sooner_while_there_are_many(world):
    world.maintenance.start()
    world.forgotten = [5_000, 7_000, 3]
    for _ in range(4):
        world.pass_time(1)
    assert [at - world.forget_calls[0][0] for at, _, _ in world.forget_calls] == [0, 1, 2]
    assert world.forget_calls[0][1:] == (35 * 24 * 3600 * 1000, 5_000)
    world.pass_time(3590)
    assert len(world.forget_calls) == 3
    world.pass_time(10)
    assert len(world.forget_calls) == 4


def test_nothing_is_forgotten_while_a_condition_is_unmet(world):
    world.maintenance.start()
    world.forget_calls.clear()
    unmet_in_each_way(world)
    world.maintenance._forget_at = 1e12
    world.pass_time(3600)
    world.maintenance._forget_at = 0
    world.pass_time(1)
    assert world.forget_calls == []


def test_a_state_store_that_is_away_is_no_reason_to_end(world):
    world.maintenance.start()

    def away(*_):
        raise StateError("away")

    world.ledger.report_worker = world.ledger.remove_worker = away
    world.pass_time(60)
    world.maintenance.stop()
    assert world.maintenance.may_work
