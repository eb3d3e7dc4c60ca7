"""`python -m tests.servers get`: brings or builds every server that the tests use; what is there already stays."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial

from tests.servers import aws_cli, cache, kafka, s3

STEPS: dict[str, Callable[[], object]] = {
    f"Kafka {kafka.VERSION} (Maven)": kafka.libraries,
    "Java 17 or newer": kafka.java,
    f"versitygw {s3.VERSITYGW_VERSION} (Go, about a minute)": s3.versitygw_program,
    f"MinIO {s3.MINIO_VERSION} (Go, about three minutes)": s3.minio_program,
    **{f"AWS CLI {version}": partial(aws_cli.get, version) for version in aws_cli.VERSIONS},
}


def main(arguments: list[str]) -> int:
    """Goes through all, prints what it does, and goes on when one is not to be had: the tests say what they lack."""
    if arguments != ["get"]:
        print(__doc__)
        return 2
    print(f"test servers in {cache.root()}", flush=True)
    for name, get in STEPS.items():
        print(f"  {name} … ", end="", flush=True)
        start = time.monotonic()
        try:
            get()
        except cache.Unavailable as reason:
            print(f"not available: {reason}", flush=True)
        else:
            print(f"ready ({time.monotonic() - start:.1f} s)", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
