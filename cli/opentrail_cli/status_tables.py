"""`opentrail status` for people: the status as tables."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from rich.console import Console
from rich.table import Table

_NUMBERS = {
    "lag", "partition", "regions", "digests", "files", "bytes", "expired", "clients", "missing", "repeats",
    "given up", "lag (s)",
}  # fmt: skip


def print_status(status: dict[str, Any], console: Console) -> None:
    """Prints what there is to tell; partitions that never held anything are only counted."""
    _print_partitions(status["partitions"], console)
    _print_trails(status["trails"], console)
    _print_clients(status["clients"], console)
    _print_lost(status["lost_offsets"], console)
    _print_chains(status["chains"], console)
    formats = ", ".join(f"{name} {version}" for name, version in sorted(status["formats"].items()))
    console.print(f"Formats switched on: {formats}. Why a partition or chain stands still is in delivery's log.")


def _print_partitions(partitions: list[dict[str, Any]], console: Console) -> None:
    used = [one for one in partitions if one["end_offset"] or one["next_offset"]]
    idle = len(partitions) - len(used)
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
        _print(table, console)
    if idle:
        console.print(f"{idle} partitions hold nothing yet.\n")


def _print_trails(trails: list[dict[str, Any]], console: Console) -> None:
    if not trails:
        return
    table = _table("In the spool", "trail", "region", "files", "bytes", "expired", "lag (s)", "waits for", "error")
    for one in trails:
        table.add_row(
            one["trail_arn"],
            one["region"],
            str(one["parked_files"]),
            str(one["parked_bytes"]),
            str(one["expired_files"]),
            str(one["lag_seconds"]),
            one["waits_for"],
            one["error"] or "-",
        )
    _print(table, console)


def _print_clients(clients: list[dict[str, Any]], console: Console) -> None:
    if not clients:
        return
    table = _table("Clients that number their events", "account", "region", "clients", "missing", "repeats", "given up")
    for one in clients:
        numbers = (str(one[name]) for name in ("clients", "missing", "repeats", "given_up"))
        table.add_row(one["account"], one["region"], *numbers)
    _print(table, console)


def _print_lost(lost: list[dict[str, Any]], console: Console) -> None:
    if not lost:
        return
    table = _table("Given up by an operator", "region", "partition", "offsets", "recorded", "accounts", "reason")
    for one in lost:
        table.add_row(
            one["region"],
            str(one["partition"]),
            _offsets(one["first_offset"], one["end_offset"]),
            one["recorded_at"] or "-",
            ", ".join(one["accounts"]) or "not known",
            one["reason"],
        )
    _print(table, console)


def _offsets(first: int, end: int) -> str:
    return f"{first} to {end - 1}" if end > first else f"from {first} on"


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
        _print(table, console)


def _print(table: Table, console: Console) -> None:
    console.print(table)
    console.print()


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in _NUMBERS else "left")
    return table
