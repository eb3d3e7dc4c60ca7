"""`opentrail up` and `opentrail serve`: services that run until they are told to stop."""

from __future__ import annotations

import signal
import threading
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from opentrail_backends.state.port import AccessKey
from opentrail_cli.apply import Applied, NewToken, apply_declaration, newest_configuration
from opentrail_cli.composition import Parts
from opentrail_cli.declared import read_declaration
from opentrail_cli.errors import CommandFailed
from opentrail_cli.first_account import DEFAULT_ACCOUNT, first_account
from opentrail_cli.services import ALL_SERVICES, ServiceName, Services, make_buckets
from opentrail_cli.settings import Settings
from opentrail_cli.terminal import output
from opentrail_cli.validator_service import token_file


def run_everything(settings: Settings, account_id: str | None) -> None:
    """Runs all services in this process until SIGINT or SIGTERM. Raises CommandFailed."""
    with Parts(settings) as parts:
        applied = apply_at_start(parts, account_id)
        make_buckets(parts)
        services = Services(parts)
        with _StopSignals() as stopped:
            services.start(ALL_SERVICES)
            _print_ready(output(), settings, services, applied)
            stopped.wait()
            output().print("\nStopping: answering what was sent and finishing what is being put …")
            services.stop()
    output().print("Stopped. What is not in a log file yet is on the bus, and is delivered after the next start.")


def run_services(settings: Settings, names: Sequence[ServiceName]) -> None:
    """Runs some services until SIGINT or SIGTERM. Raises CommandFailed."""
    with Parts(settings) as parts:
        if settings.declared is not None:
            apply_file(parts, settings.declared)
        services = Services(parts)
        with _StopSignals() as stopped:
            services.start(names)
            addresses = (services.producer_address, services.control_plane_url, services.validator_address)
            places = [place for place in addresses if place]
            output().print(f"OpenTrail {', '.join(names)}: ready{''.join(f' on {place}' for place in places)}")
            stopped.wait()
            services.stop()


def apply_file(parts: Parts, file: Path, *, prune: bool = False) -> Applied:
    """Applies a declarative file. Raises CommandFailed."""
    declaration, places = read_declaration(file)
    return apply_declaration(declaration, parts.state.configuration, parts.secret_key, prune=prune, places=places)


def apply_at_start(parts: Parts, account_id: str | None) -> Applied | None:
    """The file that the settings name, or else a first account where there is no trail yet. Raises CommandFailed.

    An account that is there stays as it is: a key that was removed and a trail that was deleted do not come back.
    """
    if parts.settings.declared is not None and account_id is not None:
        raise CommandFailed("Give an account or a declared file, not both: the file can hold the account.")
    if parts.settings.declared is not None:
        return apply_file(parts, parts.settings.declared)
    store = parts.state.configuration
    known, wanted = newest_configuration(store), account_id or DEFAULT_ACCOUNT
    if wanted in known.accounts or (account_id is None and known.trails):
        return None
    return apply_declaration(first_account(wanted), store, parts.secret_key)


def print_credentials(console: Console, tokens: Sequence[NewToken], access_keys: Sequence[AccessKey]) -> None:
    """Shows what was made now and is not shown again."""
    if not tokens and not access_keys:
        return
    console.print("\n  Shown only now, keep them:", style="bold")
    for token in tokens:
        console.print(f'  token of {token.account_id} "{token.name}"\n    {token.token}')
    for key in access_keys:
        console.print(f"  access key of {key.account_id} ({key.role})")
        console.print(f"    AWS_ACCESS_KEY_ID={key.access_key_id}\n    AWS_SECRET_ACCESS_KEY={key.secret_access_key}")


def _print_ready(console: Console, settings: Settings, services: Services, applied: Applied | None) -> None:
    console.print("OpenTrail is ready.", style="bold green")
    console.print(f"\n  producer (gRPC)   {services.producer_address}")
    console.print(f"  CloudTrail API    {services.control_plane_url}")
    console.print(f"  validator (gRPC)  {services.validator_address} with the token in {token_file(settings)}")
    console.print(f"  log files         {settings.url_of('object_store')}, every {settings.window_seconds:g} s")
    if applied is not None:
        print_credentials(console, applied.new_tokens, applied.new_access_keys)
    console.print("\n  Next, in another terminal:", style="bold")
    console.print("    opentrail ingest FILE…      sends CloudTrail records")
    console.print("    opentrail status            shows what became of them")
    console.print("    aws cloudtrail create-trail --name audit --s3-bucket-name audit-logs --region us-east-1 \\")
    console.print(f"        --endpoint-url {services.control_plane_url}      makes a trail, with the access key")
    console.print("\nCtrl-C stops it.")


class _StopSignals:
    """An event that SIGINT and SIGTERM set while the block runs; a second one ends the process at once."""

    def __enter__(self) -> threading.Event:
        stopped = threading.Event()

        def stop(number: int, _frame: object) -> None:
            stopped.set()
            signal.signal(number, signal.SIG_DFL)

        self._before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
        return stopped

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
