"""Shows what becomes of one case: `python -m tests.fuzz_corpus TARGET NUMBER`, with `> FILE` its bytes."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.fuzz_corpus.cases import case
from tests.fuzz_corpus.targets import TARGETS


def main(name: str, number: str) -> None:
    """Writes the bytes to standard output, and runs the target on them."""
    target = TARGETS[name]
    data = case(target.seeds(), int(number))
    sys.stdout.buffer.write(data)
    sys.stdout.flush()
    with tempfile.TemporaryDirectory() as folder:
        print(repr(target.run(data, Path(folder)))[:2000], file=sys.stderr)


if __name__ == "__main__":
    main(*sys.argv[1:])
