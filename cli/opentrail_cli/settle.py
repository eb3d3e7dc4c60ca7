"""`opentrail settle`: the way on where ledger and bus do not fit."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from opentrail_backends.state.inspection import inspection_of
from opentrail_cli.composition import Parts
from opentrail_cli.errors import CommandFailed
from opentrail_cli.services import SPOOL_BUCKET
from opentrail_delivery.codec import fastest_codec
from opentrail_delivery.settings import DeliverySettings
from opentrail_delivery.settle import Settle, Settled, SettleRefused, SettleTools
from opentrail_delivery.spool import Spool


def run_settle(
    parts: Parts, region: str | None, partition: int | None, *, accept: bool, adopt_unproven: bool
) -> dict[str, Any]:
    """Settles, or tells what settling would do. Raises CommandFailed and backend errors."""
    parts.spool_store.create_bucket(SPOOL_BUCKET)
    settings = parts.settings
    tools = SettleTools(
        event_bus=parts.event_bus,
        object_store=parts.object_store,
        state=parts.state,
        inspection=inspection_of(parts.state),
        spool=Spool(parts.spool_store, SPOOL_BUCKET),
        codec=fastest_codec(),
        settings=DeliverySettings(
            window_bytes=settings.window_bytes,
            file_bytes=settings.file_bytes,
            digest_seconds=settings.digest_seconds,
            record_proofs=settings.record_proofs,
        ),
        adopt_unproven=adopt_unproven,
    )
    try:
        report = Settle(tools).run(region, partition, accept=accept)
    except SettleRefused as error:
        raise CommandFailed(str(error)) from error
    return {
        "accepted": report.accepted,
        "partitions": [_partition(one) for one in report.partitions],
        "adopted_digests": report.adopted_digests,
        "strange_digests": [
            {"digest": f"s3://{one.bucket}/{one.object_key}", "reason": one.reason} for one in report.strange_digests
        ],
    }


def print_settle(result: dict[str, Any], console: Console) -> None:
    """Says what was found and done, or would be done."""
    done = result["accepted"]
    for one in result["partitions"]:
        _print_partition(one, console, done=done)
    if result["adopted_digests"]:
        console.print(
            f"{result['adopted_digests']} digests that were put after the backup "
            f"{'are' if done else 'would be'} part of their chains again"
        )
    for one in result["strange_digests"]:
        console.print(f"not adopted: {one['digest']}: {one['reason']}", style="yellow")
    if not result["partitions"] and not result["adopted_digests"]:
        console.print("Ledger and bus fit: there is nothing to settle.")
    elif not done:
        console.print("Nothing was changed. Stop all delivery processes, then: opentrail settle --accept")


def _print_partition(one: dict[str, Any], console: Console, *, done: bool) -> None:
    console.print(f"{one['region']}/{one['partition']}: {one['trouble']}", style="bold")
    console.print(f"  delivery {'goes' if done else 'would go'} on at offset {one['next_offset']}", end="")
    console.print(f" (it stood at {one['next_offset_was']})")
    if one["delivered"] or one["parked"] or one["lost"]:
        console.print(
            f"  files of open windows: {one['delivered']} in their buckets, {one['parked']} in the spool, "
            f"{one['lost']} nowhere"
        )
    if one["adopted"] or one["rebuilt"]:
        console.print(f"  log files: {one['adopted']} that lay there adopted, {one['rebuilt']} made again")
    for lost in one["lost_offsets"]:
        accounts = f", accounts {', '.join(lost['accounts'])}" if lost["accounts"] else ""
        console.print(f"  lost: {_offsets(lost)}: {lost['reason']}{accounts}", style="red")
    for name in one["unproven"]:
        console.print(f"  not proven by bus or digest: {name}")
    for note in one["notes"]:
        console.print(f"  {note}")


def _offsets(lost: dict[str, Any]) -> str:
    if lost["end_offset"] <= lost["first_offset"]:
        return f"offsets from {lost['first_offset']} on"
    return f"offsets {lost['first_offset']} to {lost['end_offset'] - 1}"


def _partition(one: Settled) -> dict[str, Any]:
    return {
        "region": one.partition.region,
        "partition": one.partition.number,
        "trouble": one.trouble,
        "next_offset_was": one.next_offset_was,
        "next_offset": one.next_offset,
        "delivered": one.delivered,
        "parked": one.parked,
        "lost": one.lost,
        "rebuilt": one.rebuilt,
        "adopted": one.adopted,
        "unproven": one.unproven,
        "lost_offsets": [
            {
                "first_offset": lost.first_offset,
                "end_offset": lost.end_offset,
                "reason": lost.reason,
                "accounts": list(lost.accounts),
            }
            for lost in one.lost_offsets
        ],
        "notes": one.notes,
    }
