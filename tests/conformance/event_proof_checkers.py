"""Who checks the proof of an event: our commands in processes of their own, and the lines of docs/event-proofs.md."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

DOCUMENT = Path(__file__).parents[2] / "docs" / "event-proofs.md"
VALIDATE = "import sys; from opentrail_validator.command import main; sys.exit(main())"
PROVE = "import sys; from opentrail_cli.prove import main; sys.exit(main(sys.argv[1:]))"


def lines_of_the_document(language: str) -> str:
    (block,) = re.findall(rf"```{language}\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    return block


def check_by_hand(folder: Path, proof: bytes, keys: list[dict[str, Any]]) -> subprocess.CompletedProcess[str]:
    """What the document says, in an empty folder, by a Python that sees nothing of ours."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    folder.mkdir()
    (folder / "check.py").write_text(lines_of_the_document("python"))
    (folder / "proof.json").write_bytes(proof)
    (folder / "keys.json").write_text(json.dumps({"PublicKeyList": keys}))
    shell = lines_of_the_document("sh").replace("python3", f"'{sys.executable}' -I -S")
    return subprocess.run(
        ["sh", "-c", shell], cwd=folder, env=alone(), capture_output=True, text=True, timeout=60, check=False
    )


def alone() -> dict[str, str]:
    """No credentials, no endpoint, no settings of ours."""
    return {name: value for name, value in os.environ.items() if name in {"PATH", "LANG", "SYSTEMROOT"}}


def run(
    program: str, *arguments: str, folder: Path, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """One of our commands as a process; without `env` it can reach nobody."""
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=folder,
        env=alone() | dict(env or {}),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
