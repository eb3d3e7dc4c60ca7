"""Watchers: what they are told, and how they are let go."""

from __future__ import annotations

import threading
from typing import Any

import grpc
import pytest

from opentrail_validator import Kind
from opentrail_validator.generated import validator_pb2
from opentrail_validator.service.changes import MOST_WAITING, CameTooLate, Changes
from opentrail_validator.service.open_findings import Change, What
from opentrail_validator.service.port import WatchedChain
from tests.unit.validator.service.calls import Context, Ended, Made, status_of
from tests.unit.validator.service.fakes import HOUR, NOW, log_finding, watched


def test_changes_are_told_as_they_happen() -> None:
    made = Made(watched(), watched(region="us-east-1"))
    made.run(log_finding())
    context = Context()
    call = made.watch(context, include_open=True, regions=["eu-west-1"])
    first = next(call)
    assert (first.change, first.at) == (validator_pb2.CHANGE_OPEN, NOW + HOUR)
    other = log_finding(Kind.NOT_FOUND, "B" * 16)
    made.run(other, region="us-east-1")
    made.run(other)
    told = [next(call) for _ in range(2)]
    assert [(each.change, each.finding.key) for each in told] == [
        (validator_pb2.CHANGE_REPAIRED, log_finding().key),
        (validator_pb2.CHANGE_OPENED, other.key),
    ]
    assert {each.chain.region for each in told} == {"eu-west-1"}
    for callback in context.callbacks:
        callback()
    assert list(call) == []


def test_a_change_among_very_many_chains_is_not_searched_for(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Made(*(watched(account=f"{number:012}") for number in range(3)))
    made.watching.run_once()
    change = Change(What.OPENED, made.catalogue.watched[-1].id, log_finding(), 1)

    class Subscribed(Context):
        def send_initial_metadata(self, metadata: Any) -> None:
            made.changes.put(change)

    monkeypatch.setattr(WatchedChain, "id", property(lambda _chain: pytest.fail("the chains are gone through")))
    assert next(made.watch(Subscribed())).chain.account_id == "000000000002"


def test_a_drain_ends_watchers_and_refuses_calls() -> None:
    made = Made()
    context = Context()
    call = made.watch(context)
    ended = threading.Event()
    codes: list[Any] = []

    def read() -> None:
        try:
            list(call)
        except Ended:
            codes.append(context.code)
        ended.set()

    threading.Thread(target=read).start()
    made.servicer.drain()
    assert ended.wait(10)
    assert codes == [grpc.StatusCode.UNAVAILABLE]
    assert status_of(made.watch) is grpc.StatusCode.UNAVAILABLE


def test_one_watcher_too_many_is_refused() -> None:
    made = Made(watchers=1)
    made.run(log_finding())
    first = made.watch(Context(), include_open=True)
    next(first)
    assert status_of(made.watch) is grpc.StatusCode.RESOURCE_EXHAUSTED
    first.close()  # type: ignore[attr-defined]  # a generator
    next(made.watch(Context(), include_open=True))


def test_a_watcher_that_reads_too_slowly_is_told_so() -> None:
    changes = Changes()
    subscription = changes.subscribe()
    for number in range(MOST_WAITING + 1):
        changes.put(Change(What.OPENED, "chain", log_finding(), number))
    with pytest.raises(CameTooLate):
        next(iter(subscription))
    changes.leave(subscription)
    assert list(subscription) == []


def test_whoever_subscribes_after_the_end_is_not_kept_waiting() -> None:
    changes = Changes()
    changes.close()
    assert list(changes.subscribe()) == []
