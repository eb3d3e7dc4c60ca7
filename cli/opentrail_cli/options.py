"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", envvar="OPENTRAIL_CONFIG", metavar="FILE", help="settings in a TOML file"),
]
DataDirectoryOption = Annotated[
    Path | None,
    typer.Option("--data-directory", metavar="DIR", help="where everything lies [default: ./opentrail-data]"),
]
JsonOption = Annotated[bool, typer.Option("--json", help="print JSON")]


def printable(name: str) -> str:
    """A name that can be kept and shown; a byte of the command line that is no UTF-8 cannot. Raises BadParameter."""
    if not name.isprintable():
        raise typer.BadParameter("must have printable characters only")
    return name
