"""The `opentrail` command's first step: what an auditor needs of it works without the libraries of the services."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

_HELP = """\
This installation has the rules and the validator only:

  opentrail validate-logs   Validate digests and log files (also: validate-logs).
  opentrail prove           Write the proof of one event.

The services need more: pip install 'opentrail[server]'
"""


def main() -> None:
    """Runs the command, or says what to install."""
    alone = _command_that_works_alone(sys.argv[1:2])
    if alone is not None:
        sys.exit(alone(sys.argv[2:]))
    try:
        from opentrail_cli.main import main as run  # its libraries may be missing
    except ModuleNotFoundError as missing:
        if (missing.name or "opentrail").startswith("opentrail"):
            raise
        if sys.argv[1:] in ([], ["--help"]):
            sys.exit(_HELP)
        sys.exit(
            f"opentrail: {missing.name} is not installed. This installation has validate-logs and prove only; "
            "the services need more: pip install 'opentrail[server]'"
        )
    run()


def _command_that_works_alone(names: Sequence[str]) -> Callable[[Sequence[str]], int] | None:
    """The commands of an auditor."""
    if names == ["validate-logs"]:
        from opentrail_validator.command import main as validate_logs  # only what is asked for

        return validate_logs
    if names == ["prove"]:
        from opentrail_cli.prove import main as prove  # as above

        return prove
    return None
