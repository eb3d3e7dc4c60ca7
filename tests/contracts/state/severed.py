"""Commits whose answer is lost: at the driver, or on the wire by a proxy before PostgreSQL."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import Any, Self

import pytest
from sqlalchemy import make_url

from opentrail_backends.state.port import StateStore


def lose_next_commit(store: StateStore, monkeypatch: pytest.MonkeyPatch, *, kept: bool) -> None:
    """The connection breaks after (kept) or before the database has committed; no answer comes either way."""
    dialect = store._transactions.engine.dialect  # type: ignore[attr-defined]
    commit, rollback = dialect.do_commit, dialect.do_rollback

    def do_commit(connection: Any) -> None:
        monkeypatch.setattr(dialect, "do_commit", commit)
        (commit if kept else rollback)(connection)
        raise dialect.loaded_dbapi.OperationalError("the connection was lost")

    monkeypatch.setattr(dialect, "do_commit", do_commit)


class Severing:
    """Passes bytes on both ways, until it is told to cut the connection at the next commit."""

    def __init__(self, url: str) -> None:
        self._server = make_url(url)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._cut = threading.Event()
        self._pass_on = False
        self._threads: list[threading.Thread] = []
        self._ends: list[socket.socket] = []

    @property
    def url(self) -> str:
        """The database through the proxy."""
        port = self._listener.getsockname()[1]
        return self._server.set(host="127.0.0.1", port=port).render_as_string(hide_password=False)

    def sever_at_commit(self, *, pass_on: bool) -> None:
        """At the next commit: passes it on and waits for the database's answer first, or does not."""
        self._pass_on = pass_on
        self._cut.set()

    def __enter__(self) -> Self:
        self._run(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        _close(self._listener)
        self._threads[0].join(60)
        _close(*self._ends)
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive()

    def _run(self, work: object, *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection((self._server.host or "127.0.0.1", self._server.port or 5432))
                self._ends += [client, server]
                answered = threading.Event()
                self._run(self._to_server, client, server, answered)
                self._run(self._to_client, client, server, answered)

    def _to_server(self, client: socket.socket, server: socket.socket, answered: threading.Event) -> None:
        with suppress(OSError):
            while data := client.recv(65536):
                if self._cut.is_set() and b"COMMIT\0" in data:
                    self._cut.clear()
                    client.shutdown(socket.SHUT_RDWR)
                    if self._pass_on:
                        answered.clear()
                        server.sendall(data)
                        assert answered.wait(60)
                    break
                server.sendall(data)
        _close(client, server)

    @staticmethod
    def _to_client(client: socket.socket, server: socket.socket, answered: threading.Event) -> None:
        with suppress(OSError):
            while data := server.recv(65536):
                answered.set()
                with suppress(OSError):
                    client.sendall(data)
        _close(client, server)


def _close(*ends: socket.socket) -> None:
    for end in ends:
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()
