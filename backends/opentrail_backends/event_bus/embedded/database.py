"""The SQLite file of the embedded bus: its tables and what several of its parts ask of them."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from opentrail_backends.event_bus.port import Bounds, CommittedPosition, EventBusError, Partition, Topic

FORMAT = 1
"""`user_version` of the file."""

_BUSY_SECONDS = 30.0
_PAGE_BYTES = 16384  # messages are large: fewer overflow pages

# A partition's id is never used twice, so nothing of a deleted topic can be taken for a new one's.
_SCHEMA = """
CREATE TABLE topics (id TEXT PRIMARY KEY, region TEXT NOT NULL UNIQUE);
CREATE TABLE partitions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    topic TEXT NOT NULL REFERENCES topics (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    start_offset INTEGER NOT NULL DEFAULT 0,
    end_offset INTEGER NOT NULL DEFAULT 0,
    last_append_time INTEGER NOT NULL DEFAULT 0,
    UNIQUE (topic, number)
);
CREATE TABLE messages (
    partition INTEGER NOT NULL REFERENCES partitions (id) ON DELETE CASCADE,
    offset INTEGER NOT NULL,
    append_time INTEGER NOT NULL,
    key BLOB NOT NULL,
    value BLOB NOT NULL
);
CREATE UNIQUE INDEX message_place ON messages (partition, offset);
CREATE TABLE groups (name TEXT PRIMARY KEY, version INTEGER NOT NULL);
CREATE TABLE members (
    id TEXT PRIMARY KEY,
    consumer_group TEXT NOT NULL REFERENCES groups (name),
    expires_at REAL NOT NULL,
    process TEXT NOT NULL
);
CREATE TABLE owners (
    consumer_group TEXT NOT NULL,
    partition INTEGER NOT NULL REFERENCES partitions (id) ON DELETE CASCADE,
    member TEXT NOT NULL REFERENCES members (id) ON DELETE CASCADE,
    PRIMARY KEY (consumer_group, partition)
);
CREATE TABLE committed (
    consumer_group TEXT NOT NULL,
    partition INTEGER NOT NULL REFERENCES partitions (id) ON DELETE CASCADE,
    offset INTEGER NOT NULL,
    metadata TEXT NOT NULL,
    PRIMARY KEY (consumer_group, partition)
);
CREATE INDEX owned_by ON owners (member);
CREATE INDEX owned_partition ON owners (partition);
CREATE INDEX committed_partition ON committed (partition);
CREATE TRIGGER topic_made AFTER INSERT ON topics BEGIN UPDATE groups SET version = version + 1; END;
CREATE TRIGGER topic_gone AFTER DELETE ON topics BEGIN UPDATE groups SET version = version + 1; END;
"""


class Database:
    """One connection to the file. Its methods may be called by several threads, one after the other.

    A foreign error leaves it as EventBusError.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        with _explained(path):
            # Several threads may close or use it in turn; the lock sees to "in turn".
            self._connection = sqlite3.connect(
                path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            try:
                self._prepare()
            except BaseException:
                self._connection.close()
                raise

    def _prepare(self) -> None:
        self._connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")  # a confirmed message survives a power cut
        self._connection.execute("PRAGMA foreign_keys = ON")
        if self._format() == FORMAT:
            return
        self._connection.execute("BEGIN IMMEDIATE")
        found = self._format()
        if found == 0:
            for statement in _statements(_SCHEMA):
                self._connection.execute(statement)
            self._connection.execute(f"PRAGMA user_version = {FORMAT}")
        self._connection.execute("COMMIT")
        if found not in {0, FORMAT}:
            raise EventBusError(
                f"the embedded event bus {self.path} has format {found}; this release knows format {FORMAT}"
            )

    def _format(self) -> int:
        return int(self._connection.execute("PRAGMA user_version").fetchone()[0])

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """A transaction that writes; durable when it returns, undone when it raises."""
        with self._transaction("BEGIN IMMEDIATE") as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """A transaction that sees one state of the file."""
        with self._transaction("BEGIN") as connection:
            yield connection

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[sqlite3.Connection]:
        with self._lock, _explained(self.path):
            self._connection.execute(begin)
            try:
                yield self._connection
            except BaseException:
                self._connection.rollback()
                raise
            try:
                self._connection.execute("COMMIT")
            except sqlite3.Error:
                self._connection.rollback()  # a COMMIT that failed leaves the transaction open
                raise

    def change_count(self) -> int:
        """Another number whenever another connection has changed the file since; cheap enough to ask all the time."""
        with self._lock, _explained(self.path):
            return int(self._connection.execute("PRAGMA data_version").fetchone()[0])

    def close(self) -> None:
        """Closes the connection."""
        with self._lock:
            self._connection.close()


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise EventBusError(f"the embedded event bus {path}: {error}") from error


def _statements(script: str) -> Iterator[str]:
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


# --- What several parts ask


def all_topics(connection: sqlite3.Connection) -> dict[str, Topic]:
    """All topics by region."""
    rows = connection.execute(
        "SELECT region, topics.id, count(*) FROM topics JOIN partitions ON topic = topics.id GROUP BY topics.id"
    )
    return {region: Topic(region, region, topic, partitions) for region, topic, partitions in rows}


def partition_bounds(connection: sqlite3.Connection) -> dict[Partition, tuple[int, Bounds]]:
    """Each partition's id and bounds."""
    rows = connection.execute(
        "SELECT partitions.id, region, number, start_offset, end_offset"
        " FROM partitions JOIN topics ON topic = topics.id ORDER BY region, number"
    )
    return {Partition(region, number): (key, Bounds(start, end)) for key, region, number, start, end in rows}


def committed_positions(connection: sqlite3.Connection, group: str) -> dict[int, CommittedPosition]:
    """A group's hints by the partition's id."""
    rows = connection.execute("SELECT partition, offset, metadata FROM committed WHERE consumer_group = ?", [group])
    return {key: CommittedPosition(offset, metadata) for key, offset, metadata in rows}


def forget(connection: sqlite3.Connection, partition: int, below: int, most: int) -> int:
    """Deletes at most `most` messages below an offset that every group has passed; returns how many.

    A group that has committed nothing for the partition has passed nothing.
    """
    passed = connection.execute(
        "SELECT min(coalesce(committed.offset, 0)) FROM groups"
        " LEFT JOIN committed ON consumer_group = name AND partition = ?",
        [partition],
    ).fetchone()[0]
    gone = connection.execute(
        "DELETE FROM messages WHERE rowid IN (SELECT rowid FROM messages"
        " WHERE partition = ? AND offset < ? ORDER BY offset LIMIT ?)",
        [partition, min(below, passed or 0), most],
    ).rowcount
    if gone:  # offsets have no gaps, so what is left begins that much later
        connection.execute("UPDATE partitions SET start_offset = start_offset + ? WHERE id = ?", [gone, partition])
    return gone
