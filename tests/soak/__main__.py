"""A run by itself: python -m tests.soak --minutes 30 --kills 200 --seed N."""

from __future__ import annotations

import argparse
import logging
import os
import random
import sys
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.servers import aws_cli, kafka, postgresql, s3
from tests.servers.session import ServerSession
from tests.soak.installation import Pace, Servers
from tests.soak.run import RunSettings, run


def main() -> int:
    """Prints the summary and what is wrong; the exit code is 1 if anything is."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--events-per-second", type=float, default=200)
    parser.add_argument("--window", type=int, default=5, metavar="SECONDS")
    parser.add_argument("--digest", type=int, default=30, metavar="SECONDS")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep the services' logs here")
    given = parser.parse_args()
    for name in [name for name in os.environ if name.startswith(("AWS_", "OPENTRAIL_"))]:
        if not name.startswith("OPENTRAIL_TEST_"):
            del os.environ[name]
    logging.getLogger("opentrail_producer").setLevel(logging.ERROR)  # tries that fail are what this is about
    settings = RunSettings(
        seconds=given.minutes * 60,
        kills=given.kills,
        seed=given.seed,
        pace=Pace(given.window, given.digest),
        events_per_second=given.events_per_second,
        say=lambda line: print(line, flush=True),
    )
    with ExitStack() as stack:
        session = ServerSession.begin()
        stack.callback(session.end, keep_logs=False)
        folder = given.keep or Path(stack.enter_context(TemporaryDirectory(prefix="opentrail-soak-")))
        folder.mkdir(parents=True, exist_ok=True)
        releases = aws_cli.all_versions()
        servers = Servers(kafka.own(session), postgresql.own(session), s3.own_minio(session))
        for server in servers:
            stack.callback(server.process.close)
        report = run(settings, folder, servers, releases)
    print("\n".join(report.lines))
    for finding in report.findings:
        print(f"WRONG: {finding}")
    print("nothing lost, nothing twice, no stray object" if not report.findings else "FAILED")
    return 1 if report.findings else 0


if __name__ == "__main__":
    sys.exit(main())
