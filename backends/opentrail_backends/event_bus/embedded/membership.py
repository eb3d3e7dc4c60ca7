"""Membership of a group: who lives, and which partitions are whose.

Each member decides for itself, inside a transaction that all others wait for. It lets go of what it has above its
share, and takes what nobody has up to its share; so a partition is never two members', and each is given up before
it is taken. Members and topics that come or go raise the group's version: that is how the others notice.
"""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

from opentrail_backends.event_bus.embedded.database import Database, partition_bounds
from opentrail_backends.event_bus.embedded.process import identity, is_gone
from opentrail_backends.event_bus.port import Partition

_HEARTBEATS_PER_LEASE = 6


class Change(NamedTuple):
    """What has to change in a member's share; partitions with their ids in the file."""

    lost: Mapping[Partition, int]
    """Taken from us already."""
    surplus: Mapping[Partition, int]
    """To be given up."""
    gained: Mapping[Partition, int]
    """Ours from now on."""


class Membership:
    """One member of a group."""

    def __init__(self, database: Database, group: str, lease: float, now: Callable[[], float]) -> None:
        self._database = database
        self._group = group
        self._lease = lease
        self._now = now
        self._member = ""
        self._seen_version = -1
        self._beat_at = float("-inf")

    @property
    def id(self) -> str:
        """The member's id; another one after it lost its membership."""
        return self._member

    def seconds_to_heartbeat(self) -> float:
        """How long nothing needs to be done."""
        return max(0.0, self._beat_at + self._lease / _HEARTBEATS_PER_LEASE - self._now())

    def is_due(self) -> bool:
        """Whether a heartbeat is due or the group has changed."""
        if self._now() < self._beat_at or self.seconds_to_heartbeat() == 0.0:  # a clock set back is no reason to wait
            return True
        with self._database.read() as connection:
            return self._version(connection) != self._seen_version

    def renew(self, ours: Mapping[Partition, int]) -> Change:
        """Shows that we live, buries the dead, and says how our share changes from `ours`."""
        with self._database.write() as connection:
            self._bury_the_dead(connection)
            self._show_life(connection)
            owned = {
                key for (key,) in connection.execute("SELECT partition FROM owners WHERE member = ?", [self._member])
            }
            kept = {partition: key for partition, key in ours.items() if key in owned}
            surplus, gained = self._settle(connection, kept)
            self._seen_version = self._version(connection)
        self._beat_at = self._now()
        lost = {partition: key for partition, key in ours.items() if key not in owned}
        return Change(lost, surplus, gained)

    def release(self, partitions: Collection[int]) -> None:
        """Gives partitions up, for the other members to take."""
        with self._database.write() as connection:
            for partition in partitions:
                connection.execute("DELETE FROM owners WHERE member = ? AND partition = ?", [self._member, partition])
            self._raise_version(connection)

    def leave(self) -> None:
        """Ends the membership and gives everything up."""
        with self._database.write() as connection:
            connection.execute("DELETE FROM members WHERE id = ?", [self._member])
            self._raise_version(connection)

    def _bury_the_dead(self, connection: sqlite3.Connection) -> None:
        now = self._now()
        others = connection.execute(
            "SELECT id, expires_at, process FROM members WHERE consumer_group = ? AND id <> ?",
            [self._group, self._member],
        ).fetchall()
        for member, expires_at, process in others:
            if expires_at < now or is_gone(process):
                connection.execute("DELETE FROM members WHERE id = ?", [member])
                self._raise_version(connection)

    def _show_life(self, connection: sqlite3.Connection) -> None:
        expires_at = self._now() + self._lease
        if connection.execute("UPDATE members SET expires_at = ? WHERE id = ?", [expires_at, self._member]).rowcount:
            return
        self._member = uuid.uuid4().hex
        connection.execute("INSERT OR IGNORE INTO groups VALUES (?, 0)", [self._group])
        connection.execute(
            "INSERT INTO members VALUES (?, ?, ?, ?)", [self._member, self._group, expires_at, identity()]
        )
        self._raise_version(connection)

    def _settle(
        self, connection: sqlite3.Connection, kept: Mapping[Partition, int]
    ) -> tuple[dict[Partition, int], dict[Partition, int]]:
        everything = {partition: key for partition, (key, _) in partition_bounds(connection).items()}
        share = self._share(connection, len(everything))
        surplus = dict(sorted(kept.items())[share:])
        taken = {
            key for (key,) in connection.execute("SELECT partition FROM owners WHERE consumer_group = ?", [self._group])
        }
        free = [(partition, key) for partition, key in everything.items() if key not in taken]
        gained = dict(free[: max(0, share - len(kept))])
        connection.executemany(
            "INSERT INTO owners VALUES (?, ?, ?)", [(self._group, key, self._member) for key in gained.values()]
        )
        if gained:
            self._raise_version(connection)  # who has most has changed, and with it the others' shares
        return surplus, gained

    def _share(self, connection: sqlite3.Connection, partitions: int) -> int:
        """How many partitions are ours by right. Who has most may keep one more, so that few change hands."""
        ranked = [
            member
            for (member,) in connection.execute(
                "SELECT members.id FROM members LEFT JOIN owners ON member = members.id"
                " WHERE members.consumer_group = ? GROUP BY members.id ORDER BY count(partition) DESC, members.id",
                [self._group],
            )
        ]
        each, over = divmod(partitions, len(ranked))
        return each + (ranked.index(self._member) < over)

    def _version(self, connection: sqlite3.Connection) -> int:
        row = connection.execute("SELECT version FROM groups WHERE name = ?", [self._group]).fetchone()
        return int(row[0]) if row else -1

    def _raise_version(self, connection: sqlite3.Connection) -> None:
        connection.execute("UPDATE groups SET version = version + 1 WHERE name = ?", [self._group])
