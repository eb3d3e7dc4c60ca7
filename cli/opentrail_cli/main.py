"""The `opentrail` command."""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Literal

import typer

from opentrail_cli.access_keys import access_key_app
from opentrail_cli.composition import BACKEND_ERRORS, Parts
from opentrail_cli.errors import CommandFailed
from opentrail_cli.history import history_app
from opentrail_cli.opening import local_parts, opened_settings, print_json
from opentrail_cli.operator_commands import operator_app
from opentrail_cli.options import ConfigOption, DataDirectoryOption
from opentrail_cli.terminal import configure_logs, notices, output
from opentrail_cli.tokens import token_app

# Commands import what they run when they run: `--help` and `validate-logs` need no gRPC and no database.

_WIDTH = {"max_content_width": 100}
app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings=_WIDTH,
)
heads_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, context_settings=_WIDTH)
keys_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, context_settings=_WIDTH)
app.add_typer(operator_app)
app.add_typer(history_app, name="history", help="Management events of the last 90 days.")
app.add_typer(keys_app, name="keys", help="Public keys that auditors need.")
app.add_typer(heads_app, name="heads", help="Signed heads of digest chains, to keep elsewhere.")
app.add_typer(access_key_app, name="access-key", help="Access keys for the CloudTrail API.")
app.add_typer(token_app, name="token", help="Tokens of those who send events.")


class _Debug:
    wanted = False


def main() -> None:
    """Runs the command; an error is one clear sentence on the standard error, and exit code 1."""
    try:
        app(prog_name="opentrail")
    except (CommandFailed, *BACKEND_ERRORS) as error:
        if _Debug.wanted:
            raise
        notices().print(str(error), style="red")
        sys.exit(1)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"opentrail {version('opentrail')}")
        raise typer.Exit


@app.callback(
    epilog="Begin with `opentrail demo`, or with `opentrail up` and `opentrail ingest FILE…`. "
    "Settings come from OPENTRAIL_… variables or a TOML file: docs/configuration.md."
)
def opentrail(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show where an error came from.")] = False,
) -> None:
    """A CloudTrail that you run yourself: audit events in, signed and encrypted log files out."""
    _Debug.wanted = debug


@app.command(short_help="Show the whole way on made-up records.")
def demo(
    directory: Annotated[Path, typer.Option(metavar="DIR", help="where the demo's data lies")] = Path(".demo"),
    seed: Annotated[int, typer.Option(help="another seed makes another day")] = 1,
    events: Annotated[int, typer.Option(min=100, max=200_000, help="how many events")] = 4000,
) -> None:
    """Show the whole way on made-up records: sent, delivered, signed, validated, tampered with, caught."""
    from opentrail_cli.demo import run_demo

    configure_logs("text", "error")
    raise typer.Exit(run_demo(directory, seed, events, output()))


@app.command(short_help="Run everything in one process.", epilog="Example: opentrail up --account 123456789012")
def up(
    config: ConfigOption = None,
    data_directory: DataDirectoryOption = None,
    account: Annotated[
        str | None, typer.Option(metavar="ID", help="add an account, with a trail that wants everything")
    ] = None,
    declared: Annotated[
        Path | None, typer.Option(metavar="FILE", help="accounts and trails to apply first (see `apply`)")
    ] = None,
) -> None:
    """Run everything in one process, with all data in one directory."""
    from opentrail_cli.up import run_everything

    run_everything(opened_settings(config, data_directory=data_directory, declared=declared), account)


@app.command(epilog="Example: OPENTRAIL_EVENT_BUS=kafka://kafka:9092 opentrail serve producer")
def serve(
    service: Annotated[Literal["producer", "delivery", "control-plane", "validator"], typer.Argument(help="which one")],
    config: ConfigOption = None,
) -> None:
    """Run one service, for a cluster."""
    from opentrail_cli.up import run_services

    run_services(opened_settings(config), (service,))


@app.command(
    short_help="Send CloudTrail records from files.",
    epilog="Example: opentrail ingest --add-accounts AWSLogs/*/CloudTrail/*/*/*/*/*.json.gz",
)
def ingest(
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="log files, or one record a line (.jsonl)")],
    config: ConfigOption = None,
    data_directory: DataDirectoryOption = None,
    producer: Annotated[
        str | None,
        typer.Option(envvar="OPENTRAIL_PRODUCER", metavar="ADDRESS", help="the producer [default: this machine]"),
    ] = None,
    token: Annotated[
        str | None, typer.Option(envvar="OPENTRAIL_TOKEN", help="a token; not needed beside the data directory")
    ] = None,
    token_file: Annotated[Path | None, typer.Option(metavar="FILE", help="read the token from a file")] = None,
    certificate_authority: Annotated[
        Path | None, typer.Option(metavar="FILE", help="use TLS; the authority that signed the producer's certificate")
    ] = None,
    add_accounts: Annotated[
        bool, typer.Option("--add-accounts", help="add accounts that are not known yet (only without a token)")
    ] = False,
    journal: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="makes it safe to repeat the command after an interruption: nothing is doubled"
        ),
    ] = None,
    show_all: Annotated[bool, typer.Option("--all", help="list every record that was not accepted")] = False,
) -> None:
    """Send CloudTrail records from .json, .json.gz, .jsonl and .jsonl.gz files. Exit code 1 if any is not accepted."""
    from opentrail_cli.ingest_command import ingest as run
    from opentrail_cli.local_tokens import LocalTokens, read_token

    settings = opened_settings(config, data_directory=data_directory)
    target, given = producer or settings.producer_address, read_token(token, token_file)
    if given is not None:
        clean = run(files, target, lambda _account: given, certificate_authority, journal=journal, show_all=show_all)
        raise typer.Exit(0 if clean else 1)
    with local_parts(settings) as parts:
        tokens = LocalTokens(parts, add_accounts=add_accounts)
        clean = run(files, target, tokens.token_for, certificate_authority, journal=journal, show_all=show_all)
    for account_id in tokens.added:
        output().print(f"Account {account_id} was added, with a trail that wants everything.")
    raise typer.Exit(0 if clean else 1)


@app.command(
    short_help="Apply declared accounts and trails.", epilog="Example: opentrail apply examples/organization.toml"
)
def apply(
    file: Annotated[Path, typer.Argument(help="a TOML file, described in docs/configuration.md")],
    config: ConfigOption = None,
    data_directory: DataDirectoryOption = None,
    prune: Annotated[bool, typer.Option("--prune", help="remove trails that the file does not name")] = False,
) -> None:
    """Make accounts, organizations, tokens and trails what a file declares. Applying again changes nothing."""
    from opentrail_cli.services import make_buckets
    from opentrail_cli.up import apply_file, print_credentials

    with Parts(opened_settings(config, data_directory=data_directory)) as parts:
        applied = apply_file(parts, file, prune=prune)
        make_buckets(parts)
    for change in applied.changes:
        trail = applied.configuration.trails.get(change.id)
        verb = "removed" if change.body is None else "set"
        output().print(f"{verb} {change.kind} {change.id if trail is None else trail.arn}")
    if not applied.changes:
        output().print("Nothing to change.")
    print_credentials(output(), applied.new_tokens, applied.new_access_keys)


@app.command("cat", short_help="Print log files and digests.")
def cat(
    names: Annotated[
        list[str], typer.Argument(metavar="FILE…", help="s3://BUCKET/KEY, or a path in the data directory")
    ],
    config: ConfigOption = None,
    data_directory: DataDirectoryOption = None,
) -> None:
    """Print log files and digests, decrypted and uncompressed."""
    from opentrail_cli.reading import read_object

    with local_parts(opened_settings(config, data_directory=data_directory)) as parts:
        for name in names:
            sys.stdout.buffer.write(read_object(parts, name) + b"\n")


@keys_app.command("export")
def keys_export(
    config: ConfigOption = None,
    data_directory: DataDirectoryOption = None,
    region: Annotated[str | None, typer.Option(metavar="REGION", help="only this region's keys")] = None,
) -> None:
    """Print the public keys, for an auditor to pin: `validate-logs --public-keys FILE`."""
    from opentrail_cli.reading import export_public_keys

    settings = opened_settings(config, data_directory=data_directory)
    with local_parts(settings) as parts:
        print_json(export_public_keys(parts.state, settings.regions if region is None else (region,)))


@heads_app.command("export")
def heads_export(
    config: ConfigOption = None,
    data_directory: DataDirectoryOption = None,
    region: Annotated[str | None, typer.Option(metavar="REGION", help="only this region's heads")] = None,
) -> None:
    """Print the newest signed head of each chain, for an auditor to keep: `validate-logs --heads FILE`."""
    from opentrail_cli.heads import export_heads

    with local_parts(opened_settings(config, data_directory=data_directory)) as parts:
        print_json(export_heads(parts.state, region))


# The flags of these two are the validator's own: they work without the libraries that this file needs (entry.py).
_PASSED_ON = {"allow_extra_args": True, "ignore_unknown_options": True}


@app.command(
    "validate-logs",
    short_help="Validate digests and log files.",
    add_help_option=False,
    context_settings=_PASSED_ON,
)
def validate_logs(context: typer.Context) -> None:
    """Validate digests and log files, with the flags of `aws cloudtrail validate-logs` and more."""
    from opentrail_validator.command import main as validate

    raise typer.Exit(validate(context.args))


@app.command("prove", short_help="Write the proof of one event.", add_help_option=False, context_settings=_PASSED_ON)
def prove(context: typer.Context) -> None:
    """Write a small file that proves one event to whoever trusts the public keys: `validate-logs --proof FILE`."""
    from opentrail_cli.prove import main as run

    raise typer.Exit(run(context.args))
