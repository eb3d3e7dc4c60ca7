"""A whole run: load and chaos for so long, then quiet, then everything is read and judged."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from opentrail_cli.composition import Parts
from opentrail_cli.status import read_status
from tests.servers.aws_cli import AwsCli
from tests.soak.bucket_check import TrailBucket, check_bucket, read_bucket, undigested
from tests.soak.chaos import Chaos, draw
from tests.soak.installation import TRAILS, Installation, Pace, Servers, installation
from tests.soak.judging import fsck, own_ends, parked_ever, validate
from tests.soak.load import Book, Load
from tests.soak.services import wait_until_all_ready

_SETTLE_SECONDS = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """How long, how hard, and with what luck."""

    seconds: float
    kills: int
    seed: int
    pace: Pace
    events_per_second: float
    say: Callable[[str], None] = print


@dataclass
class Report:
    """What a run came to. It went well if there are no findings."""

    lines: list[str] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    kills: int = 0
    accepted: int = 0


def run(settings: RunSettings, folder: Path, servers: Servers, releases: list[AwsCli]) -> Report:
    """Runs and judges. Raises AssertionError if what was accepted is not delivered in time once all is quiet."""
    report = Report()
    say = settings.say
    say(f"seed {settings.seed}: {settings.kills} kills in {settings.seconds:.0f} s")
    with installation(folder, servers, settings.pace, settings.seed) as cluster:
        started = time.monotonic()
        load = Load(
            [relay.address for relay in cluster.relays], dict(cluster.tokens), settings.events_per_second, settings.seed
        )
        chance = random.Random(settings.seed)
        chaos = Chaos(cluster, draw(settings.seconds, settings.kills, chance), chance)
        try:
            chaos.run(say)
        finally:
            cluster.proxy.end_troubles()
            load.stop()
        say(f"{chaos.kills} kills done after {time.monotonic() - started:.0f} s; waiting until all is delivered")
        quiet_at = time.monotonic()
        _wait_until_settled(cluster, say)
        say(f"all is delivered and digested {time.monotonic() - quiet_at:.0f} s after the last trouble; judging")
        codes = {service.name: service.stop() for service in cluster.services}
        buckets = [read_bucket(cluster.minio, trail) for trail in TRAILS]
        report.findings += chaos.errors
        report.findings += [f"{name} ended with {code} at SIGTERM" for name, code in codes.items() if code != 0]
        report.findings += own_ends(cluster)
        report.findings += [f"not accepted: {text} ({n} times)" for text, n in load.book.failures.items()]
        for bucket in buckets:
            report.findings += check_bucket(bucket, load.book)
        wrong, copies_left = fsck(cluster)
        report.findings += [*wrong, *validate(cluster, buckets, releases)]
        report.kills, report.accepted = chaos.kills, len(load.book.accepted)
        report.lines = [
            *_summary(cluster, chaos, load.book, buckets, time.monotonic() - started),
            f"{copies_left:8,} copies of delivered files left in the spool by kills",
        ]
    return report


def _wait_until_settled(cluster: Installation, say: Callable[[str], None]) -> None:
    """Until the bus is read to its end, nothing is parked, and every log file is in a digest."""
    cluster.proxy.wait_until_quiet(60)
    wait_until_all_ready(cluster.services)
    deadline = time.monotonic() + _SETTLE_SECONDS
    known: dict[str, list[str]] = {}
    with cluster.parts() as parts:
        while waiting := _waiting(cluster, parts, known):
            if time.monotonic() > deadline:
                tails = "\n".join(f"{s.name}: {s.log.read_text(errors='replace')[-1500:]}" for s in cluster.services)
                raise AssertionError(f"not settled after {_SETTLE_SECONDS:.0f} s: {waiting}\n{tails}")
            say(f"  {waiting}")
            time.sleep(2)


def _waiting(cluster: Installation, parts: Parts, known: dict[str, list[str]]) -> str:
    """What is still under way."""
    partitions = read_status(parts.event_bus, parts.state)["partitions"]
    counts = {
        "messages": sum(one["lag"] for one in partitions),
        "open windows": sum(one["open_windows"] for one in partitions),
        "parked files": len(parts.state.ledger.parked_files(10_000)),
        "digests to put": len(parts.state.chains.unpublished(1_000)),
    }
    if not any(counts.values()):
        counts["files in no digest"] = undigested(cluster.minio, TRAILS, known)
    return ", ".join(f"{count} {what}" for what, count in counts.items() if count)


def _summary(
    cluster: Installation, chaos: Chaos, book: Book, buckets: list[TrailBucket], seconds: float
) -> Iterator[str]:
    yield f"{seconds:.0f} s"
    for what, count in sorted(chaos.done.items()):
        yield f"{count:8,} {what}"
    for what, count in sorted(cluster.proxy.struck.items()):
        yield f"{count:8,} requests to S3: {what}"
    with cluster.parts() as parts:
        clients = parts.state.ledger.clients()
    failed_starts = sum(len(service.own_ends) for service in cluster.services)
    yield f"{sum(relay.answers_lost for relay in cluster.relays):8,} connections of clients cut instead of an answer"
    yield f"{failed_starts:8,} starts that failed because a server was down"
    yield f"{len(book.sent):8,} events sent by {book.clients} clients"
    yield f"{len(book.accepted):8,} accepted"
    yield f"{len(book.unknown):8,} without an answer"
    yield f"{sum(one.repeats for one in clients):8,} repeats dropped"
    yield f"{sum(one.missing for one in clients):8,} numbers of clients that never came"
    yield f"{parked_ever(cluster):8,} files parked for a while"
    yield f"{sum(len(bucket.log_files) for bucket in buckets):8,} log files"
    yield f"{sum(len(bucket.digests) for bucket in buckets):8,} digests"
