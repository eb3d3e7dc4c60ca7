"""All benchmarks in one run: `python -m benchmarks` (README.md tells what the numbers mean)."""

from __future__ import annotations

import argparse

from benchmarks import build_path, intake, whole_path


def main() -> None:
    """The build path against its limit, the producer's work on an event, then the whole path with real servers."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=main.__doc__)
    parser.add_argument("--events", type=int, default=900_000, help="how many events go the whole path")
    events = parser.parse_args().events
    print("Build path: the bus's messages to log files, on one core, against L (ISA-L gzip 1 + SHA-256)\n")
    build_path.run()
    print("\n\nProducer: CPU of one event in a batch of 500, on one core, without gRPC and bus\n")
    intake.run()
    print("\n\nWhole path: gRPC, producers, Kafka, delivery, object store, all on this machine\n")
    whole_path.run(events)


if __name__ == "__main__":
    main()
