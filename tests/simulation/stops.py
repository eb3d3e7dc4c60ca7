"""What happens to a deployment that must stop loudly: lost messages, restored backups, newer formats."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from opentrail.events.batch import FORMAT_VERSION
from opentrail_backends.event_bus.port import Partition
from tests.simulation.memory_tables import PartitionRow
from tests.simulation.virtual_time import BREAKING
from tests.simulation.world import World


class Stops:
    """A part of the environment."""

    world: World
    partitions_move: Callable[[], None]
    _note: Callable[[str], None]

    def a_backup_is_taken(self) -> None:
        if self.world.backup is None:
            self.world.backup = self.world.state.snapshot()

    def the_backup_is_restored(self) -> None:
        """With all processes stopped. Only if the bus can tell: something was delivered since."""
        world, backup = self.world, self.world.backup
        if backup is None or world.restored:
            return
        rows = backup.partitions
        since = [p for p, hint in world.bus.hints.items() if hint.offset > _next_offset(rows, p)]
        if not since:
            return
        for worker in world.living():
            world.kill(worker)
        world.keys_before = list(world.state.tables.keys)
        world.changes_before = list(world.state.tables.changes)
        world.state.restore(backup)
        world.restored = world.faults.nothing_may_be_written = True
        self._note("backup restored")
        world.start_worker()

    def messages_are_deleted(self) -> None:
        """Before they were delivered."""
        partition = self.world.choices.pick(sorted(self.world.bus.logs))
        log = self.world.bus.logs[partition]
        at = _next_offset(self.world.state.tables.partitions, partition)
        if at < log.end and not self.world.unsure:
            log.start = at + 1 + self.world.choices.below(log.end - at)
            self.world.unsure.add(partition)
            self._note("messages deleted")

    def the_log_is_cut(self) -> None:
        """It ends below what the ledger knows, and takes nothing more."""
        partition = self.world.choices.pick(sorted(self.world.bus.logs))
        log = self.world.bus.logs[partition]
        needed = self._needed(partition)
        if needed and not self.world.unsure:
            del log.messages[self.world.choices.below(needed) :]
            self.world.bus.blocked.add(partition)
            self.world.unsure.add(partition)
            self._note("log cut")

    def offsets_are_used_again(self) -> None:
        """An unclean election: other messages lie at the offsets of an open intent."""
        world = self.world
        for (region, number), intents in sorted(world.state.tables.intents.items()):
            partition = Partition(region, number)
            still_open = [row.intent for row in intents.values() if not row.closed]
            if still_open and not world.unsure:
                log = world.bus.logs[partition]
                first, end = still_open[0].first_offset, log.end
                others = [value for _, value in log.messages[first:]]
                del log.messages[first:]
                for index in range(end - first):
                    world.bus.append(partition, others[(index + 1) % len(others)] if index else others[-1])
                world.bus.blocked.add(partition)
                world.unsure.add(partition)
                self._note("offsets used again")

    def a_topic_is_made_anew(self) -> None:
        world = self.world
        region = world.choices.pick(sorted(world.bus.counts))
        if not world.unsure and all(
            (p.region, p.number) in world.state.tables.partitions for p in world.bus.partitions_of(region)
        ):
            world.bus.make_anew(region)
            world.unsure |= set(world.bus.partitions_of(region))
            self._note("topic made anew")
            self.partitions_move()

    def a_newer_message_comes(self) -> None:
        partition = self.world.choices.pick(sorted(self.world.bus.logs))
        if partition not in self.world.newer:
            self.world.newer[partition] = self.world.bus.logs[partition].end
            self.world.bus.append(partition, b"OTEB" + bytes([FORMAT_VERSION + 1]) + b"whatever it is")
            self._note("message of a newer format")

    def a_message_breaks_old_readers(self) -> None:
        """A record that today's workers cannot read, and those that start from now on can."""
        partition = self.world.choices.pick(sorted(self.world.bus.logs))
        log = self.world.bus.logs[partition]
        if log.messages and self.world.operator.trails:
            value = log.messages[-1][1]
            at = _next_offset(self.world.state.tables.partitions, partition)
            if at < log.end and value not in BREAKING and value[:5] == b"OTEB\x01":
                BREAKING[value] = self.world.names_of_workers
                self._note("message breaks old readers")

    def _needed(self, partition: Partition) -> int:
        tables = self.world.state.tables
        intents = tables.intents.get((partition.region, partition.number), {})
        ends = [row.intent.end_offset for row in intents.values() if not row.closed]
        return max([_next_offset(tables.partitions, partition), *ends])


def _next_offset(partitions: Mapping[tuple[str, int], PartitionRow], partition: Partition) -> int:
    row = partitions.get((partition.region, partition.number))
    return row.next_offset if row else 0
