"""All benchmarks in one run: `python -m benchmarks` (README.md tells what the numbers mean)."""

from __future__ import annotations

import argparse

from benchmarks import (
    bad_buckets,
    build_path,
    event_history,
    hostile_account,
    intake,
    validate_logs,
    validate_logs_memory,
    whole_path,
)


def main() -> None:
    """What OpenTrail costs: in parts, the whole way, and what bad buckets and a hostile account cost the others."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=main.__doc__)
    parser.add_argument("--events", type=int, default=900_000, help="how many events go the whole path")
    events = parser.parse_args().events
    print("Build path: the bus's messages to log files, on one core, against L (ISA-L gzip 1 + SHA-256)\n")
    build_path.run()
    print("\n\nProducer: CPU of one event in a batch of 500, on one core, without gRPC and bus\n")
    intake.run()
    print("\n\nWhole path: gRPC, producers, Kafka, delivery, object store, all on this machine\n")
    whole_path.run(events)
    print("\nBad buckets: one that refuses, one that is silent, one that is throttled, among ten\n")
    bad_buckets.run()
    print("\n\nA hostile account, and what its neighbour sees of it\n")
    hostile_account.run()
    print("\n\nEvent history: 200,000 events into the index, and lookups, on SQLite and PostgreSQL\n")
    event_history.run()
    print("\n\nValidator: beside `aws cloudtrail validate-logs`, on one bucket\n")
    validate_logs.run()
    validate_logs_memory.run()


if __name__ == "__main__":
    main()
