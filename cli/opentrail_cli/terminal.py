"""What is written to the terminal: results to the standard output, everything else to the standard error.

Colours and progress appear only on a terminal (rich sees to it, and to NO_COLOR).
"""

from __future__ import annotations

import logging
import sys
from typing import Literal

import structlog
from rich.console import Console

_FILE_WIDTH = 160
"""Columns of what is not printed to a terminal."""


def output() -> Console:
    """For results. Nothing in what is printed is taken for markup: it may come from a record."""
    is_terminal = sys.stdout.isatty()
    return Console(highlight=False, markup=False, soft_wrap=not is_terminal, width=None if is_terminal else _FILE_WIDTH)


def notices() -> Console:
    """For notices, progress and errors."""
    return Console(stderr=True, highlight=False, markup=False, soft_wrap=not sys.stderr.isatty())


def configure_logs(log_format: Literal["text", "json"], level: str) -> None:
    """Sends the logs of all parts, and of the libraries under them, to the standard error in one form."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if log_format == "json":
        rendering: list[structlog.typing.Processor] = [
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ]
    else:
        rendering = [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for chatty in ("kafka", "botocore", "urllib3", "uvicorn", "alembic"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, root.level))
