"""Ten trails, of which three get a bucket that refuses, one that is silent and one that is throttled.

All ten are on one partition, so that their files lie in the same windows. The lag of a trail is the time from the
acceptance of an event until the log file with it lies in its bucket: most of it is the window's length.

python -m benchmarks.bad_buckets
"""

from __future__ import annotations

import argparse
import time

from benchmarks.cluster import Cluster, Sender, Spread, bucket_of, cluster, lags, wait_until_delivered
from opentrail_cli.declared import DeclaredAccount
from tests.soak.faulty_s3 import Kind, Trouble

_ACCOUNTS = [f"{number:012}" for number in range(100000000001, 100000000011)]
_TROUBLES = (Kind.DENIED, Kind.SILENT, Kind.SLOW_DOWN)
_WINDOW_SECONDS = 5
_PATIENCE = 180.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60, help="of each of the two phases")
    run(parser.parse_args().seconds)


def run(seconds: float = 60) -> None:
    """Prints the lag of the seven good trails without and with the three bad ones, and when those had everything."""
    accounts = [DeclaredAccount(id=account) for account in _ACCOUNTS]
    with cluster(accounts, window_seconds=str(_WINDOW_SECONDS)) as running:
        senders = [Sender(running, account, pause=0.5) for account in _ACCOUNTS]
        try:
            _measure(running, senders, seconds)
        finally:
            for sender in senders:
                sender.stop()


def _measure(running: Cluster, senders: list[Sender], seconds: float) -> None:
    bad, good = senders[: len(_TROUBLES)], senders[len(_TROUBLES) :]
    # A window that is open when the phase ends belongs to neither.
    time.sleep(_WINDOW_SECONDS * 1.5)
    begins = time.monotonic()
    time.sleep(seconds)
    worse = time.monotonic()
    for sender, kind in zip(bad, _TROUBLES, strict=True):
        running.proxy.begin(
            Trouble(kind, frozenset({bucket_of(sender.account)}), until=worse + 10 * seconds, left=10**9)
        )
    time.sleep(seconds)
    over = time.monotonic()
    for sender in senders:
        sender.stop()
    for sender in good:  # while the three are still bad
        wait_until_delivered(running, sender, _PATIENCE)
    all_there = time.monotonic()
    running.proxy.end_troubles()
    last_of_bad = [wait_until_delivered(running, sender, _PATIENCE) for sender in bad]

    without = Spread.of([lag for one in good for lag in lags(running, one, lambda at: begins <= at < worse)])
    beside = Spread.of([lag for one in good for lag in lags(running, one, lambda at: worse <= at < over)])
    print(f"lag of seven trails, windows of {_WINDOW_SECONDS} s, {without.count:,} and {beside.count:,} events\n")
    print(f"  all buckets work      {without}")
    print(f"  three buckets do not  {beside}")
    print(f"  ratio                 {beside.against(without)}\n")
    for sender, kind, last in zip(bad, _TROUBLES, last_of_bad, strict=True):
        held = Spread.of(lags(running, sender, lambda at: worse <= at < over))
        print(f"  {kind:52} p50 {held.median:6.1f} s   last file {last - all_there:5.1f} s after it works again")
    events = sum(len(sender.accepted_at) for sender in senders)
    struck = sum(running.proxy.struck.values())
    print(f"\n{events:,} events were accepted; each lies in its bucket once. {struck} requests were tried in vain.")


if __name__ == "__main__":
    main()
