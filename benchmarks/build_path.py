"""How close delivery's build path comes to the limit, as ratios in one run.

The limit L is ISA-L's gzip at level 1 and SHA-256 of exactly the bytes that the build path wrote, and nothing
else; *cleared* is L with the processor's vector registers cleared before each hash, as delivery's codec does it,
which is the stricter measure. The build path is steps 2 and 3 without the ledger: unpack the bus's values (zstd,
msgpack), route every group to the trails that want it, deflate, hash, assemble. One core; best of several rounds.

The build path is measured without and with the trees over records (setting `record_proofs`).

python -m benchmarks.build_path [--events N]
"""

from __future__ import annotations

import argparse
import hashlib
import uuid
from functools import partial

from isal import isal_zlib

from benchmarks.workload import SELECTORS, batches, check, least_cpu
from opentrail.events.grouping import group_records
from opentrail.events.record import CheckedRecord
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
from opentrail_cli.realistic_events import ACCOUNTS, ORGANIZATION_ID, REGIONS
from opentrail_delivery.codec import fastest_codec
from opentrail_delivery.intent_body import IntentBody
from opentrail_delivery.window_build import BuiltFile, build_files, governing_revisions, read_batches

_ROUNDS = 9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=80_000)
    run(parser.parse_args().events)


def run(events: int = 80_000) -> None:
    """Prints L and the build path for one trail, five mixed trails and five identical ones."""
    keep_large_buffers()  # as the services do
    messages, events, raw = bus_messages(events)
    size = sum(len(message.value) for message in messages)
    print(f"{events:,} events, {raw / events:,.0f} B each, {raw / size:.1f}:1 on the bus, {len(messages)} messages\n")
    print(
        f"{'trails':24} {'files':>6} {'MB out':>7} {'L':>10} {'build':>10} "
        f"{'% of L':>7} {'% of cleared':>13} {'events/s':>10} {'with proofs':>12} {'more/event':>11}"
    )
    one = measure("1 trail", messages, events, [("everything", "t0")])
    mixed = measure("5 mixed trails", messages, events, [(name, name) for name in SELECTORS])
    same = measure("5 identical trails", messages, events, [("everything", f"t{i}") for i in range(5)])
    print(f"\n5 mixed trails take {mixed / one:.2f} x the CPU of one, 5 identical ones {same / one:.2f} x")


def bus_messages(events: int) -> tuple[list[Message], int, int]:
    """What the producer would have put on one partition, the events in it, and their bytes of JSON."""
    messages: list[Message] = []
    count = raw = 0
    for batch in batches(events):
        if batch.region != REGIONS[0]:
            continue  # another topic
        good = [record for record in check(batch) if isinstance(record, CheckedRecord)]
        raw += sum(len(record.raw) for record in good)
        numbers = range(count, count + len(good))
        value = pack(group_records(batch.account_id, batch.region, good, numbers, bytes(16)))
        count += len(good)
        messages.append(Message(Partition(batch.region, 0), len(messages), 1000, value))
    return messages, count, raw


def measure(title: str, messages: list[Message], events: int, trails: list[tuple[str, str]]) -> float:
    """Prints one line; returns the seconds of the build path, without trees over records."""
    history = _history(trails)
    codec = fastest_codec()

    def build(*, record_proofs: bool = False) -> list[BuiltFile]:
        batches, poison = read_batches(messages, None)
        assert not poison
        body = IntentBody(stamp=0, file_bytes=45_000_000, revisions=governing_revisions(messages, history))
        return build_files(batches, body, history, codec, record_proofs=record_proofs)

    files = build()
    bodies = [read_log_file(file.log_file.body) for file in files]

    def limit() -> None:
        for body in bodies:
            isal_zlib.compress(body, 1, wbits=31)
            hashlib.sha256(body)

    def cleared_limit() -> None:
        for body in bodies:
            isal_zlib.compress(body, 1, wbits=31)
            hashlib.sha512(bytes(200))  # what opentrail_delivery.codec does for the hash that follows
            hashlib.sha256(body)

    with_proofs = partial(build, record_proofs=True)
    least, cleared, built, proven = (least_cpu(work, _ROUNDS) for work in (limit, cleared_limit, build, with_proofs))
    out = sum(map(len, bodies))
    print(
        f"{title:24} {len(files):6} {out / 1e6:7.1f} {least * 1e3:8.1f}ms {built * 1e3:8.1f}ms "
        f"{least / built:7.0%} {cleared / built:13.0%} {events / built:10,.0f} {proven * 1e3:10.1f}ms "
        f"{(proven - built) / events * 1e6:9.2f}µs"
    )
    return built


def _history(trails: list[tuple[str, str]]) -> ConfigurationHistory:
    organization = Organization(ORGANIZATION_ID, min(ACCOUNTS), frozenset(ACCOUNTS))
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
            event_selectors=EventSelectors.from_api(SELECTORS[selectors]),
        )
        changes.append(Change(revision, revision, Kind.TRAIL, trail.incarnation, trail_body(trail)))
    return ConfigurationHistory(changes)


if __name__ == "__main__":
    main()
