"""`opentrail demo`: the whole way in half a minute, on made-up records, with nothing but Python."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from opentrail_backends.state.port import StateStore
from opentrail_cli import demo_report
from opentrail_cli.apply import apply_declaration
from opentrail_cli.composition import Parts
from opentrail_cli.credentials import make_token
from opentrail_cli.declared import (
    Declaration,
    DeclaredAccount,
    DeclaredOrganization,
    DeclaredToken,
    DeclaredTrail,
)
from opentrail_cli.demo_evidence import BUCKET, Evidence, changed_byte
from opentrail_cli.errors import CommandFailed
from opentrail_cli.first_account import EVERYTHING, TRAIL_NAME
from opentrail_cli.ingest import Ingestion
from opentrail_cli.realistic_events import ACCOUNTS, ORGANIZATION_ID, REGIONS, GeneratedEvent, realistic_events
from opentrail_cli.record_files import FoundRecord
from opentrail_cli.services import Services, make_buckets
from opentrail_cli.settings import Settings
from opentrail_cli.status import read_status

MANAGEMENT = next(iter(ACCOUNTS))
HOURS = 6
"""How much of the organization's time the events tell of; it ends now."""

WINDOW_SECONDS = 2.0
DIGEST_SECONDS = 6
DIGESTS_PER_CHAIN = 2
PATIENCE_SECONDS = 100.0
_FAR_FUTURE = 1 << 40

_MARKER = "made-by-opentrail-demo"
_TOKEN = "demo"  # noqa: S105 - a name, not a token


def run_demo(directory: Path, seed: int, events: int, console: Console) -> int:
    """Runs the demo and prints what happens; 0 if all went as it should. Raises CommandFailed."""
    _empty(directory)
    settings = Settings(
        data_directory=directory,
        regions=REGIONS,
        window_seconds=WINDOW_SECONDS,
        digest_seconds=DIGEST_SECONDS,
        producer_address="127.0.0.1:0",
        control_plane_address="127.0.0.1:0",
        drain_seconds=10,
    )
    report = demo_report.Report(console, directory)
    with Parts(settings) as parts:
        began = parts.state.configuration.now() // 1000
        with _running(parts) as services:
            report.services(services)
            made = realistic_events(seed, began - HOURS * 3600, events=events, seconds=HOURS * 3600 - 60)
            with report.waiting("sending"):
                seconds = _send(made, parts, services)
            report.sent(made, seconds)
            with report.waiting(f"waiting for windows to close and {DIGESTS_PER_CHAIN} digests per chain"):
                seconds = _wait_for_digests(parts)
        evidence = Evidence(parts, MANAGEMENT, TRAIL_NAME, began)
        evidence.write_public_keys(directory / "public-keys.json")
        return _show_evidence(evidence, report, seconds)


def declaration() -> Declaration:
    """The demo's organization, with one trail for all accounts and regions."""
    return Declaration(
        accounts=[DeclaredAccount(id=account_id, name=name) for account_id, name in ACCOUNTS.items()],
        organizations=[
            DeclaredOrganization(
                id=ORGANIZATION_ID, management_account_id=MANAGEMENT, member_account_ids=list(ACCOUNTS)
            )
        ],
        tokens=[DeclaredToken(account_id=account_id, name=_TOKEN) for account_id in ACCOUNTS],
        trails=[
            DeclaredTrail(
                name=TRAIL_NAME,
                account_id=MANAGEMENT,
                s3_bucket_name=BUCKET,
                is_multi_region_trail=True,
                organization_id=ORGANIZATION_ID,
                event_selectors=EVERYTHING,
            )
        ],
    )


@contextmanager
def _running(parts: Parts) -> Iterator[Services]:
    apply_declaration(declaration(), parts.state.configuration, parts.secret_key)
    make_buckets(parts)
    services = Services(parts)
    services.start(("delivery", "producer", "control-plane"))  # the demo validates by itself, and shows it
    try:
        yield services
    finally:
        services.stop()


def _send(events: Sequence[GeneratedEvent], parts: Parts, services: Services) -> float:
    """Sends the events over gRPC, each account's with its token; returns the seconds it took."""
    assert services.producer_address is not None
    tokens = {account_id: make_token(parts.secret_key, account_id, _TOKEN) for account_id in ACCOUNTS}
    ingestion = Ingestion(services.producer_address, lambda account_id: tokens[account_id or MANAGEMENT])
    began = time.monotonic()
    try:
        ingestion.send(
            FoundRecord(Path("made up"), number, event.record, event.account_id, event.region)
            for number, event in enumerate(events, 1)
        )
    finally:
        ingestion.close()
    if ingestion.summary.accepted != len(events):
        raise CommandFailed(f"The producer did not accept every event: {ingestion.summary.not_accepted[:3]}")
    return time.monotonic() - began


def _wait_for_digests(parts: Parts) -> float:
    """Waits until every event is in a log file and every log file in a digest; returns the seconds it took."""
    began = time.monotonic()
    while time.monotonic() < began + PATIENCE_SECONDS:
        if _is_delivered(parts) and _is_digested(parts.state):
            return time.monotonic() - began
        time.sleep(0.2)
    raise CommandFailed(f"There were no {DIGESTS_PER_CHAIN} digests per chain after {PATIENCE_SECONDS:.0f} s.")


def _is_delivered(parts: Parts) -> bool:
    partitions = read_status(parts.event_bus, parts.state)["partitions"]
    return all(partition["lag"] == 0 and partition["open_windows"] == 0 for partition in partitions)


def _is_digested(state: StateStore) -> bool:
    chains = state.chains.all_chains()
    return (
        len(chains) == len(ACCOUNTS) * len(REGIONS)
        and all(chain.sequence >= DIGESTS_PER_CHAIN for chain in chains)
        and not any(state.chains.undigested(chain, _FAR_FUTURE) for chain in chains)
        and not state.chains.unpublished(1)
    )


def _show_evidence(evidence: Evidence, report: demo_report.Report, seconds: float) -> int:
    files = evidence.files()
    report.delivered(files, seconds)
    untouched = evidence.validate()
    report.validated(untouched)
    victim = evidence.log_file_with(b'"StopLogging"')
    with changed_byte(evidence.path_of(victim)):
        tampered = evidence.validate()
        report.tampered(victim, tampered)
    restored = evidence.validate()
    report.restored(restored)
    report.next_steps(victim, evidence)
    as_it_should = (
        untouched.exit_code == 0
        and restored.exit_code == 0
        and tampered.exit_code == 1
        and [finding.key for finding in tampered.invalid] == [victim.key]
    )
    return 0 if as_it_should else 1


def _empty(directory: Path) -> None:
    """Makes the directory anew. One that the demo did not make is left alone. Raises CommandFailed."""
    marker = directory / _MARKER
    try:
        if directory.exists() and any(directory.iterdir()) and not marker.exists():
            raise CommandFailed(f"{directory} is not empty and not of an earlier demo; name another --directory.")
        if directory.exists():
            shutil.rmtree(directory)
        directory.mkdir(parents=True)
        marker.touch()
    except OSError as error:
        raise CommandFailed(f"{directory} cannot be made: {error.strerror}.") from error
