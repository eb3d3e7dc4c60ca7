"""Schedules by theme: what happens in them and how often."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.simulation.choices import Choices
from tests.simulation.environment import Environment
from tests.simulation.rest import come_to_rest, come_to_rest_around
from tests.simulation.trails import BUCKETS
from tests.simulation.workers import settings
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
    "the_second_place_fails": 1,
    "a_put_lands_late": 5,
    "a_log_file_is_planted": 2,
    "a_digest_is_planted": 2,
}
_CHANGES = {"the_configuration_changes": 14}
_CLOCKS = {"the_bus_clock_steps": 2, "the_store_clock_steps": 2, "a_worker_clock_steps": 2}
_STOPS = {"messages_are_deleted": 2, "the_log_is_cut": 2, "a_topic_is_made_anew": 1}
_MOVES = {"the_configuration_moves": 6}


@dataclass(frozen=True)
class Theme:
    """Weights of what happens, and how long a schedule is."""

    name: str
    weights: dict[str, int] = field(hash=False)
    steps: int = 260
    environment_percent: int = 22
    settings: dict[str, Any] = field(default_factory=dict, hash=False)
    world: dict[str, Any] = field(default_factory=dict, hash=False)
    around: bool = False
    """One bucket goes on failing at the end, and nobody else minds."""
    percents: dict[str, float] = field(default_factory=dict, hash=False)
    """What fails all the time."""


THEMES = {
    theme.name: theme
    for theme in (
        Theme("calm", {**_ALWAYS}),
        Theme("crashes", {**_ALWAYS, **_CRASHES, **_LOSSES}),
        Theme("zombies", {"time_passes": 12, "a_worker_sleeps": 9, "a_worker_wakes": 10, "partitions_move": 6,
                          "a_worker_starts": 2, "a_worker_dies": 1, "the_group_notices": 2, "buckets_work": 1,
                          "a_bucket_fails": 1}, settings={"window_seconds": 1.0}),
        Theme("losses", {**_ALWAYS, **_LOSSES, "a_worker_dies": 1, "a_worker_sleeps": 1, "a_worker_wakes": 1},
              percents={"state": 3, "publishing": 12, "puts": 4}),
        Theme("buckets", {**_ALWAYS, **_BUCKETS, "a_worker_dies": 1, "partitions_move": 1}),
        Theme("held up", {**_ALWAYS, **_BUCKETS, "a_worker_dies": 1}, around=True),
        Theme("parked", {**_ALWAYS, **_BUCKETS, **_CRASHES, **_MOVES, "a_bucket_fails": 8}),
        Theme("re-aimed", {"time_passes": 8, "much_time_passes": 2, "the_configuration_moves": 9, "a_bucket_fails": 9,
                           "buckets_work": 2, "a_put_lands_late": 5, "a_worker_dies": 3, "a_worker_starts": 3,
                           "a_worker_sleeps": 4, "a_worker_wakes": 4, "partitions_move": 3, "the_group_notices": 2,
                           "a_log_file_is_planted": 3}, steps=320, environment_percent=30,
              settings={"window_seconds": 1.0, "parked_retry_seconds": 1.0}),
        Theme("spool", {**_ALWAYS, **_BUCKETS, **_MOVES, "a_worker_dies": 1}, settings={"spool_bytes": 6_000},
              world={"share_bytes": 3_000}),
        Theme("changes", {**_ALWAYS, **_CHANGES, "a_worker_dies": 1, "a_bucket_fails": 1, "buckets_work": 1,
                          "the_second_place_fails": 1}),
        Theme("sessions", {"time_passes": 10, "much_time_passes": 5, "sessions_come_and_go": 8, "a_worker_sleeps": 6,
                           "a_worker_wakes": 8, "a_worker_dies": 2, "a_worker_starts": 2, "the_group_notices": 2},
              steps=300, environment_percent=30, settings={"digest_seconds": 8, "window_seconds": 4.0}),
        Theme("digests", {**_ALWAYS, "a_digest_is_planted": 8, "much_time_passes": 6, "a_worker_sleeps": 2,
                          "a_worker_wakes": 2, "a_bucket_fails": 2, "buckets_work": 2, "a_put_lands_late": 3},
              settings={"digest_seconds": 5, "window_seconds": 4.0}),
        Theme("restamped", {"time_passes": 8, "much_time_passes": 3, "a_digest_is_planted": 10, "a_worker_sleeps": 6,
                            "a_worker_wakes": 8, "the_group_notices": 2, "a_put_lands_late": 3, "a_bucket_fails": 3,
                            "buckets_work": 3}, settings={"digest_seconds": 8}),
        Theme("withdrawn", {"time_passes": 8, "much_time_passes": 5, "the_configuration_moves": 9,
                            "a_bucket_refuses": 9,
                            "a_bucket_fails": 3, "buckets_work": 2, "a_put_lands_late": 5, "a_worker_sleeps": 5,
                            "a_worker_wakes": 6, "a_worker_dies": 2, "a_worker_starts": 2, "the_group_notices": 2},
              steps=300, environment_percent=28, settings={"digest_seconds": 8}),
        Theme("clocks", {**_ALWAYS, **_CLOCKS, **_CRASHES, "the_configuration_changes": 6}),
        Theme("numbers", {**_ALWAYS, **_LOSSES, "a_client_restarts": 4, "an_old_client_comes_back": 3,
                          "a_worker_dies": 2, "partitions_move": 2}, world={"bounds": (2, 3)},
              percents={"publishing": 15}),
        Theme("poison", {**_ALWAYS, **_CRASHES, "poison_comes": 4, "a_message_breaks_old_readers": 6}),
        Theme("forgetting", {**_ALWAYS, **_BUCKETS, "old_rows_are_forgotten": 6, "much_time_passes": 5}),
        Theme("newer", {**_ALWAYS, **_CRASHES, "a_newer_message_comes": 1}),
        Theme("lost", {**_ALWAYS, **_CRASHES, **_STOPS, "offsets_are_used_again": 3}),
        Theme("restored", {**_ALWAYS, **_CRASHES, "a_backup_is_taken": 3, "the_backup_is_restored": 3}),
        Theme("everything", {**_ALWAYS, **_CRASHES, **_LOSSES, **_BUCKETS, **_CHANGES, **_CLOCKS, "poison_comes": 2},
              360, 30),
    )
}  # fmt: skip


def run(theme: Theme, choices: Choices, *, traced: bool = False) -> World:
    """Runs a schedule to its end and checks it. Raises Violated; the error knows its world."""
    world = World(choices, settings=settings(**theme.settings), **theme.world)
    if traced:
        world.scheduler.trace = world.audit.trace = []
    try:
        begin(world)
        drive(world, theme)
        if theme.around:
            come_to_rest_around(world, choices.pick(BUCKETS), choices.pick(("refuse", "silent", "throttle", "error")))
        come_to_rest(world)
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
    for what, percent in theme.percents.items():
        setattr(world.faults, what, percent)
    for _ in range(theme.steps):
        if world.choices.chance(theme.environment_percent):
            environment.act(theme.weights)
        else:
            world.scheduler.step()
