"""What `opentrail status` tells: how far delivery is behind, its windows, and the digest chains."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from rich.console import Console
from rich.table import Table

from opentrail_backends.event_bus.port import EventBus
from opentrail_backends.state.port import StateStore
from opentrail_delivery.settings import DeliverySettings


def read_status(bus: EventBus, state: StateStore) -> dict[str, Any]:
    """The status as JSON values; times in ISO 8601. `lag` is in messages: each is a batch of events."""
    windows = {(window["region"], window["partition"]): window for window in state.ledger.windows()}
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
    return {"partitions": partitions, "chains": sorted(chains, key=lambda c: (c["trail"], c["account"], c["region"]))}


def print_status(status: dict[str, Any], console: Console) -> None:
    """The status as tables. Partitions that never held anything are only counted."""
    used = [one for one in status["partitions"] if one["end_offset"] or one["next_offset"]]
    idle = len(status["partitions"]) - len(used)
    if used:
        table = _table("Delivery", "region", "partition", "lag", "next offset", "open windows", "last delivered")
        for one in used:
            table.add_row(
                one["region"],
                str(one["partition"]),
                str(one["lag"]),
                str(one["next_offset"]),
                str(one["open_windows"]),
                one["last_delivered_at"] or "-",
            )
        console.print(table)
    if idle:
        console.print(f"{idle} partitions hold nothing yet.\n")
    _print_chains(status["chains"], console)


def _print_chains(chains: list[dict[str, Any]], console: Console) -> None:
    """A line for each trail and account: its chains of all regions together. `--json` has each by itself."""
    table = _table("Digest chains", "trail", "account", "regions", "digests", "newest ends", "next is due")
    for (trail, account), group in groupby(chains, key=lambda chain: (chain["trail"], chain["account"])):
        members = list(group)
        ends = [chain["last_end"] for chain in members if chain["last_end"]]
        due = [chain["next_end"] for chain in members if chain["next_end"]]
        table.add_row(
            trail,
            account,
            str(len({chain["region"] for chain in members})),
            str(sum(chain["digests"] for chain in members)),
            max(ends, default="-"),
            min(due, default="ended"),
        )
    if chains:
        console.print(table)


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in {"lag", "partition", "regions", "digests"} else "left")
    return table


def _time(value: int | None, per_second: int = 1) -> str | None:
    if value is None:
        return None
    return datetime.fromtimestamp(value / per_second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
