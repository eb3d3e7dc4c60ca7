"""GetTrailStatus: what a trail delivered last, and what stands in its way."""

from __future__ import annotations

from typing import Any

import pytest

from opentrail_backends.state.port import IntendedFile, Intent, ParkedFailure, Parking, StateStore
from tests.unit.control_plane.conftest import MANAGEMENT, TRAILS, Api

TRAIL = next(trail for trail in TRAILS if trail.name == "home-only")
REGION = "us-east-1"
NOW = "2026-01-01T00:00:00Z"


def deliver(state: StateStore, *, parked: Parking | None = None, offset: int = 0) -> None:
    """A window with one file of the trail."""
    lease, _ = state.ledger.own(REGION, 0, 0)
    file = IntendedFile(
        incarnation=TRAIL.incarnation,
        logging_session=1,
        account_id=MANAGEMENT,
        part=0,
        bucket=TRAIL.s3_bucket_name,
        object_key=f"key-{offset}",
        sha256="00",
        events=1,
        oldest_event_time=1,
        newest_event_time=1,
        trail_arn=TRAIL.arn,
        owner=MANAGEMENT,
    )
    intent = Intent(lease.last_intent + 1, offset, offset + 1, {}, [file])
    lease = state.ledger.write_intent(lease, intent)
    state.ledger.deliver(lease, intent, {} if parked is None else {file.object_key: parked})


def status(api: Api) -> dict[str, Any]:
    return api("GetTrailStatus", {"Name": TRAIL.name})


def test_a_delivery_is_the_newest_attempt_and_succeeded(api: Api, state: StateStore) -> None:
    deliver(state)
    answer = status(api)
    assert answer["LatestDeliveryAttemptTime"] == answer["LatestDeliveryAttemptSucceeded"] == NOW
    assert int(answer["LatestDeliveryTime"]) == 1_767_225_600
    assert not {"LatestDeliveryError", "LatestDigestDeliveryError"} & set(answer)


def test_an_error_is_shown_while_files_wait_because_of_it(api: Api, state: StateStore) -> None:
    deliver(state, parked=Parking(100, "AccessDenied", is_answered=True))
    answer = status(api)
    assert answer["LatestDeliveryError"] == "AccessDenied"
    assert "LatestDeliveryTime" not in answer
    assert answer["LatestDeliveryAttemptTime"] == NOW
    assert answer["LatestDeliveryAttemptSucceeded"] == ""
    (file,) = state.ledger.parked_files(10)
    assert state.ledger.deliver_parked(file)
    answer = status(api)
    assert "LatestDeliveryError" not in answer
    assert answer["LatestDeliveryAttemptSucceeded"] == NOW


def test_the_newest_error_is_the_one_that_is_shown(api: Api, state: StateStore) -> None:
    deliver(state, parked=Parking(100, "AccessDenied", is_answered=True))
    (file,) = state.ledger.parked_files(10)
    state.ledger.begin_parked([file.id])
    state.ledger.fail_parked([ParkedFailure(file.id, "NoSuchBucket", is_answered=True)])
    assert status(api)["LatestDeliveryError"] == "NoSuchBucket"


@pytest.mark.parametrize("error", ["RequestTimeout", "OutcomeUnknown"])
def test_a_bucket_that_does_not_answer_is_no_error(api: Api, state: StateStore, error: str) -> None:
    """CloudTrail: the error is not shown for requests that time out."""
    deliver(state, parked=Parking(100, error, is_answered=False))
    answer = status(api)
    assert "LatestDeliveryError" not in answer
    assert (answer["LatestDeliveryAttemptTime"], answer["LatestDeliveryAttemptSucceeded"]) == (NOW, "")


def test_what_waits_for_our_own_rate_limit_is_no_error(api: Api, state: StateStore) -> None:
    deliver(state, parked=Parking(100, None, is_answered=True))
    answer = status(api)
    assert "LatestDeliveryError" not in answer
    assert answer["LatestDeliveryAttemptTime"] == answer["LatestDeliveryAttemptSucceeded"] == ""


def test_a_digests_error_has_its_own_member(api: Api, state: StateStore, monkeypatch: pytest.MonkeyPatch) -> None:
    known = {"delivered_at": None, "digest_delivered_at": None, "delivery_error": None, "failing_since": None}
    monkeypatch.setattr(state, "trail_status", lambda *_: known | {"digest_error": "KMS.DisabledException"})
    answer = status(api)
    assert answer["LatestDigestDeliveryError"] == "KMS.DisabledException"
    assert "LatestDeliveryError" not in answer
