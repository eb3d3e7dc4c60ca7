"""Which calls are recorded, and when: with the change that they made, or not at all."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from opentrail.trails.configuration import Kind, trail_body
from opentrail.trails.refused import Refused
from opentrail_backends.state.port import AccessKey, NewChange, PendingCall, StateError, StateStore
from opentrail_control_plane.operations.context import Context, Reply
from tests.unit.control_plane.conftest import MANAGEMENT, PORTS, SECRET, TARGET, TRAILS, Api, signed_request

HOME_ONLY = next(trail for trail in TRAILS if trail.name == "home-only")


@pytest.fixture
def calls(state: StateStore) -> Any:
    def kept() -> list[tuple[PendingCall, dict]]:
        """Everything that is in the outbox, and not again."""
        claimed = state.calls.claim(1_000, 600_000)
        return [(call, json.loads(call.record)) for call in claimed]

    return kept


def with_operation(api: Api, function: Any, name: str = "StopLogging") -> None:
    api.control_plane._functions["cloudtrail", name] = function


def test_a_read_is_recorded_with_who_asked_from_where(api: Api, state: StateStore, calls: Any) -> None:
    api("DescribeTrails", {"trailNameList": ["home-only"]}, region="eu-central-1")
    [(call, record)] = calls()
    newest = state.configuration.changes_after(0)[-1]
    assert (call.account_id, call.region, call.judged_at) == (MANAGEMENT, "eu-central-1", newest.effective_at)
    assert record["eventName"] == "DescribeTrails"
    assert record["awsRegion"] == "eu-central-1"
    assert record["sourceIPAddress"] == "192.0.2.7"
    assert record["requestParameters"] == {"trailNameList": ["home-only"]}
    assert "tlsDetails" not in record


def test_what_was_refused_is_recorded_with_its_error(api: Api, state: StateStore, calls: Any) -> None:
    state.configuration.put_access_key(AccessKey("AKIAREADER", SECRET, MANAGEMENT, "read-only", "rita"))
    for operation, body, options in (
        ("GetTrail", b'{"Name":"no-such-trail"}', {}),
        ("GetTrail", b"{}", {}),
        ("GetTrail", b"{", {}),
        ("StopLogging", b'{"Name":"home-only"}', {"access_key_id": "AKIAREADER"}),
        ("ListDashboards", b"{}", {}),
    ):
        assert api.raw(operation, body, **options).status in {400, 403}
    assert [(record["eventName"], record["errorCode"]) for _, record in calls()] == [
        ("GetTrail", "TrailNotFoundException"),
        ("GetTrail", "ValidationException"),
        ("GetTrail", "SerializationException"),
        ("StopLogging", "AccessDenied"),
        ("ListDashboards", "UnsupportedOperationException"),
    ]


def test_what_nobody_signed_and_what_was_throttled_is_not_recorded(api: Api, state: StateStore, calls: Any) -> None:
    import time

    from opentrail_control_plane.control_plane import ControlPlane
    from opentrail_control_plane.rates import Limit

    api.refused("ListTrails", secret="wrong")
    api.refused("NoSuchOperation")
    throttled = Api(ControlPlane(state, time.time, PORTS, limits={"read": Limit(1, 60_000)}))
    assert [throttled.raw("ListTrails", b"{}").status for _ in range(3)] == [200, 400, 400]
    assert [record["eventName"] for _, record in calls()] == ["ListTrails"]


def test_a_change_and_its_call_are_kept_together_and_the_configuration_before_governs_it(
    api: Api, state: StateStore, calls: Any
) -> None:
    stopped = replace(HOME_ONLY, s3_key_prefix="changed")
    change = NewChange(Kind.TRAIL, stopped.incarnation, trail_body(stopped))
    with_operation(api, lambda _context, _members: Reply({}, [change]))
    before = state.configuration.changes_after(0)[-1]
    api("StopLogging", {"Name": "home-only"})
    [made] = state.configuration.changes_after(before.revision)
    [(call, record)] = calls()
    assert made.id == stopped.incarnation
    assert before.effective_at <= call.judged_at < made.effective_at
    assert record["requestParameters"] == {"name": "home-only"}


def test_a_change_of_somebody_else_meanwhile_calls_the_operation_again(api: Api, state: StateStore, calls: Any) -> None:
    seen: list[str | None] = []

    def operation(context: Context, _members: dict[str, Any]) -> Reply:
        trail = context.configuration.trails[HOME_ONLY.incarnation]
        seen.append(trail.s3_key_prefix)
        if len(seen) < 3:  # somebody else is faster
            other = replace(trail, s3_key_prefix=f"other-{len(seen)}")
            state.configuration.apply([NewChange(Kind.TRAIL, other.incarnation, trail_body(other))])
        mine = replace(trail, s3_bucket_name="my-own-bucket")
        return Reply({}, [NewChange(Kind.TRAIL, mine.incarnation, trail_body(mine))])

    with_operation(api, operation)
    api("StopLogging", {"Name": "home-only"})
    assert seen == ["audit", "other-1", "other-2"]
    assert api("GetTrail", {"Name": "home-only"})["Trail"]["S3KeyPrefix"] == "other-2"
    assert api("GetTrail", {"Name": "home-only"})["Trail"]["S3BucketName"] == "my-own-bucket"
    assert [record["eventName"] for _, record in calls()] == ["StopLogging", "GetTrail", "GetTrail"]


def test_a_change_that_another_request_has_learnt_of_meanwhile_is_a_conflict_too(api: Api, state: StateStore) -> None:
    """The requests of a process share what they know of the configuration."""
    seen: list[str | None] = []

    def operation(context: Context, _members: dict[str, Any]) -> Reply:
        trail = context.configuration.trails[HOME_ONLY.incarnation]
        seen.append(trail.s3_key_prefix)
        if len(seen) == 1:
            other = replace(trail, s3_key_prefix="other")
            state.configuration.apply([NewChange(Kind.TRAIL, other.incarnation, trail_body(other))])
            api("ListTrails")  # as another thread of the process would
        mine = replace(trail, s3_bucket_name="my-own-bucket")
        return Reply({}, [NewChange(Kind.TRAIL, mine.incarnation, trail_body(mine))])

    with_operation(api, operation)
    api("StopLogging", {"Name": "home-only"})
    assert seen == ["audit", "other"]
    assert api("GetTrail", {"Name": "home-only"})["Trail"]["S3KeyPrefix"] == "other"


def test_who_is_always_overtaken_is_told_to_try_again(api: Api, state: StateStore, calls: Any) -> None:
    tries = []

    def operation(context: Context, _members: dict[str, Any]) -> Reply:
        tries.append(1)
        trail = context.configuration.trails[HOME_ONLY.incarnation]
        other = replace(trail, s3_key_prefix=f"other-{len(tries)}")
        state.configuration.apply([NewChange(Kind.TRAIL, other.incarnation, trail_body(other))])
        return Reply({}, [NewChange(Kind.TRAIL, trail.incarnation, None)])

    with_operation(api, operation)
    assert api.refused("StopLogging", {"Name": "home-only"})[:2] == (400, "ConflictException")
    assert len(tries) == 5
    assert [record["errorCode"] for _, record in calls()] == ["ConflictException"]


def test_a_rule_that_says_no_changes_nothing(api: Api, calls: Any) -> None:
    def operation(_context: Context, _members: dict[str, Any]) -> Reply:
        raise Refused("InvalidHomeRegionException", "elsewhere")

    with_operation(api, operation)
    assert api.refused("StopLogging", {"Name": "x"}) == (400, "InvalidHomeRegionException", "elsewhere")

    def denied(_context: Context, _members: dict[str, Any]) -> Reply:
        raise Refused("AccessDeniedException", "never")

    with_operation(api, denied)
    assert api.refused("StopLogging", {"Name": "x"}) == (403, "AccessDeniedException", "never")
    assert [record["errorCode"] for _, record in calls()] == ["InvalidHomeRegionException", "AccessDenied"]


def test_what_a_rule_says_is_cut_where_it_repeats_what_it_was_given(api: Api) -> None:
    def operation(_context: Context, members: dict[str, Any]) -> Reply:
        raise Refused("InvalidTrailNameException", members["Name"])

    with_operation(api, operation)
    assert len(api.refused("StopLogging", {"Name": "x" * 100_000})[2]) == 2_000


def test_a_store_that_does_not_answer_an_operation_is_no_fault_of_ours(api: Api, calls: Any) -> None:
    def operation(_context: Context, _members: dict[str, Any]) -> Reply:
        raise StateError("away")

    with_operation(api, operation)
    assert api.refused("StopLogging", {"Name": "x"})[:2] == (503, "ServiceUnavailable")
    assert calls() == []


def test_a_fault_of_ours_is_recorded_too(api: Api, calls: Any) -> None:
    def faulty(_context: Context, _members: dict[str, Any]) -> Reply:
        raise ZeroDivisionError

    with_operation(api, faulty)
    assert api.refused("StopLogging", {"Name": "x"})[:2] == (500, "InternalFailure")
    assert [record["errorCode"] for _, record in calls()] == ["InternalFailure"]


def test_a_call_that_cannot_be_recorded_is_not_answered(
    api: Api, state: StateStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_calls: Any) -> None:
        raise StateError("the disk is full")

    monkeypatch.setattr(state.calls, "record", away)
    assert api.refused("ListTrails")[:2] == (503, "ServiceUnavailable")
    assert api.refused("GetTrail", {"Name": "no-such-trail"})[:2] == (503, "ServiceUnavailable")


def test_calls_of_global_services_are_recorded_where_aws_does_or_in_a_region_that_there_is(
    api: Api, calls: Any
) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    for region in ("eu-central-1", "mars-north-1"):
        body = b"Action=GetCallerIdentity"
        asked = signed_request(body, headers=form, service="sts", region=region)
        assert api.control_plane.answer(asked).status == 200
        api("DescribeOrganization", service="organizations", region=region)
    assert [(call.region, record["eventSource"]) for call, record in calls()] == [
        ("eu-central-1", "sts.amazonaws.com"),
        ("us-east-1", "organizations.amazonaws.com"),
        ("us-east-1", "sts.amazonaws.com"),
        ("us-east-1", "organizations.amazonaws.com"),
    ]


def test_events_that_are_put_are_their_own_record(api: Api, calls: Any) -> None:
    arn = "arn%3Aaws%3Acloudtrail%3Aus-east-1%3A111122223333%3Achannel%2Fx"
    asked = signed_request(
        b'{"auditEvents":[{"id":"1","eventData":"{}"}]}',
        headers={"Content-Type": "application/json"},
        service="cloudtrail-data",
        path="/PutAuditEvents",
        query=f"channelArn={arn}",
    )
    api.control_plane.answer(asked)
    assert calls() == []


def test_the_target_decides_what_is_recorded(api: Api, calls: Any) -> None:
    headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": TARGET["cloudtrail"] + "ListTrails"}
    asked = signed_request(b"{}", headers={**headers, "User-Agent": "aws-cli"})
    assert api.control_plane.answer(asked).status == 200
    [(_, record)] = calls()
    assert record["userAgent"] == "aws-cli"
