"""GetTrailStatus: what a trail delivered last, and what stands in its way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from opentrail.trails.configuration import ConfigurationHistory
from opentrail_backends.state.port import IntendedFile, Intent, ParkedFailure, Parking, StateStore
from tests.unit.control_plane.conftest import MANAGEMENT, TRAILS, Api

TRAIL = next(trail for trail in TRAILS if trail.name == "home-only")
REGION = "us-east-1"
NOW = "2026-01-01T00:00:00Z"


def deliver(state: StateStore, *, parked: Parking | None = None, offset: int = 0, topic: str | None = None) -> None:
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
        sns_topic_arn=topic,
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


# --- logging --------------------------------------------------------------------------------------


def test_a_trail_that_never_logged(api: Api) -> None:
    answer = status(api)
    assert answer == {
        "IsLogging": False,
        "LatestDeliveryAttemptTime": "",
        "LatestDeliveryAttemptSucceeded": "",
        "LatestNotificationAttemptTime": "",
        "LatestNotificationAttemptSucceeded": "",
        "TimeLoggingStarted": "",
        "TimeLoggingStopped": "",
    }


def test_logging_that_started_and_stopped(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ConfigurationHistory, "known", property(lambda _: pytest.fail("every revision was read")))
    api("StartLogging", {"Name": TRAIL.name})
    api("UpdateTrail", {"Name": TRAIL.name, "S3KeyPrefix": "elsewhere"})
    answer = api("GetTrailStatus", {"Name": TRAIL.arn}, region="eu-central-1")
    assert (answer["IsLogging"], answer["TimeLoggingStarted"], answer["TimeLoggingStopped"]) == (True, NOW, "")
    assert int(answer["StartLoggingTime"]) == 1_767_225_600
    assert "StopLoggingTime" not in answer
    api("StopLogging", {"Name": TRAIL.name})
    answer = status(api)
    assert (answer["IsLogging"], answer["TimeLoggingStarted"], answer["TimeLoggingStopped"]) == (False, NOW, NOW)
    assert int(answer["StopLoggingTime"]) == 1_767_225_600
    api("StartLogging", {"Name": TRAIL.name})
    again = status(api)
    assert (again["IsLogging"], again["StopLoggingTime"]) == (True, answer["StopLoggingTime"])


def test_a_trail_that_an_older_release_stopped(api: Api, change: Callable[..., None]) -> None:
    """It kept no time: it was the one of the revision."""
    change(TRAIL, is_logging=True, started_logging_at=1_767_000_000_000)
    assert status(api)["TimeLoggingStarted"] == "2025-12-29T09:20:00Z"
    assert "StopLoggingTime" not in status(api)
    change(TRAIL, is_logging=False, started_logging_at=1_767_000_000_000)
    assert int(status(api)["StopLoggingTime"]) == 1_767_225_600
    change(TRAIL, is_logging=False, started_logging_at=1_767_000_000_000, s3_key_prefix="elsewhere")
    assert int(status(api)["StopLoggingTime"]) == 1_767_225_600


# --- notifications --------------------------------------------------------------------------------

TOPIC = "arn:aws:sns:us-east-1:111122223333:told"
LEASE = 60_000


def test_a_topic_that_was_told(api: Api, state: StateStore) -> None:
    deliver(state, topic=TOPIC)
    assert status(api)["LatestNotificationAttemptTime"] == ""
    (turn,) = state.notifications.take_turns(1, LEASE)
    state.notifications.told(turn, state.notifications.untold(TRAIL.incarnation, 10), LEASE)
    answer = status(api)
    assert answer["LatestNotificationAttemptTime"] == answer["LatestNotificationAttemptSucceeded"] == NOW
    assert int(answer["LatestNotificationTime"]) == 1_767_225_600
    assert "LatestNotificationError" not in answer


def test_a_topic_that_cannot_be_told(api: Api, state: StateStore) -> None:
    deliver(state, topic=TOPIC)
    (turn,) = state.notifications.take_turns(1, LEASE)
    state.notifications.failed(turn, [REGION], "AuthorizationError", LEASE)
    answer = status(api)
    assert (answer["LatestNotificationError"], answer["LatestNotificationAttemptTime"]) == ("AuthorizationError", NOW)
    assert answer["LatestNotificationAttemptSucceeded"] == ""
    assert not {"LatestNotificationTime", "LatestDeliveryError"} & set(answer)


def test_a_try_that_failed_lies_after_the_one_that_succeeded(
    api: Api, state: StateStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliver(state, topic=TOPIC)
    (turn,) = state.notifications.take_turns(1, LEASE)
    state.notifications.told(turn, state.notifications.untold(TRAIL.incarnation, 10), LEASE)
    state.notifications.failed(turn, [REGION], "NotFound", LEASE)
    before = state.trail_status
    a_minute_later = {"notification_failing_since": 1_767_225_660_000}
    monkeypatch.setattr(state, "trail_status", lambda *asked: {**before(*asked), **a_minute_later})
    answer = status(api)
    assert answer["LatestNotificationError"] == "NotFound"
    assert answer["LatestNotificationAttemptSucceeded"] == NOW
    assert answer["LatestNotificationAttemptTime"] == "2026-01-01T00:01:00Z"
