"""The state store on SQL databases: SQLite for one machine, PostgreSQL for a cluster. See `docs/state.md`."""

from __future__ import annotations

from collections.abc import Callable

from opentrail_backends.state.port import StateStore


def open_state_store(
    url: str, *, secret_key: bytes | None = None, clock: Callable[[], int] | None = None
) -> StateStore:
    """Opens a state store; `migrate()` must have run before it is used.

    Args:
        url: `sqlite:///file`, `sqlite://` (in memory, for this store alone) or `postgresql+psycopg://user@host/name`.
        secret_key: 32 bytes that encrypt the secrets of access keys (AES-256-GCM). Needed only by these.
        clock: Milliseconds since the epoch. Without one: PostgreSQL's own clock, or this process's for SQLite.

    Raises:
        StateError: if the URL, the key or the installation is wrong. No connection is made yet.
    """
    # SQLAlchemy is loaded only by who opens a store: the port alone stays importable without it.
    from opentrail_backends.state.store import SqlStateStore  # noqa: PLC0415 (as said)

    return SqlStateStore.open(url, secret_key=secret_key, clock=clock)
