"""An account that does its worst, and what its neighbour sees of it: answers, and lag of delivery.

Its bucket refuses everything, its rate limit is tiny, its share of the spool runs out, and it calls at full speed
over several connections, with a new client id for each batch or its neighbour's, and with its neighbour's event ids.
Both accounts are on one partition. Because the attack takes a processor of this machine, a phase in which it goes to
another producer process comes between: what is left of the difference is what the service lets through.

python -m benchmarks.hostile_account
"""

from __future__ import annotations

import argparse
import json
import random
import secrets
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc

from benchmarks.cluster import (
    BATCH_EVENTS,
    Cluster,
    Sender,
    Spread,
    batch,
    bucket_of,
    cluster,
    lags,
    publisher,
    wait_until_delivered,
)
from benchmarks.processes import Process
from opentrail_cli.declared import DeclaredAccount
from tests.soak.faulty_s3 import Kind, Trouble

_NEIGHBOUR, _HOSTILE = "111122223333", "666677778888"
_WINDOW_SECONDS = 5
_CONNECTIONS = 4
_HOSTILE_EVENTS_PER_SECOND = 100.0
_SHARE_BYTES = 50_000
"""An account's share of the spool, which the hostile one uses up."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=30, help="of each of the three phases")
    parser.add_argument("--attack", nargs=3, metavar=("ADDRESS", "TOKEN", "CLIENT_ID"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.attack:
        _attack(*given.attack)
    else:
        run(given.seconds)


def run(seconds: float = 30) -> None:
    """Prints the neighbour's answers and lag: alone, during an attack elsewhere, during one on its own producer."""
    accounts = [
        DeclaredAccount(id=_NEIGHBOUR),
        DeclaredAccount(id=_HOSTILE, events_per_second=_HOSTILE_EVENTS_PER_SECOND),
    ]
    settings = {"window_seconds": str(_WINDOW_SECONDS), "spool_share_bytes": str(_SHARE_BYTES)}
    with cluster(accounts, producers=2, **settings) as running:
        refused = Trouble(Kind.DENIED, frozenset({bucket_of(_HOSTILE)}), time.monotonic() + 3600, 10**9)
        running.proxy.begin(refused)
        sender = Sender(running, _NEIGHBOUR, pause=0.05)
        try:
            _measure(running, sender, seconds)
        finally:
            sender.stop()


def _measure(running: Cluster, sender: Sender, seconds: float) -> None:
    time.sleep(_WINDOW_SECONDS * 2)
    phases: dict[str, tuple[float, float]] = {}
    said: Counter[str] = Counter()
    begins = time.monotonic()
    time.sleep(seconds)
    phases["alone"] = begins, time.monotonic()
    for title, address in (("attack elsewhere", running.addresses[1]), ("attack", running.addresses[0])):
        with _attacking(running, sender, address) as attack:
            begins = time.monotonic()
            time.sleep(seconds)
            phases[title] = begins, time.monotonic()
            attack.write_line("stop")
            said += Counter(json.loads(attack.read_line()))
        time.sleep(_WINDOW_SECONDS)
    sender.stop()
    wait_until_delivered(running, sender, 120)

    print(f"the hostile account's answers: {', '.join(f'{count:,} {status}' for status, count in said.items())}")
    print(f"its neighbour's: {', '.join(f'{count:,} {status}' for status, count in sender.statuses.items())}")
    print(f"{len(sender.accepted_at):,} events of the neighbour were accepted; each lies in its bucket once\n")
    answers = {title: _answers(sender, *span) for title, span in phases.items()}
    _print(f"the neighbour's answers (batches of {BATCH_EVENTS})", answers)
    lag = {
        title: Spread.of(lags(running, sender, lambda at, begin=begin, end=end: begin <= at < end))  # type: ignore[misc]
        for title, (begin, end) in phases.items()
    }
    _print(f"the neighbour's lag (windows of {_WINDOW_SECONDS} s)", lag)


def _answers(sender: Sender, begin: float, end: float) -> Spread:
    return Spread.of([took for at, took in sender.answers if begin <= at < end])


def _print(title: str, spreads: dict[str, Spread]) -> None:
    print(title)
    for name, spread in spreads.items():
        print(f"  {name:22} {spread}")
    print(f"  {'ratio to alone':22} {spreads['attack'].against(spreads['alone'])}")
    print(f"  {'ratio to elsewhere':22} {spreads['attack'].against(spreads['attack elsewhere'])}\n")


@contextmanager
def _attacking(running: Cluster, sender: Sender, address: str) -> Iterator[Process]:
    """The hostile account as a process of its own, at it."""
    command = [sys.executable, "-m", "benchmarks.hostile_account", "--attack", address, running.tokens[_HOSTILE]]
    with (
        tempfile.TemporaryDirectory(prefix="opentrail-bench-") as folder,
        Process("attack", [*command, sender.client_id.hex()], {}, Path(folder)) as attack,
    ):
        attack.read_line()
        yield attack


def _attack(address: str, token: str, client_id: str) -> None:
    """Calls at full speed until a line comes; prints how often it got which status."""
    statuses: Counter[str] = Counter()
    stop = threading.Event()
    metadata = (("authorization", f"Bearer {token}"),)

    def work(seed: int) -> None:
        chance = random.Random(seed)
        with grpc.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
            publish = publisher(channel)
            while not stop.is_set():
                first = chance.randrange(20_000)  # numbers and ids that the neighbour had, has, or will have
                stolen = chance.random() < 0.5
                request = batch(
                    _HOSTILE,
                    range(first, first + BATCH_EVENTS),
                    bytes.fromhex(client_id) if stolen else secrets.token_bytes(16),
                    ids_of=_NEIGHBOUR,
                )
                try:
                    publish(request, metadata=metadata, timeout=60)
                    statuses["OK"] += 1
                except grpc.RpcError as error:
                    statuses[error.code().name] += 1

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(_CONNECTIONS)]
    for thread in threads:
        thread.start()
    print("ready", flush=True)
    sys.stdin.readline()
    stop.set()
    for thread in threads:
        thread.join()
    print(json.dumps(statuses), flush=True)


if __name__ == "__main__":
    main()
