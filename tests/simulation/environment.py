"""What happens to a running deployment: each method is one thing, chosen by the schedule."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from opentrail.evidence.log_file import STANDARD_CODEC, Segment, assemble
from opentrail_backends.object_store.port import ObjectStoreError, PutOptions
from opentrail_backends.state.port import FileState
from opentrail_delivery.log_file_put import HASH_METADATA
from tests.simulation.stops import Stops
from tests.simulation.trails import BUCKETS, OWNERS
from tests.simulation.workers import HEADS_BUCKET, SPOOL_BUCKET
from tests.simulation.world import World

_MOST_WORKERS = 3
_FAILURES = ("refuse", "throttle", "error", "silent", "mixed", "refuse")


@dataclass
class Environment(Stops):
    """The things that happen, by name; weights say how often."""

    world: World
    _clients: int = 0

    def act(self, weights: dict[str, int]) -> None:
        """One of them."""
        names = [name for name, weight in weights.items() for _ in range(weight)]
        name = self.world.choices.pick(names)
        if self.world.scheduler.trace is not None:
            self.world.scheduler.trace.append(f"{'':>8} ENVIRONMENT {name}")
        action: Callable[[], None] = getattr(self, name)
        action()

    def _note(self, what: str) -> None:
        self.world.scheduler.note(what)

    # --- time --------------------------------------------------------------------------------------

    def time_passes(self) -> None:
        self.world.scheduler.now += self.world.choices.pick((300, 900, 2_100, 5_000, 100))

    def much_time_passes(self) -> None:
        self.world.scheduler.now += self.world.choices.pick((7_000, 20_000, 65_000))

    def the_bus_clock_steps(self) -> None:
        self.world.bus.clock_offset = self.world.choices.pick((0, 900, -900, 4_000, -4_000))
        self.world.clocks_differed = True
        self._note("clock of the bus stepped")

    def the_store_clock_steps(self) -> None:
        self.world.store_clock_offset = self.world.choices.pick((0, 1_000, -1_000, 8_000, -8_000))
        self.world.clocks_differed = True
        self._note("clock of the store stepped")

    def a_worker_clock_steps(self) -> None:
        workers = self.world.living()
        if workers:
            self.world.choices.pick(workers).process.wall_offset = self.world.choices.pick((0, 3_000, -3_000, 60_000))
            self._note("clock of a worker stepped")

    # --- workers -----------------------------------------------------------------------------------

    def a_worker_starts(self) -> None:
        if len(self.world.living()) < _MOST_WORKERS:
            self.world.start_worker()
            self._note("worker started")

    def a_worker_dies(self) -> None:
        workers = self.world.living()
        if workers:
            self.world.kill(self.world.choices.pick(workers))
            self._note("worker died")
        if not self.world.living():
            self.world.start_worker()

    def a_worker_stops(self) -> None:
        workers = [worker for worker in self.world.living() if not worker.process.is_stopping]
        if workers:
            self.world.choices.pick(workers).stop(self.world)
            self._note("worker stopped in order")

    def a_worker_sleeps(self) -> None:
        """It becomes a zombie: the group takes it for dead, and it knows nothing of it."""
        workers = [worker for worker in self.world.living() if not worker.process.is_frozen]
        if len(workers) < 2:
            self.a_worker_starts()
            return
        process = self.world.choices.pick(workers).process
        process.is_frozen = True
        self._note("worker became a zombie")
        if self.world.choices.below(4):
            for member in [m for m in self.world.bus.members if m.process is process]:
                self.world.bus.expel(member)
            self.partitions_move()

    def a_worker_wakes(self) -> None:
        zombies = [worker for worker in self.world.living() if worker.process.is_frozen]
        if zombies:
            self.world.choices.pick(zombies).process.is_frozen = False
            self._note("zombie woke up")

    def the_group_notices(self) -> None:
        self.world.forget_the_dead()
        self.world.keep_house()

    def partitions_move(self) -> None:
        world = self.world
        world.forget_the_dead()
        members = [m for m in world.bus.members if m.process.is_alive and not m.process.is_frozen]
        if members:
            world.bus.rebalance({p: world.choices.pick(members) for p in sorted(world.bus.logs)})
            self._note("partitions moved")

    def messages_are_passed_over(self) -> None:
        members = [m for m in self.world.bus.members if m.process.is_alive]
        if members:
            self.world.choices.pick(members).pass_over(self.world.choices.pick(sorted(self.world.bus.logs)))

    # --- producers ---------------------------------------------------------------------------------

    def a_producer_dies(self) -> None:
        alive = [producer for producer in self.world.producers if producer.process.is_alive]
        if alive:
            self.world.choices.pick(alive).process.is_alive = False
            self._note("producer died")
        self.world.start_producer()

    def messages_land_late(self) -> None:
        late = self.world.bus.late
        if late:
            late.pop(self.world.choices.below(len(late)))()
            self._note("message landed late")

    def poison_comes(self) -> None:
        partition = self.world.choices.pick(sorted(self.world.bus.logs))
        log = self.world.bus.logs[partition]
        whole = log.messages[-1][1] if log.messages else b"OTEB\x01"
        self.world.bus.append(partition, self.world.choices.pick((b"no batch at all", whole[:-3], whole[:6])))
        self._note("poison")

    # --- stores ------------------------------------------------------------------------------------

    def a_bucket_fails(self) -> None:
        self.world.faults.buckets[self.world.choices.pick(BUCKETS)] = self.world.choices.pick(_FAILURES)

    def a_bucket_refuses(self) -> None:
        self.world.faults.buckets[self.world.choices.pick(BUCKETS)] = "refuse"

    def buckets_work(self) -> None:
        self.world.faults.buckets.clear()

    def the_spool_fails(self) -> None:
        self.world.faults.buckets[SPOOL_BUCKET] = self.world.choices.pick(("refuse", "throttle", "error"))
        self._note("spool failed")

    def the_second_place_fails(self) -> None:
        self.world.faults.buckets[HEADS_BUCKET] = self.world.choices.pick(_FAILURES)
        self._note("second place failed")

    def answers_get_lost(self) -> None:
        faults, percent = self.world.faults, self.world.choices.pick((0, 3, 10, 30))
        self.world.answers_lost = percent
        match self.world.choices.below(5):
            case 0:
                faults.state = percent / 3
            case 1:
                faults.bus = percent / 3
            case 2:
                faults.publishing = percent
            case 3:
                faults.puts = percent
            case _:
                faults.keys = percent

    def nothing_fails(self) -> None:
        self.world.faults.clear()

    def a_put_lands_late(self) -> None:
        late = self.world.late_puts
        if late and late.pop(self.world.choices.below(len(late))).land(self.world.store):
            self._note("put landed late")

    def a_log_file_is_planted(self) -> None:
        """Something else lies where a log file is to be put; its metadata claims to be the file."""
        open_states = {FileState.INTENDED, FileState.PARKED}
        rows = [row for row in self.world.state.tables.files.values() if row.state in open_states]
        if rows:
            file = self.world.choices.pick(rows).file
            foreign = assemble([[Segment([b'{"eventID":"planted"}'])]], STANDARD_CODEC)[0].body
            self._plant(file.bucket, file.object_key, foreign, {HASH_METADATA: file.sha256}, "log file planted")

    def a_digest_is_planted(self) -> None:
        rows = [row for row in self.world.state.tables.digests.values() if row.published_at is None]
        if rows:
            digest = self.world.choices.pick(rows).digest
            self._plant(digest.bucket, digest.object_key, b"not a digest", {}, "digest planted")

    def _plant(self, bucket: str, key: str, body: bytes, metadata: dict[str, str], what: str) -> None:
        try:
            self.world.store.put(bucket, key, body, PutOptions(metadata=metadata))
        except ObjectStoreError:
            return
        self.world.planted.add((bucket, key))
        self._note(what)

    def old_rows_are_forgotten(self) -> None:
        self.world.state.forget(15_000)
        self._note("rows forgotten")

    # --- clients -----------------------------------------------------------------------------------

    def a_client_restarts(self) -> None:
        numbered = [client for client in self.world.clients if client.client_id is not None]
        self._clients += 1
        self.world.choices.pick(numbered).restart(f"client id {self._clients:06}".encode())
        self._note("client restarted")

    def an_old_client_comes_back(self) -> None:
        """With its old id, and numbers behind those that it sent."""
        client = self.world.choices.pick([client for client in self.world.clients if client.client_id is not None])
        client.restart(b"the same for all")
        client.next_number = self.world.choices.below(40)
        self._note("old client came back")

    # --- the configuration -------------------------------------------------------------------------

    def the_configuration_changes(self) -> None:
        operator, choices = self.world.operator, self.world.choices
        name = choices.pick(sorted(OWNERS))
        if name not in operator.trails:
            operator.create(name)
            self._note("trail created")
            return
        change = choices.pick(("move", "stop", "start", "delete", "again", "switch_selectors", "switch_key",
                               "switch_validation", "switch_member", "move", "restart"))  # fmt: skip
        self._change(name, change)

    def sessions_come_and_go(self) -> None:
        """Of account trails that stay where they are: one chain follows the other in the same place."""
        operator, choices = self.world.operator, self.world.choices
        name = choices.pick(("alpha", "beta"))
        if name not in operator.trails:
            operator.create(name, s3_bucket_name=BUCKETS[0], s3_key_prefix=None, log_file_validation_enabled=True)
            self._note("trail created")
        else:
            self._change(name, choices.pick(("restart", "again", "delete", "stop", "start", "restart", "delete")))

    def _change(self, name: str, change: str) -> None:
        operator = self.world.operator
        match change:
            case "again":
                old = operator.trails[name]
                operator.delete(name)
                operator.create(name, s3_bucket_name=old.s3_bucket_name, s3_key_prefix=old.s3_key_prefix)
            case "restart":
                operator.stop(name)
                operator.start(name)
            case "switch_member":
                operator.switch_member()
            case _:
                getattr(operator, change)(name)
        self._note(f"trail: {change}")

    def the_configuration_moves(self) -> None:
        operator = self.world.operator
        if operator.trails:
            operator.move(self.world.choices.pick(sorted(operator.trails)))
            self._note("trail: move")
