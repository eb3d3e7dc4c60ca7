"""From the outbox to the bus: once each, in order, however often something fails."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from opentrail.trails.configuration import Kind
from opentrail_backends.state import open_state_store
from opentrail_backends.state.port import NewCall, NewChange, PendingCall, StateError, StateStore
from opentrail_control_plane.call_publisher import LEASE_MS, CallPublisher, batches
from opentrail_control_plane.event_intake import EventNumbers, IntakeThrottled, IntakeUnavailable, RejectedEvent
from opentrail_control_plane.metrics import ControlPlaneMetrics

ONE, OTHER = "111122223333", "444455556666"
HERE, THERE = "us-east-1", "eu-central-1"


class Intake:
    """A bus that keeps what it takes; answers by `answers` first, one for each batch."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, str, EventNumbers, int, list[dict]]] = []
        self.answers: list[Any] = []

    def accept(self, account_id: str, events: Any, region: str, numbers: Any = None, accepted_at: int = 0) -> Any:
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, Exception):
            raise answer
        self.taken.append((account_id, region, numbers, accepted_at, [json.loads(event) for event in events]))
        return answer or [json.loads(event)["eventID"] for event in events]

    @property
    def events(self) -> list[str]:
        return [event["eventID"] for *_, events in self.taken for event in events]


class World:
    def __init__(self) -> None:
        self.clock = SimpleNamespace(ms=1_767_225_600_000)
        self.state: StateStore = open_state_store("sqlite://", secret_key=bytes(32), clock=lambda: self.clock.ms)
        self.state.migrate()
        self.intake = Intake()
        self.registry = CollectorRegistry()
        metrics = ControlPlaneMetrics(self.registry)
        self.publisher = CallPublisher(self.state, self.intake, metrics, lambda: self.clock.ms / 1000)

    def call(self, account_id: str = ONE, region: str = HERE) -> NewCall:
        return NewCall(account_id, region, json.dumps({"eventID": str(uuid.uuid4())}).encode())

    def record(self, *calls: NewCall) -> list[str]:
        self.state.calls.record(calls)
        return [json.loads(call.record)["eventID"] for call in calls]

    def change(self, *calls: NewCall) -> list[str]:
        self.state.configuration.apply([NewChange(Kind.ACCOUNT, ONE, {"name": str(uuid.uuid4())})], calls=calls)
        return [json.loads(call.record)["eventID"] for call in calls]

    def lease_ends(self) -> None:
        self.clock.ms += LEASE_MS + 1

    def metric(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(f"opentrail_control_plane_own_calls_{name}_total", labels) or 0.0


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    made = World()
    monkeypatch.setattr(made.publisher._stopping, "wait", lambda _seconds: False)
    yield made
    made.state.close()


def test_calls_are_published_once_under_numbers_in_a_row(world: World) -> None:
    ids = world.record(*(world.call() for _ in range(3))) + world.record(world.call())
    assert world.publisher.publish_claimed() == 4
    assert world.intake.events == ids
    [(account_id, region, numbers, accepted_at, _)] = world.intake.taken
    assert (account_id, region, numbers.first, accepted_at) == (ONE, HERE, 0, 0)
    assert len(numbers.client_id) == 16
    world.lease_ends()
    assert world.publisher.publish_claimed() == 0
    assert world.metric("published") == 4


def test_each_account_and_region_has_batches_of_its_own(world: World) -> None:
    world.record(world.call(), world.call(OTHER), world.call(ONE, THERE), world.call())
    world.publisher.publish_claimed()
    assert [(account, region, len(events)) for account, region, _, _, events in world.intake.taken] == [
        (ONE, THERE, 1),
        (ONE, HERE, 2),
        (OTHER, HERE, 1),
    ]
    clients = {numbers.client_id for _, _, numbers, _, _ in world.intake.taken}
    assert len(clients) == 3


def test_calls_are_judged_by_the_time_of_their_answer_and_their_place_is_kept(world: World) -> None:
    first, last = world.record(world.call()), []
    changed = world.change(world.call())
    last = world.record(world.call())
    world.publisher.publish_claimed()
    assert world.intake.events == first + changed + last
    judged = [accepted_at for _, _, _, accepted_at, _ in world.intake.taken]
    made = world.state.configuration.changes_after(0)[-1]
    assert judged == [0, made.effective_at - 1, made.effective_at]
    assert [numbers.first for _, _, numbers, _, _ in world.intake.taken] == [0, 1, 2]


def test_it_waits_until_every_worker_knows_when_events_were_accepted(world: World) -> None:
    world.state.ledger.report_worker("old", {"batch": 1, "intent": 1})
    before = world.record(world.call())
    changed = world.change(world.call())
    after = world.record(world.call())
    elsewhere = world.record(world.call(OTHER))
    world.publisher.publish_claimed()
    assert world.intake.events == before
    assert world.metric("failures", why="format") == 2, "of each account"
    world.state.ledger.remove_worker("old")
    world.lease_ends()
    world.publisher.publish_claimed()
    assert world.intake.events == before + changed + after + elsewhere


def test_asking_which_formats_are_known_holds_back_no_other_format(world: World) -> None:
    world.state.ledger.report_worker("worker", {"batch": 2, "intent": 1})
    world.change(world.call())
    world.publisher.publish_claimed()
    assert world.state.ledger.report_worker("worker", {"batch": 2, "intent": 2})["intent"] == 2


def test_asking_which_formats_are_known_switches_on_no_other_format(world: World) -> None:
    world.change(world.call())
    world.publisher.publish_claimed()
    assert world.state.ledger.report_worker("worker", {}) == {"batch": 2}


def test_what_was_published_before_a_crash_is_sent_again_with_the_same_numbers(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.record(world.call(), world.call())
    with monkeypatch.context() as crash:
        crash.setattr(world.state.calls, "done", lambda _ids: (_ for _ in ()).throw(StateError("gone")))
        with pytest.raises(StateError):
            world.publisher.publish_claimed()
    assert world.publisher.publish_claimed() == 0, "claimed"
    world.lease_ends()
    assert world.publisher.publish_claimed() == 2
    first, second = world.intake.taken
    assert first == second


def test_a_bus_that_is_away_is_asked_again_until_half_the_lease_is_over(world: World) -> None:
    ids = world.record(world.call())
    world.intake.answers = [IntakeUnavailable("away")] * 3
    assert world.publisher.publish_claimed() == 1
    assert world.intake.events == ids
    assert world.metric("failures", why="unavailable") == 3
    waits = []

    def wait(_seconds: float) -> bool:
        waits.append(1)
        world.clock.ms += 1_000
        return False

    world.publisher._stopping.wait = wait  # type: ignore[method-assign]
    world.record(world.call(), world.call(OTHER))
    world.intake.answers = [IntakeUnavailable("away")] * 1_000
    assert world.publisher.publish_claimed() == 0
    assert len(waits) == LEASE_MS / 2_000
    world.intake.answers = []
    world.lease_ends()
    assert world.publisher.publish_claimed() == 2


def test_an_account_that_is_held_back_holds_back_nobody_else_and_keeps_its_order(world: World) -> None:
    ids = world.record(world.call())
    ids += world.change(world.call())
    others = world.record(world.call(OTHER))
    world.intake.answers = [IntakeThrottled("its share of the spool is used up", 30.0)]
    assert world.publisher.publish_claimed() == 1
    assert world.intake.events == others
    ids += world.record(world.call())
    assert world.publisher.publish_claimed() == 0, "older ones are claimed"
    world.lease_ends()
    assert world.publisher.publish_claimed() == 3
    assert world.intake.events == others + ids


@pytest.mark.parametrize("refused", [[RejectedEvent("INVALID_FIELD", "our bug"), "id"], ValueError("no such region")])
def test_what_the_intake_refuses_is_dropped_and_counted(
    world: World, refused: Any, caplog: pytest.LogCaptureFixture
) -> None:
    world.record(world.call(), world.call())
    world.intake.answers = [refused]
    world.publisher.publish_claimed()
    lost = 2 if isinstance(refused, ValueError) else 1
    assert (world.metric("rejected"), world.metric("published")) == (lost, 2 - lost)
    assert "is lost" in caplog.text
    world.lease_ends()
    assert world.publisher.publish_claimed() == 0


def test_the_thread_publishes_what_comes_and_at_the_end_what_is_there() -> None:
    world = World()
    world.publisher.start()
    ids = world.record(world.call())
    world.publisher.stop(30)
    assert world.intake.events == ids
    world.state.close()


def test_the_thread_outlives_faults_and_a_store_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    failures: list[Exception] = [StateError("away"), ZeroDivisionError("a bug")]
    claim = world.state.calls.claim

    def failing(limit: int, lease_ms: int) -> Any:
        if failures:
            raise failures.pop(0)
        return claim(limit, lease_ms)

    monkeypatch.setattr(world.state.calls, "claim", failing)
    monkeypatch.setattr("opentrail_control_plane.call_publisher._IDLE_SECONDS", 0.001)
    ids = world.record(world.call())
    world.publisher.start()
    while not world.intake.events:
        assert world.publisher._thread.is_alive()
    world.publisher.stop(30)
    assert world.intake.events == ids
    assert (world.metric("failures", why="state"), world.metric("failures", why="fault")) == (1, 1)
    world.state.close()


def pending(number: int, **changes: Any) -> PendingCall:
    values: dict[str, Any] = {
        "id": number, "account_id": ONE, "region": HERE, "client_id": bytes(16), "number": number, "judged_at": 0,
        "record": b"{}",
    }  # fmt: skip
    return PendingCall(**(values | changes))


@pytest.mark.parametrize(
    "second",
    [
        pending(3),
        pending(2, client_id=bytes([1]) * 16),
        pending(2, judged_at=5),
        pending(2, account_id=OTHER),
        pending(2, region=THERE),
        pending(2, record=b"x" * 4 * 1024 * 1024),
    ],
)
def test_what_cannot_be_one_batch(second: PendingCall) -> None:
    first = pending(1)
    assert [len(batch) for batch in batches([first, second])] == [1, 1]
    assert [len(batch) for batch in batches([first, pending(2)])] == [2]
    assert list(batches([])) == []
