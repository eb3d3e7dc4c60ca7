"""What the producer does with an event, part by part: check, group, encode and compress, answer.

python -m benchmarks.intake
"""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.workload import BATCH_EVENTS, Batch, batches, check, least_cpu
from opentrail.events.batch import EventBatch
from opentrail.events.grouping import group_records
from opentrail.events.record import CheckedRecord, Rejection
from opentrail_backends.event_bus.batches import pack
from opentrail_cli.malloc import keep_large_buffers

_EVENTS = 20_000
_ROUNDS = 9


def run() -> None:
    """Prints microseconds of CPU per event."""
    keep_large_buffers()
    work = list(batches(_EVENTS))
    checked = [check(batch) for batch in work]
    assert not any(isinstance(verdict, Rejection) for verdicts in checked for verdict in verdicts)
    grouped = [_group(batch, verdicts) for batch, verdicts in zip(work, checked, strict=True)]
    values = [pack(batch) for batch in grouped]
    size = sum(len(record) for batch in work for record in batch.records)
    events = len(work) * BATCH_EVENTS
    steps: dict[str, Callable[[], object]] = {
        "check": lambda: [check(batch) for batch in work],
        "group": lambda: [_group(batch, verdicts) for batch, verdicts in zip(work, checked, strict=True)],
        "encode and compress": lambda: [pack(batch) for batch in grouped],
    }
    spent = {name: least_cpu(step, _ROUNDS) / events * 1e6 for name, step in steps.items()}
    for name, microseconds in [*spent.items(), ("together", sum(spent.values()))]:
        print(f"{name:24} {microseconds:6.2f} µs")
    groups = sum(len(batch.groups) for batch in grouped)
    print(f"\n{size / events:,.0f} B each, {size / sum(map(len, values)):.1f}:1 on the bus, ", end="")
    print(f"{groups / len(grouped):.0f} selector classes in a batch of {BATCH_EVENTS}")


def _group(batch: Batch, verdicts: list[CheckedRecord | Rejection]) -> EventBatch:
    good = [verdict for verdict in verdicts if isinstance(verdict, CheckedRecord)]
    return group_records(batch.account_id, batch.region, good, range(BATCH_EVENTS), bytes(16))


if __name__ == "__main__":
    run()
