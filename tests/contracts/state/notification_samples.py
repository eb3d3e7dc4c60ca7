"""Delivered files with a topic, and what is told of them."""

from __future__ import annotations

from typing import Any

from opentrail_backends.state.port import StateStore, Turn
from tests.contracts.state.samples import REGION, delivered

TOPIC, OTHER_TOPIC = "arn:aws:sns:us-east-1:111122223333:told", "arn:aws:sns:us-east-1:111122223333:other"
LEASE = 60_000


def deliver(store: StateStore, *names: str, **changes: Any) -> None:
    delivered(store, names, **{"sns_topic_arn": TOPIC, **changes})


def keys(store: StateStore, incarnation: str = "trail-1") -> list[str]:
    return [file.object_key[8:-8] for file in store.notifications.untold(incarnation, 100)]


def take(store: StateStore) -> Turn:
    (turn,) = store.notifications.take_turns(10, LEASE)
    return turn


def status(store: StateStore, region: str = REGION) -> tuple[Any, Any, Any]:
    found = store.trail_status("trail-1", region)
    return found["notified_at"], found["notification_error"], found["notification_failing_since"]
