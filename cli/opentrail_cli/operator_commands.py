"""The commands of an operator: how things stand, and the way on where something failed (docs/operating.md)."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from opentrail_cli.opening import local_parts, opened_settings, print_json
from opentrail_cli.options import ConfigOption, DataDirectoryOption, JsonOption
from opentrail_cli.terminal import output

operator_app = typer.Typer(rich_markup_mode=None)


class Kind(StrEnum):
    """What can be redriven (`opentrail_delivery.redrive.Kept`, which takes long to import)."""

    POISON = "poison"
    DEAD_LETTERS = "dead-letters"
    PARKED = "parked"


@operator_app.command(short_help="Show lag, spool, clients, digest chains.")
def status(
    config: ConfigOption = None, data_directory: DataDirectoryOption = None, as_json: JsonOption = False
) -> None:
    """Show how far delivery is behind, what waits in the spool, the clients' numbers, and the digest chains."""
    from opentrail_cli.status import read_status
    from opentrail_cli.status_tables import print_status

    with local_parts(opened_settings(config, data_directory=data_directory)) as parts:
        read = read_status(parts.event_bus, parts.state)
    if as_json:
        print_json(read)
    else:
        print_status(read, output())


@operator_app.command(
    short_help="Deliver what the spool holds, each once.", epilog="Example: opentrail redrive --dry-run poison"
)
def redrive(
    kinds: Annotated[
        list[Kind] | None, typer.Argument(metavar="KIND…", help="poison, dead-letters or parked [default: all]")
    ] = None,
    config: ConfigOption = None,
    data_directory: DataDirectoryOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only say what would be done")] = False,
    as_now: Annotated[
        bool, typer.Option("--as-now", help="send what is older than 35 days to the trails that want it today")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Send poison and dead letters in again and try expired parked files again. Exit code 1 if any message is left."""
    from opentrail_cli.redrive import print_redrive, run_redrive
    from opentrail_delivery.redrive import Kept

    with local_parts(opened_settings(config, data_directory=data_directory)) as parts:
        result = run_redrive(parts, [Kept(kind) for kind in kinds or ()], dry_run=dry_run, as_now=as_now)
    if as_json:
        print_json(result)
    else:
        print_redrive(result, output())
    raise typer.Exit(1 if result["left"] else 0)


@operator_app.command(
    short_help="Go on where ledger and bus do not fit.",
    epilog="Example: opentrail settle, then opentrail settle --accept",
)
def settle(
    config: ConfigOption = None,
    data_directory: DataDirectoryOption = None,
    region: Annotated[str | None, typer.Option(metavar="REGION", help="only this region")] = None,
    partition: Annotated[int | None, typer.Option(metavar="N", help="only this partition of the region")] = None,
    accept: Annotated[bool, typer.Option("--accept", help="do it; else only say what would be done")] = False,
    adopt_unproven: Annotated[
        bool,
        typer.Option("--adopt-unproven", help="adopt log files too that neither the bus nor a digest proves"),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Settle partitions whose topic was made anew, whose log was cut, or whose ledger was restored from a backup."""
    from opentrail_cli.settle import print_settle, run_settle

    if partition is not None and region is None:
        raise typer.BadParameter("a partition needs its --region")
    with local_parts(opened_settings(config, data_directory=data_directory)) as parts:
        result = run_settle(parts, region, partition, accept=accept, adopt_unproven=adopt_unproven)
    if as_json:
        print_json(result)
    else:
        print_settle(result, output())


@operator_app.command(
    short_help="Compare buckets, ledger and bus.", epilog="Example: opentrail fsck --since 2026-01-31 --deep"
)
def fsck(
    config: ConfigOption = None,
    data_directory: DataDirectoryOption = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="only what was delivered since [default: all]")
    ] = None,
    deep: Annotated[bool, typer.Option("--deep", help="read every log file, not only its metadata")] = False,
    as_json: JsonOption = False,
) -> None:
    """Compare buckets, ledger, spool and bus. Exit code 1: errors were found; 3: something could not be checked."""
    from opentrail_cli.fsck import print_fsck, run_fsck

    with local_parts(opened_settings(config, data_directory=data_directory)) as parts:
        result = run_fsck(parts, since, deep=deep)
    if as_json:
        print_json(result)
    else:
        print_fsck(result, output())
    raise typer.Exit(result["exit_code"])
