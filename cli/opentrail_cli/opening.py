"""How a command opens what it works on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import typer

from opentrail_cli.composition import Parts
from opentrail_cli.errors import CommandFailed
from opentrail_cli.settings import Settings, read_settings
from opentrail_cli.terminal import configure_logs


def opened_settings(config: Path | None, **given: Any) -> Settings:
    """The settings, and logs as they say. Raises Mistakes."""
    settings = read_settings(config, **given)
    configure_logs(settings.log_format, settings.log_level)
    return settings


def local_parts(settings: Settings) -> Parts:
    """Parts that must be there already: a command that only looks makes no empty installation. Raises CommandFailed."""
    if not settings.state and not settings.data_directory.is_dir():
        raise CommandFailed(
            f"There is nothing in {settings.data_directory}: start `opentrail up` there first, or name the place "
            "with --data-directory or --config."
        )
    return Parts(settings)


def print_json(value: Any) -> None:
    """A result for machines."""
    typer.echo(json.dumps(value, indent=2))
