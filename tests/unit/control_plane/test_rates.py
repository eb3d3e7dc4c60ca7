"""Which class an operation is of, and how a refusal is remembered; the counting itself is the state store's."""

from __future__ import annotations

import pytest

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

    def take(self, *request: object) -> int:
        self.asked.append(request)
        return self.waits.pop(0) if self.waits else 0


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
        (MANAGEMENT, "us-east-1", "read", 10, 1_000),
        (MEMBER, "eu-central-1", "write", 1, 1_000),
    ]


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
    import time

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
    import time

    state = api.control_plane._state
    throttled = Api(ControlPlane(state, time.time, PORTS, limits={"read": Limit(1, 60_000)}))
    assert [throttled.raw("ListTrails", b"{}").status for _ in range(2)] == [200, 400]

    def asked(*_: object, **__: object) -> None:
        raise AssertionError("the store was asked")

    for port, method in ((state.configuration, "changes_after"), (state.calls, "record"), (state.rates, "take")):
        monkeypatch.setattr(port, method, asked)
    assert throttled.refused("ListTrails")[1] == "ThrottlingException"
