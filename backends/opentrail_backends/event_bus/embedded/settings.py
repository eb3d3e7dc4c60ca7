"""How an embedded bus is named."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from opentrail_backends.event_bus.url_options import read_options, seconds, whole

FORM = "embedded:///PATH/TO/FILE.db"

_OPTIONS = {"lease": seconds(1), "max_message_bytes": whole(1024)}


@dataclass(frozen=True, slots=True)
class EmbeddedSettings:
    """Where the bus lies and what it allows."""

    path: Path
    lease: float = 60.0
    """Seconds without `poll` after which a reader loses its partitions. A reader whose process is gone loses them
    at once."""
    max_message_bytes: int = 8 * 1024 * 1024


def parse_embedded_url(url: str) -> EmbeddedSettings:
    """The settings in `embedded:///PATH?lease=60`. Raises ValueError with a sentence that says what is allowed."""
    parts = urlsplit(url)
    path = unquote(parts.path)
    if parts.netloc or parts.fragment or not path.startswith("/") or path.endswith("/") or "\0" in path:
        raise ValueError(f"the embedded event bus is named by {FORM}, with the file's absolute path")
    return EmbeddedSettings(Path(path), **read_options(parts.query, _OPTIONS, FORM))
