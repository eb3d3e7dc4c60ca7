"""Our validator beside `aws cloudtrail validate-logs`: wall and CPU time on one bucket, in one run, as ratios.

Evidence lies in MinIO, its log files of about 10 KB and about 1 MB (compressed). Both commands are processes, the AWS
CLI unmodified; a small endpoint answers ListPublicKeys. Then the same with 20 ms added to each request to S3.

python -m benchmarks.validate_logs [--files N] [--large-files N] | --memory [--million]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import validate_logs_memory
from benchmarks.processes import Process
from benchmarks.validate_logs_evidence import RECORDS_FOR_1_MB, RECORDS_FOR_10_KB, RealisticChain
from tests.evidence_maker.layouts import lay_in_s3
from tests.evidence_maker.maker import listed_key, private_key
from tests.evidence_maker.trail_endpoint import trail_endpoint
from tests.servers import aws_cli
from tests.servers.s3 import S3Server, shared_minio
from tests.servers.session import ServerSession

FILES = 2_000
LARGE_FILES = 60
_DELAY_MS = 20
_FILES_AN_HOUR = 100
_ROUNDS = 3
_ENOUGH_SECONDS = 20.0
_NOTHING = ("2020-01-01T00:00:00Z", "2020-01-02T00:00:00Z")
_SAME_CHECKS = ("--no-records", "--no-unlisted", "--no-require-coverage")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=FILES, help="log files of about 10 KB")
    parser.add_argument("--large-files", type=int, default=LARGE_FILES, help="log files of about 1 MB")
    parser.add_argument("--memory", action="store_true", help="only the memory that very many log files take")
    parser.add_argument("--million", action="store_true", help="a million of them; else 100,000")
    arguments = parser.parse_args()
    if not arguments.memory:
        run(arguments.files, arguments.large_files)
    validate_logs_memory.run(1_000_000 if arguments.million else 100_000)


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one process: seconds from start to end, and seconds of CPU (user and system, threads included)."""

    wall: float
    cpu: float

    def without(self, start_up: Cost) -> Cost:
        """What is left when starting up is subtracted."""
        return Cost(self.wall - start_up.wall, self.cpu - start_up.cpu)


@dataclass(frozen=True, slots=True)
class Command:
    """One of the commands compared. `arguments` are what is put after those that all have in common."""

    name: str
    program: Sequence[str | Path]
    arguments: Sequence[str] = ()


def run(files: int = FILES, large_files: int = LARGE_FILES) -> None:
    """Prints a table for each size of log files, without and with a delay."""
    commands = [
        Command(
            "aws cloudtrail validate-logs",
            [aws_cli.all_versions()[0].python, "-m", "awscli", "cloudtrail", "validate-logs"],
        ),
        Command("ours, the AWS CLI's checks", [_ours()], _SAME_CHECKS),
        Command("ours, all checks", [_ours()]),
    ]
    session = ServerSession.begin()
    try:
        server = shared_minio(session)
        with trail_endpoint([], [listed_key(private_key(0))]) as api, _far_away(server) as far:
            for records, count in ((RECORDS_FOR_10_KB, files), (RECORDS_FOR_1_MB, large_files)):
                chain = _evidence(server, records, count)
                compressed, inflated = chain.sizes()
                print(
                    f"{count:,} log files of {compressed / 1e3:,.0f} KB ({inflated / 1e3:,.0f} KB inflated), "
                    f"{len(chain.digests)} digests\n"
                )
                for title, endpoint in (("as it is", server.endpoint), (f"{_DELAY_MS} ms more for each request", far)):
                    _compare(title, commands, chain, _environment(server, endpoint, api))
    finally:
        session.end(keep_logs=False)


def _evidence(server: S3Server, records: int, count: int) -> RealisticChain:
    """A chain in a bucket of its own."""
    hours = -(-count // _FILES_AN_HOUR)
    chain = RealisticChain(records, bucket=server.new_bucket())
    for number in range(hours):
        chain.hour(count // hours + (number < count % hours))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda item: lay_in_s3(dict([item]), server.client), chain.objects.items()))
    return chain


def _compare(title: str, commands: Sequence[Command], chain: RealisticChain, env: Mapping[str, str]) -> None:
    print(f"{title:34} {'wall':>8} {'CPU':>8}   without starting up: {'wall':>8} {'CPU':>8}   {'files/s':>8}  ratios")
    first: tuple[Cost, Cost] | None = None
    for command in commands:
        start_up = _least(lambda: _cost(command, chain, _NOTHING, env))  # noqa: B023 - called right here
        whole = _least(lambda: _cost(command, chain, chain.span, env))  # noqa: B023 - as above
        net = whole.without(start_up)
        first = first or (whole, net)
        ratios = (
            f"wall {first[0].wall / whole.wall:5.1f} CPU {first[0].cpu / whole.cpu:4.1f}, "
            f"without starting up {first[1].wall / net.wall:5.1f} and {first[1].cpu / net.cpu:4.1f}"
        )
        print(
            f"  {command.name:32} {whole.wall:7.2f}s {whole.cpu:7.2f}s {'':22} {net.wall:7.2f}s {net.cpu:7.2f}s "
            f"{len(chain.logs) / net.wall:10,.0f}  {ratios}",
            flush=True,
        )
    print()


def _cost(command: Command, chain: RealisticChain, span: tuple[str, str], env: Mapping[str, str]) -> Cost:
    """Runs a command on the digests of a time. Raises AssertionError if it does not find all valid."""
    place = [
        "--trail-arn",
        chain.arn,
        "--account-id",
        chain.account,
        "--s3-bucket",
        chain.bucket,
        "--region",
        chain.region,
    ]
    times = ["--start-time", span[0], "--end-time", span[1]]
    with TemporaryDirectory() as folder, Path(folder, "out").open("w+b") as out:
        began = time.monotonic()
        process = subprocess.Popen(
            [*command.program, *place, *times, *command.arguments],
            env={**env, "HOME": folder},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            cwd=folder,
        )
        _, status, used = os.wait4(process.pid, 0)
        wall = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        said = out.read().decode()
    if span == chain.span:
        assert process.returncode == 0, said
        assert f"{len(chain.logs)}/{len(chain.logs)} log files valid" in said, said
    return Cost(wall, used.ru_utime + used.ru_stime)


def _least(measure: Callable[[], Cost]) -> Cost:
    """The least of some rounds, fewer of what takes long: what else the machine does only adds to it."""
    costs: list[Cost] = []
    while len(costs) < _ROUNDS and sum(cost.wall for cost in costs) < _ENOUGH_SECONDS:
        costs.append(measure())
    return Cost(min(cost.wall for cost in costs), min(cost.cpu for cost in costs))


def _environment(server: S3Server, endpoint: str, api: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "LC_ALL": "C.UTF-8",
        "AWS_ACCESS_KEY_ID": server.access_key,
        "AWS_SECRET_ACCESS_KEY": server.secret_key,
        "AWS_ENDPOINT_URL_S3": endpoint,
        "AWS_ENDPOINT_URL_CLOUDTRAIL": api,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def _ours() -> Path:
    """The command `validate-logs` of this environment."""
    return Path(sys.executable).with_name("validate-logs")


@contextmanager
def _far_away(server: S3Server) -> Iterator[str]:
    """The server's endpoint behind a relay that delays requests, in a process of its own."""
    port = server.endpoint.rpartition(":")[2]
    command = [sys.executable, "-m", "benchmarks.delaying_relay", port, str(_DELAY_MS)]
    with TemporaryDirectory() as folder, Process("delaying-relay", command, {}, Path(folder)) as relay:
        yield f"http://127.0.0.1:{int(relay.read_line())}"


if __name__ == "__main__":
    main()
