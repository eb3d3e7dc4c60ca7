"""Schedules by theme: what happens in them and how often."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.simulation.choices import Choices
from tests.simulation.environment import Environment
from tests.simulation.world import World

_ALWAYS = {"time_passes": 10, "much_time_passes": 2, "the_group_notices": 2, "the_configuration_changes": 2}
_CRASHES = {
    "a_worker_dies": 3,
    "a_worker_starts": 3,
    "a_worker_sleeps": 4,
    "a_worker_wakes": 4,
    "a_worker_stops": 1,
    "partitions_move": 4,
    "a_producer_dies": 1,
}
_LOSSES = {"answers_get_lost": 4, "nothing_fails": 2, "messages_land_late": 2, "messages_are_passed_over": 1}
_BUCKETS = {
    "a_bucket_fails": 5,
    "buckets_work": 3,
    "the_spool_fails": 1,
    "a_put_lands_late": 5,
    "a_log_file_is_planted": 2,
    "a_digest_is_planted": 2,
}
_CHANGES = {"the_configuration_changes": 14}
_CLOCKS = {"the_bus_clock_steps": 2, "the_store_clock_steps": 2, "a_worker_clock_steps": 2}
_POISON = {"poison_comes": 2}


@dataclass(frozen=True)
class Theme:
    """Weights of what happens, and how long a schedule is."""

    name: str
    weights: dict[str, int] = field(hash=False)
    steps: int = 260
    environment_percent: int = 22


THEMES = {
    theme.name: theme
    for theme in (
        Theme("calm", {**_ALWAYS}),
        Theme("crashes", {**_ALWAYS, **_CRASHES, **_LOSSES}),
        Theme("buckets", {**_ALWAYS, **_BUCKETS, "a_worker_dies": 1, "partitions_move": 1}),
        Theme("changes", {**_ALWAYS, **_CHANGES, "a_worker_dies": 1, "a_bucket_fails": 1, "buckets_work": 1}),
        Theme("clocks", {**_ALWAYS, **_CLOCKS, **_CRASHES, "the_configuration_changes": 6}),
        Theme("everything", {**_ALWAYS, **_CRASHES, **_LOSSES, **_BUCKETS, **_CHANGES, **_CLOCKS, **_POISON}, 360, 30),
    )
}


def run(theme: Theme, choices: Choices, *, traced: bool = False) -> World:
    """Runs a schedule to its end and checks it. Raises Violated."""
    world = World(choices)
    if traced:
        world.scheduler.trace = world.audit.trace = []
    try:
        begin(world)
        drive(world, theme)
        world.settle()
        world.check()
    except BaseException as error:
        error.world = world  # type: ignore[attr-defined]
        raise
    finally:
        world.end()
    return world


def begin(world: World) -> None:
    """A deployment of two workers and two producers, with trails."""
    for name in ("alpha", "everybody"):
        world.operator.create(name)
    for _ in range(2):
        world.start_worker()
        world.start_producer()
    world.start_clients()
    for _ in range(12):
        world.scheduler.step()
    world.keep_house()


def drive(world: World, theme: Theme) -> None:
    """Steps of actors, and now and then something happens."""
    environment = Environment(world)
    for _ in range(theme.steps):
        if world.choices.chance(theme.environment_percent):
            environment.act(theme.weights)
        else:
            world.scheduler.step()
