"""What `opentrail status` tells: how far delivery is behind, what is in the spool, the clients, the digest chains."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from opentrail_backends.event_bus.port import EventBus
from opentrail_backends.state.port import Ledger, StateStore
from opentrail_delivery.settings import DeliverySettings


def read_status(bus: EventBus, state: StateStore) -> dict[str, Any]:
    """The status as JSON values; times in ISO 8601. `lag` is in messages: each is a batch of events.

    What stands still, and why, is no part of it: only the process that halted knows, and says so in its log.
    """
    return {
        "partitions": _partitions(bus, state.ledger),
        "trails": _trails(state.ledger),
        "clients": _clients(state.ledger),
        "lost_offsets": _lost_offsets(state.ledger),
        "formats": dict(switched_on_formats(state.ledger)),
        "chains": _chains(state),
    }


def switched_on_formats(ledger: Ledger) -> Mapping[str, int]:
    """The formats that are switched on (batch, intent).

    Asked as a worker of the oldest release for a moment: looking must not switch a newer format on.
    """
    worker_id = f"status-{uuid.uuid4()}"
    try:
        return ledger.report_worker(worker_id, {"batch": 1, "intent": 1})
    finally:
        ledger.remove_worker(worker_id)


def _partitions(bus: EventBus, ledger: Ledger) -> list[dict[str, Any]]:
    windows = {(window["region"], window["partition"]): window for window in ledger.windows()}
    partitions = []
    for partition, (_, bounds) in sorted(bus.lag(DeliverySettings().group).items()):
        window = windows.get((partition.region, partition.number), {})
        next_offset = window.get("next_offset", bounds.start)
        partitions.append(
            {
                "region": partition.region,
                "partition": partition.number,
                "next_offset": next_offset,
                "end_offset": bounds.end,
                "lag": bounds.end - next_offset,
                "open_windows": window.get("open_intents", 0),
                "last_delivered_at": _time(window.get("last_delivered_at"), 1000),
            }
        )
    return partitions


def _trails(ledger: Ledger) -> list[dict[str, Any]]:
    """Trails that have files in the spool; all others are as far as their partitions."""
    parked = ledger.parked_by_trail()
    now = ledger.now() if parked else 0
    return [
        {
            "trail_arn": one.trail_arn,
            "region": one.region,
            "parked_files": one.files,
            "parked_bytes": one.size,
            "expired_files": one.expired,
            "oldest_parked_at": _time(one.oldest_parked_at, 1000),
            "lag_seconds": max(now - one.oldest_parked_at, 0) // 1000,
            "error": one.error,
            "waits_for": _waits_for(one.files, one.expired, one.error),
        }
        for one in sorted(parked, key=lambda one: (one.trail_arn, one.region, one.incarnation))
    ]


def _waits_for(files: int, expired: int, error: str | None) -> str:
    """What the files wait for: `operator` (opentrail redrive parked), `bucket`, or `rate limit` (our own)."""
    if expired >= files:
        return "operator"
    return "rate limit" if error is None else "bucket"


def _clients(ledger: Ledger) -> list[dict[str, Any]]:
    return [
        {
            "region": one.region,
            "account": one.account_id,
            "clients": one.clients,
            "missing": one.missing,
            "repeats": one.repeats,
            "given_up": one.given_up,
        }
        for one in sorted(ledger.clients(), key=lambda one: (one.account_id, one.region))
    ]


def _lost_offsets(ledger: Ledger) -> list[dict[str, Any]]:
    return [
        {
            "region": one.region,
            "partition": one.partition,
            "topic_id": one.topic_id,
            "first_offset": one.first_offset,
            "end_offset": one.end_offset,
            "reason": one.reason,
            "accounts": list(one.accounts),
            "recorded_at": _time(one.recorded_at, 1000),
        }
        for one in ledger.lost_offsets()
    ]


def _chains(state: StateStore) -> list[dict[str, Any]]:
    chains = [
        {
            "trail": chain.trail_name,
            "account": chain.account_id,
            "region": chain.region,
            "digests": chain.sequence,
            "last_end": _time(chain.last_end if chain.sequence else None),
            "next_end": None if chain.ended else _time(chain.next_end),
            "state": "ended" if chain.ended else "ending" if chain.ending else "running",
        }
        for chain in state.chains.all_chains()
    ]
    return sorted(chains, key=lambda chain: (chain["trail"], chain["account"], chain["region"]))


def _time(value: int | None, per_second: int = 1) -> str | None:
    if value is None:
        return None
    return datetime.fromtimestamp(value / per_second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
