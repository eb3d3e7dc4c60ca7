"""`opentrail redrive`: what the spool holds is delivered, each once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import Any

from rich.console import Console

from opentrail_cli.composition import Parts
from opentrail_cli.errors import CommandFailed
from opentrail_cli.services import SPOOL_BUCKET
from opentrail_delivery.redrive import Kept, Outcome, Redrive, Redriven, RedriveRefused, RedriveTools
from opentrail_delivery.spool import Spool

_LEFT = {Outcome.UNREADABLE, Outcome.FAILED, Outcome.TOO_OLD}


def run_redrive(parts: Parts, kinds: Collection[Kept], *, dry_run: bool, as_now: bool = False) -> dict[str, Any]:
    """Redrives these kinds (none: all) and returns what became of them. Raises CommandFailed and backend errors."""
    parts.spool_store.create_bucket(SPOOL_BUCKET)
    tools = RedriveTools(
        event_bus=parts.event_bus, ledger=parts.state.ledger, spool=Spool(parts.spool_store, SPOOL_BUCKET)
    )
    redrive = Redrive(tools, dry_run=dry_run, as_now=as_now)
    wanted = set(kinds) or set(Kept)
    counts: dict[Kept, Counter[str]] = {kept: Counter() for kept in wanted - {Kept.PARKED}}
    left = []
    try:
        for one in redrive.run(wanted):
            _count(counts[one.kept], one)
            if one.outcome in _LEFT:
                left.append({"key": one.key, "outcome": one.outcome.value, "reason": one.reason})
    except RedriveRefused as error:
        raise CommandFailed(str(error)) from error
    result: dict[str, Any] = {"dry_run": dry_run}
    result |= {kept.value: dict(count) for kept, count in sorted(counts.items())}
    if Kept.PARKED in wanted:
        result[Kept.PARKED.value] = {"tried_again": redrive.retry_parked()}
    return {**result, "left": left}


def print_redrive(result: dict[str, Any], console: Console) -> None:
    """Says what became of each kind, and names what is left."""
    would = "would be " if result["dry_run"] else ""
    for kept, what in ((Kept.POISON, "poisoned"), (Kept.DEAD_LETTERS, "dead-letter")):
        counts = result.get(kept.value)
        if counts is not None:
            console.print(
                f"{what} messages: {counts.get('sent', 0)} {would}sent again ({counts.get('events', 0)} events), "
                f"{counts.get('dropped', 0)} {would}dropped, "
                f"{sum(counts.get(outcome.value, 0) for outcome in _LEFT)} left; "
                f"{counts.get('repeats', 0)} events had been delivered before"
            )
    parked = result.get(Kept.PARKED.value)
    if parked is not None:
        console.print(f"parked files: {parked['tried_again']} that had expired {would}tried again")
    for one in result["left"]:
        console.print(f"  {one['outcome']}  {one['key']}  {one['reason']}")


def _count(counts: Counter[str], one: Redriven) -> None:
    counts[one.outcome.value] += 1
    counts["events"] += one.events
    counts["repeats"] += one.repeats
