"""The `opentrail` command's first step: it needs more than an auditor's installation brings."""

from __future__ import annotations

import sys


def main() -> None:
    """Runs the command, or says what to install."""
    try:
        from opentrail_cli.main import main as run  # noqa: PLC0415 (its libraries may be missing)
    except ModuleNotFoundError as missing:
        if (missing.name or "opentrail").startswith("opentrail"):
            raise
        sys.exit(
            f"opentrail: {missing.name} is not installed. This installation has the rules and validate-logs only; "
            "the services need more: pip install 'opentrail[server]'"
        )
    run()
