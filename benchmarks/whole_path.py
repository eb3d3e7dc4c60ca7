"""Events per second of the whole path: load generator, gRPC, producers, Kafka, delivery, log files, ledger.

Every part is a process of its own and as a user would run it (`opentrail serve …`); Kafka and MinIO are those of the
tests. All share this machine, the load generator too. A run counts from the first request until the ledger has every
accepted event in a delivered log file (step 5). What is set otherwise than by default: the accounts' rate limits
are lifted, and windows close after a second instead of five minutes.

python -m benchmarks.whole_path [--events N]
"""

from __future__ import annotations

import argparse
import json
import socket
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.processes import Process, ProcessFailed, cpu_seconds, opentrail
from benchmarks.workload import BATCH_EVENTS, SELECTORS
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
from opentrail_cli.realistic_events import ACCOUNTS, ORGANIZATION_ID, REGIONS
from opentrail_cli.services import make_buckets
from opentrail_cli.settings import read_settings
from opentrail_cli.status import read_status
from opentrail_producer.workers import reserve_port
from tests.servers import kafka, s3
from tests.servers.cache import Unavailable
from tests.servers.process import ServerProcess
from tests.servers.session import ServerSession

_PRODUCERS = 2
_CONNECTIONS = 8
_PARTITIONS = 4
_WARM_UP_EVENTS = 30_000
_PATIENCE = 180.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=900_000)
    run(parser.parse_args().events)


def run(events: int) -> None:
    """One trail into MinIO, five mixed trails into MinIO, one trail into a local directory."""
    for title, trails, store in (
        ("1 trail, log files in MinIO (S3, SSE-S3)", 1, "minio"),
        ("5 mixed trails, log files in MinIO (S3, SSE-S3)", 5, "minio"),
        ("1 trail, log files in a local directory (AES-256-GCM)", 1, "directory"),
    ):
        try:
            with _installation(trails, store) as installation:
                result = _measure(installation, events)
        except Unavailable as reason:
            print(f"{title}: not measured, {reason}\n")
            continue
        _print(title, result, installation)


@dataclass(slots=True)
class Installation:
    """Running services and how to look at them."""

    parts: Parts
    load: Process
    trails: int
    processes: dict[str, list[int]] = field(default_factory=dict)
    """Process numbers by what they are."""


@dataclass(slots=True)
class Result:
    """What a run gave. Times in seconds."""

    accepted: int
    record_bytes: int
    acked_in: float
    delivered_in: float
    cpu: dict[str, float | None]
    files: int
    file_events: int


@contextmanager
def _installation(trails: int, store: str) -> Iterator[Installation]:
    """A fresh installation: topics, buckets, trails, services. Raises Unavailable, ProcessFailed."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="opentrail-bench-")))
        session = ServerSession.begin()
        stack.callback(session.end, keep_logs=False)
        processes: dict[str, list[int]] = {}
        broker = kafka.prepare(session.place("kafka"))
        processes["Kafka"] = [_start(broker, session)]
        env = {
            "OPENTRAIL_DATA_DIRECTORY": str(folder / "data"),
            "OPENTRAIL_EVENT_BUS": f"kafka://{broker.address}?replication=1&min_insync=1",
            "OPENTRAIL_REGIONS": ",".join(REGIONS),
            "OPENTRAIL_PARTITIONS": str(_PARTITIONS),
            "OPENTRAIL_EVENTS_PER_SECOND": "1e9",
            "OPENTRAIL_BYTES_PER_SECOND": "1e12",
            "OPENTRAIL_WINDOW_SECONDS": "1",
            "OPENTRAIL_SHARE_PORT": "true",
            "OPENTRAIL_LOG_LEVEL": "warning",
        }
        buckets = [f"bench-{name}" for name in list(SELECTORS)[:trails]]
        if store == "minio":
            server, program = s3.prepare_minio(session.place("minio"))
            processes["MinIO"] = [_start(program, session)]
            for bucket in buckets:
                server.client.create_bucket(Bucket=bucket)
            env |= {
                "OPENTRAIL_OBJECT_STORE": f"s3://?endpoint={server.endpoint}&region={server.region}",
                "AWS_ACCESS_KEY_ID": server.access_key,
                "AWS_SECRET_ACCESS_KEY": server.secret_key,
            }
        holder: socket.socket = reserve_port("127.0.0.1:0")
        stack.callback(holder.close)
        address = f"127.0.0.1:{holder.getsockname()[1]}"
        env["OPENTRAIL_PRODUCER_ADDRESS"] = address
        parts = stack.enter_context(Parts(read_settings(None, env)))
        apply_declaration(_declaration(trails), parts.state.configuration, parts.secret_key)
        make_buckets(parts)
        tokens = {account: make_token(parts.secret_key, account, "bench") for account in ACCOUNTS}
        services = [("delivery", "delivery"), *((f"producer {n + 1}", "producer") for n in range(_PRODUCERS))]
        for name, service in services:
            process = stack.enter_context(Process(name, opentrail("serve", service), env, folder))
            process.read_line()
            processes.setdefault(service, []).append(process.pid)
        generator = [sys.executable, "-m", "benchmarks.load", address, str(_CONNECTIONS), json.dumps(tokens)]
        load = stack.enter_context(Process("load generator", generator, {}, folder))
        load.read_line()
        processes["load generator"] = [load.pid]
        yield Installation(parts, load, trails, processes)


def _start(server: ServerProcess, session: ServerSession) -> int:
    """Starts a server that lives as long as the session; returns its process number."""
    session.run(server)
    return int((server.folder / f"{server.name}.pid").read_text())


def _declaration(trails: int) -> Declaration:
    management = next(iter(ACCOUNTS))
    return Declaration(
        accounts=[DeclaredAccount(id=account, name=name) for account, name in ACCOUNTS.items()],
        organizations=[
            DeclaredOrganization(
                id=ORGANIZATION_ID, management_account_id=management, member_account_ids=list(ACCOUNTS)
            )
        ],
        tokens=[DeclaredToken(account_id=account, name="bench") for account in ACCOUNTS],
        trails=[
            DeclaredTrail(
                name=name,
                account_id=management,
                s3_bucket_name=f"bench-{name}",
                is_multi_region_trail=True,
                organization_id=ORGANIZATION_ID,
                event_selectors=selectors,
            )
            for name, selectors in list(SELECTORS.items())[:trails]
        ],
    )


def _measure(installation: Installation, events: int) -> Result:
    _send(installation, _WARM_UP_EVENTS)
    _wait_until_delivered(installation.parts)
    files_before, events_before = _delivered(installation)
    cpu_before = _cpu(installation)
    answer = _send(installation, events)
    delivered_at = _wait_until_delivered(installation.parts)
    cpu = {
        name: None if after is None or before is None else after - before
        for (name, after), before in zip(_cpu(installation).items(), cpu_before.values(), strict=True)
    }
    files, file_events = _delivered(installation)
    accepted = int(answer["accepted"])
    if answer.get("rejected"):
        raise ProcessFailed(f"the producer rejected {answer['rejected']:.0f} events")
    if installation.trails == 1 and file_events - events_before != accepted:
        raise ProcessFailed(f"{accepted} events were accepted, {file_events - events_before} are in log files")
    started = answer["started"]
    return Result(
        accepted=accepted,
        record_bytes=int(answer["bytes"]),
        acked_in=answer["ended"] - started,
        delivered_in=delivered_at - started,
        cpu=cpu,
        files=files - files_before,
        file_events=file_events - events_before,
    )


def _send(installation: Installation, events: int) -> dict[str, float]:
    installation.load.write_line(str(-(-events // BATCH_EVENTS)))
    answer: dict[str, float] = json.loads(installation.load.read_line())
    return answer


def _wait_until_delivered(parts: Parts) -> float:
    """When (CLOCK_MONOTONIC) the ledger had every message of the bus delivered. Raises ProcessFailed."""
    ends = {
        (one["region"], one["partition"]): one["end_offset"]
        for one in read_status(parts.event_bus, parts.state)["partitions"]
    }
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        windows = {(one["region"], one["partition"]): one for one in parts.state.ledger.windows()}
        now = time.monotonic()
        if all(
            end == 0
            or (place in windows and windows[place]["next_offset"] >= end and not windows[place]["open_intents"])
            for place, end in ends.items()
        ):
            return now
        time.sleep(0.02)
    raise ProcessFailed(f"not everything was delivered after {_PATIENCE:.0f} s: {windows}")


def _delivered(installation: Installation) -> tuple[int, int]:
    """Delivered log files in the ledger, and the events in them; the ledger's port gives no such sums."""
    database = installation.parts.settings.data_directory / "state.db"
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        files, events = connection.execute(
            "SELECT count(*), coalesce(sum(events), 0) FROM file WHERE state = 'delivered'"
        ).fetchone()
    return int(files), int(events)


def _cpu(installation: Installation) -> dict[str, float | None]:
    totals: dict[str, float | None] = {}
    for name, pids in installation.processes.items():
        spent = [cpu_seconds(pid) for pid in pids]
        totals[name] = None if None in spent else sum(one for one in spent if one is not None)
    return totals


def _print(title: str, result: Result, installation: Installation) -> None:
    accepted = result.accepted
    print(title)
    print(f"  {accepted / result.delivered_in:10,.0f} events/s delivered ({result.delivered_in:.1f} s)")
    print(f"  {accepted / result.acked_in:10,.0f} events/s acknowledged ({result.acked_in:.1f} s)")
    print(
        f"  {accepted:10,} events, {result.record_bytes / 1e6:,.0f} MB of records, in {result.files} log files", end=""
    )
    print(f" with {result.file_events:,} events")
    ours = 0.0
    for name, seconds in result.cpu.items():
        count = len(installation.processes[name])
        label = name if count == 1 else f"{name} (x{count})"
        if seconds is not None:
            print(f"  {seconds / accepted * 1e6:10.2f} µs CPU per event: {label}")
            ours += seconds if name in {"producer", "delivery"} else 0.0
    print(f"  {ours / accepted * 1e6:10.2f} µs CPU per event: producer and delivery together\n")


if __name__ == "__main__":
    main()
