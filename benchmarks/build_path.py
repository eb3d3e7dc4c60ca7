"""How close delivery's build path comes to the limit, as ratios in one run.

The limit L is ISA-L's gzip at level 1 and SHA-256 of exactly the bytes that the build path wrote, and nothing
else. The build path is steps 2 and 3 without the ledger: unpack the bus's values (zstd, msgpack), route every
group to the trails that want it, deflate, hash, assemble. Everything on one core; best of several rounds.

    python benchmarks/build_path.py [--events N]
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import time
import uuid
from collections.abc import Callable

from isal import isal_zlib

from opentrail.events.grouping import group_records
from opentrail.events.record import CheckedRecord, check_records
from opentrail.evidence.log_file import read_log_file
from opentrail.trails.configuration import (
    Change,
    ConfigurationHistory,
    Kind,
    Organization,
    organization_body,
    trail_body,
)
from opentrail.trails.event_selectors import EventSelectors
from opentrail.trails.trail import Trail
from opentrail_backends.event_bus.batches import pack
from opentrail_backends.event_bus.port import Message, Partition
from opentrail_cli.malloc import keep_large_buffers
from opentrail_cli.realistic_events import ORGANIZATION_ID, REGIONS, realistic_events
from opentrail_delivery.codec import fastest_codec
from opentrail_delivery.intent_body import IntentBody
from opentrail_delivery.window_build import BuiltFile, build_files, governing_revisions, read_batches

_BATCH = 500
_ROUNDS = 7
_START = 1_760_000_000
_ALL_DATA = [{"ReadWriteType": "All", "DataResources": [{"Type": "AWS::S3::Object", "Values": ["arn:aws:s3"]}]}]
_SELECTORS = {
    "everything": EventSelectors.from_api(_ALL_DATA),
    "management": EventSelectors(),
    "writes": EventSelectors.from_api([{"ReadWriteType": "WriteOnly"}]),
    "no-kms": EventSelectors.from_api([{"ExcludeManagementEventSources": ["kms.amazonaws.com"]}]),
    "reads": EventSelectors.from_api([{"ReadWriteType": "ReadOnly"}]),
}


def main() -> None:
    """Prints L and the build path for one trail, five mixed trails and five identical ones."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=60_000)
    events = parser.parse_args().events
    keep_large_buffers()  # as the services do
    messages, raw = bus_messages(events)
    size = sum(len(message.value) for message in messages)
    print(f"{events:,} events, {raw / events:,.0f} B each, {raw / size:.1f}:1 on the bus, {len(messages)} messages\n")
    print(f"{'trails':24} {'files':>6} {'MB out':>7} {'L':>10} {'build':>10} {'% of L':>7} {'events/s':>10}")
    one = measure("1 trail", messages, events, [("everything", "t0")])
    mixed = measure("5 mixed trails", messages, events, [(name, name) for name in _SELECTORS])
    same = measure("5 identical trails", messages, events, [("everything", f"t{i}") for i in range(5)])
    print(f"\n5 mixed trails take {mixed / one:.2f} x the CPU of one, 5 identical ones {same / one:.2f} x")


def bus_messages(events: int) -> tuple[list[Message], int]:
    """What the producer would have put on one partition: batches of one account each, and their bytes of JSON."""
    by_account: dict[str, list[bytes]] = {}
    for event in realistic_events(1, _START, events=min(events, 20_000)):
        by_account.setdefault(event.account_id, []).append(event.record)
    accounts = {
        account: list(itertools.islice(itertools.cycle(records), events * len(records) // 20_000 + 1))
        for account, records in by_account.items()
    }
    messages: list[Message] = []
    raw = 0
    for account, records in accounts.items():
        for batch in _batched(records):
            checked = check_records(
                batch,
                account_id=account,
                regions=set(REGIONS),
                default_region=REGIONS[0],
                now=_START + 10**6,
                new_event_id=lambda: str(uuid.uuid4()),
            )
            good = [record for record in checked if isinstance(record, CheckedRecord)]
            raw += sum(len(record.raw) for record in good)
            value = pack(group_records(account, REGIONS[0], good))
            messages.append(Message(Partition(REGIONS[0], 0), len(messages), 1000, value))
    return messages, raw


def _batched(records: list[bytes]) -> list[list[bytes]]:
    return [records[start : start + _BATCH] for start in range(0, len(records), _BATCH)]


def measure(title: str, messages: list[Message], events: int, trails: list[tuple[str, str]]) -> float:
    """Prints one line; returns the seconds of the build path."""
    history = _history(trails)
    codec = fastest_codec()

    def build() -> list[BuiltFile]:
        batches, poison = read_batches(messages, None)
        assert not poison
        body = IntentBody(stamp=0, file_bytes=45_000_000, revisions=governing_revisions(messages, history))
        return build_files(batches, body, history, codec)

    files = build()
    bodies = [read_log_file(file.log_file.body) for file in files]

    def limit() -> None:
        for body in bodies:
            isal_zlib.compress(body, 1, wbits=31)
            hashlib.sha256(body)

    least, built = _best(limit), _best(build)
    out = sum(map(len, bodies))
    print(
        f"{title:24} {len(files):6} {out / 1e6:7.1f} {least * 1e3:8.1f}ms {built * 1e3:8.1f}ms "
        f"{least / built:7.0%} {events / built:10,.0f}"
    )
    return built


def _history(trails: list[tuple[str, str]]) -> ConfigurationHistory:
    accounts = {event.account_id for event in realistic_events(1, _START, events=2000)}
    organization = Organization(ORGANIZATION_ID, min(accounts), frozenset(accounts))
    changes = [Change(1, 1, Kind.ORGANIZATION, organization.id, organization_body(organization))]
    for revision, (selectors, name) in enumerate(trails, start=2):
        trail = Trail(
            incarnation=str(uuid.uuid4()),
            name=name,
            account_id=organization.management_account_id,
            home_region=REGIONS[0],
            s3_bucket_name="bucket",
            organization_id=organization.id,
            is_multi_region_trail=True,
            is_logging=True,
            event_selectors=_SELECTORS[selectors],
        )
        changes.append(Change(revision, revision, Kind.TRAIL, trail.incarnation, trail_body(trail)))
    return ConfigurationHistory(changes)


def _best(work: Callable[[], object]) -> float:
    times = []
    for _ in range(_ROUNDS):
        started = time.process_time()
        work()
        times.append(time.process_time() - started)
    return min(times)


if __name__ == "__main__":
    main()
