"""Which class an operation is of, and how a refusal is remembered; the counting itself is the state store's."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from opentrail_backends.state.port import StateError, Taken
from opentrail_control_plane import rates as module
from opentrail_control_plane.control_plane import ControlPlane
from opentrail_control_plane.errors import ApiError
from opentrail_control_plane.model import operation_names
from opentrail_control_plane.rates import LIMITS, NO_LIMITS, Limit, Rates, operation_class
from tests.unit.control_plane.conftest import MANAGEMENT, MEMBER, PORTS, Api


class Store:
    """Answers as it is told, and notes what it was asked."""

    def __init__(self, *waits: int) -> None:
        self.waits = list(waits)
        self.asked: list[tuple] = []

    def take(self, *request: Any) -> Taken:
        self.asked.append(request)
        wait = self.waits.pop(0) if self.waits else 0
        return Taken(0 if wait else request[-1], wait)


class SlowStore:
    """Holds its first question back until so many requests are in line; then takes `left` of them, or fails."""

    def __init__(self, left: int | StateError) -> None:
        self.left = left
        self.first_asked = threading.Event()
        self.answering = threading.Event()
        self.wanted: list[int] = []

    def take(self, *request: Any) -> Taken:
        self.wanted.append(request[-1])
        if len(self.wanted) == 1:
            self.first_asked.set()
            assert self.answering.wait(10)
            return Taken(1, 0)
        if isinstance(self.left, StateError):
            raise self.left
        taken = min(self.left, request[-1])
        self.left -= taken
        return Taken(taken, 0 if taken == request[-1] else 500)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def is_taken(rates: Rates, operation: str = "GetTrail", account: str = MANAGEMENT, region: str = "us-east-1") -> bool:
    try:
        rates.take(account, region, "cloudtrail", operation)
    except ApiError:
        return False
    return True


@pytest.mark.parametrize(
    ("operations", "limit"),
    [
        (("GetTrail", "ListTrails", "DescribeTrails", "GetTrailStatus", "SearchSampleQueries"), Limit(10)),
        (("RegisterOrganizationDelegatedAdmin", "DeregisterOrganizationDelegatedAdmin"), Limit(10)),
        (("CreateTrail", "UpdateTrail", "DeleteTrail", "StartLogging", "StopLogging"), Limit(1)),
        (("AddTags", "RemoveTags", "PutEventSelectors", "PutInsightSelectors", "CreateChannel"), Limit(1)),
        (("LookupEvents", "ListInsightsData"), Limit(2)),
        (("StartQuery", "CancelQuery"), Limit(3)),
        (("GenerateQuery",), Limit(4, 60_000)),
        (("PutAuditEvents",), Limit(100)),
        (("ListInsightsMetricData",), Limit(1)),
    ],
)
def test_the_limits_are_cloudtrails(operations: tuple[str, ...], limit: Limit) -> None:
    classes = {operation_class("cloudtrail", name) for name in operations}
    assert [LIMITS[name] for name in classes] == [limit]


def test_metrics_of_insights_are_not_counted_with_writes() -> None:
    assert operation_class("cloudtrail", "ListInsightsMetricData") != operation_class("cloudtrail", "StopLogging")


def test_every_operation_has_a_limit() -> None:
    for service in ("cloudtrail", "cloudtrail-data", "organizations", "sts"):
        assert all(operation_class(service, name) in LIMITS for name in operation_names(service))


def test_each_account_region_and_class_counts_by_itself() -> None:
    store = Store()
    rates = Rates(store)
    is_taken(rates)
    is_taken(rates, "StopLogging", MEMBER, "eu-central-1")
    assert store.asked == [
        (MANAGEMENT, "us-east-1", "read", 10, 1_000, 1),
        (MEMBER, "eu-central-1", "write", 1, 1_000, 1),
    ]


@pytest.mark.parametrize("left", [0, 3, 5])
def test_what_comes_while_the_store_is_asked_is_in_the_next_question(left: int) -> None:
    store = SlowStore(left)
    rates = Rates(store, clock=Clock())
    answers = taken_together(rates, store, 5)
    assert [answer.result() for answer in answers].count(True) == left
    assert store.wanted == [1, 5]
    assert not is_taken(rates)
    assert len(store.wanted) == (3 if left == 5 else 2), "a refusal is remembered"


def test_a_failure_of_the_store_is_that_of_all_it_was_asked_for() -> None:
    store = SlowStore(StateError("gone"))
    answers = taken_together(Rates(store), store, 3)
    assert store.wanted == [1, 3]
    assert [str(answer.exception()) for answer in answers] == ["gone"] * 3


def taken_together(rates: Rates, store: SlowStore, count: int) -> list[Future[bool]]:
    """Requests of one account that come while the store is asked for an earlier one."""
    with ThreadPoolExecutor(count + 1) as threads:
        first = threads.submit(is_taken, rates)
        assert store.first_asked.wait(10)
        answers = [threads.submit(is_taken, rates) for _ in range(count)]
        while len(next(iter(rates._lines.values())).waiting) < count:
            time.sleep(0.001)
        store.answering.set()
        assert first.result() is True
    return answers


def test_who_was_refused_is_refused_until_then_without_asking() -> None:
    store, clock = Store(400, 0), Clock()
    rates = Rates(store, clock=clock)
    assert [is_taken(rates), is_taken(rates)] == [False, False]
    clock.now += 0.399
    assert not is_taken(rates)
    assert len(store.asked) == 1
    clock.now += 0.002
    assert is_taken(rates)
    assert len(store.asked) == 2


def test_a_refusal_is_the_one_that_clients_retry() -> None:
    with pytest.raises(ApiError, match="Rate exceeded") as refusal:
        Rates(Store(1)).take(MANAGEMENT, "us-east-1", "cloudtrail", "GetTrail")
    assert (refusal.value.status, refusal.value.code) == (400, "ThrottlingException")


def test_a_refusal_is_of_one_account_region_and_class() -> None:
    rates = Rates(Store(60_000), clock=Clock())
    assert not is_taken(rates)
    assert is_taken(rates, "StopLogging")
    assert is_taken(rates, account=MEMBER)
    assert is_taken(rates, region="eu-central-1")
    assert not is_taken(rates, "ListTrails")


def test_refusals_take_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_REMEMBERED", 3)
    clock = Clock()
    rates = Rates(Store(*[1_000] * 10), clock=clock)
    for number in range(3):
        is_taken(rates, account=f"{number}")
    clock.now += 2.0
    is_taken(rates, account="3")
    assert [account for account, *_ in rates._refused_until] == ["3"]
    for number in range(4, 8):
        is_taken(rates, account=f"{number}")
        assert len(rates._refused_until) <= 3


def test_without_limits_nothing_is_counted() -> None:
    store = Store(1_000)
    assert is_taken(Rates(store, NO_LIMITS))
    assert store.asked == []


def test_a_throttled_request_reaches_no_operation_and_an_unsigned_one_takes_nothing(api: Api) -> None:
    state = api.control_plane._state
    throttled = Api(ControlPlane(state, time.time, PORTS, limits={"read": Limit(2, 60_000)}))
    for _ in range(5):
        assert throttled.refused("ListTrails", secret="wrong")[1] == "InvalidSignatureException"
    answers = [throttled.raw("ListTrails", b"{}").status for _ in range(4)]
    assert answers == [200, 200, 400, 400]
    assert throttled.refused("GetTrail", {"Name": 7})[1] == "ThrottlingException"
    assert throttled.raw("ListTrails", b"{}", region="eu-central-1").status == 200
    assert throttled.raw("ListTrails", b"{}", account_id=MEMBER).status == 200


def test_a_request_that_is_refused_asks_the_store_for_nothing_but_its_key(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = api.control_plane._state
    throttled = Api(ControlPlane(state, time.time, PORTS, limits={"read": Limit(1, 60_000)}))
    assert [throttled.raw("ListTrails", b"{}").status for _ in range(2)] == [200, 400]

    def asked(*_: object, **__: object) -> None:
        raise AssertionError("the store was asked")

    for port, method in ((state.configuration, "changes_after"), (state.calls, "record"), (state.rates, "take")):
        monkeypatch.setattr(port, method, asked)
    assert throttled.refused("ListTrails")[1] == "ThrottlingException"
