"""Topics are told of each delivered file, by messages that SNS takes; one that fails holds up no other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from opentrail_backends.notifications.none import NoNotifications
from opentrail_backends.notifications.port import NotificationsUnavailable, PublishRefused
from opentrail_backends.state import open_state_store
from opentrail_backends.state.port import StateError
from opentrail_delivery.notifier import MAX_KEYS
from opentrail_delivery.settings import DeliverySettings
from tests.crash.world import Inline
from tests.trail_policies import policy, topic_statement
from tests.unit.delivery.notifier_fakes import OTHER_TOPIC, SECOND, TOPIC, TRAIL, Topics, World


@pytest.fixture
def world() -> Iterator[World]:
    now = [1_700_000_000_000]
    state = open_state_store("sqlite://", secret_key=bytes(32), clock=lambda: now[0])
    state.migrate()
    yield World(state, now)
    state.close()


def test_a_topic_is_told_bucket_and_keys_as_cloudtrail_tells_them(world: World) -> None:
    world.deliver("AWSLogs/a.json.gz", "AWSLogs/b.json.gz")
    world.notifier.run_once()
    assert world.topics.published == [
        (TOPIC, '{"s3Bucket":"b","s3ObjectKey":["AWSLogs/a.json.gz","AWSLogs/b.json.gz"]}')
    ]
    assert world.status() == (world.now[0], None, None)
    assert world.count("notifications_total") == 1
    world.notifier.run_once()
    assert len(world.topics.published) == 1, "told once is enough"


def test_files_of_several_trails_and_regions_are_told_apart(world: World) -> None:
    world.deliver("a")
    world.deliver("b", region="us-east-1")
    world.deliver("c", trail=SECOND, region="eu-west-1")
    world.notifier.run_once()
    assert sorted(world.topics.keys()) == ["a", "b"]
    assert world.topics.keys(OTHER_TOPIC) == ["c"]
    assert len(world.topics.published) == 3
    assert world.status(region="us-east-1")[0] == world.status()[0] == world.now[0]
    assert world.status(SECOND)[0] is None


def test_more_files_than_are_read_at_once_are_all_told_in_one_turn(world: World) -> None:
    names = [f"{number:05}" for number in range(2_345)]
    world.deliver(*names)
    world.notifier.run_once()
    assert world.topics.keys() == names
    assert world.state.notifications.take_turns(1, 1) == []


# --- failures


def test_a_topic_that_refuses_is_tried_again_later_and_later_and_holds_up_no_other(world: World) -> None:
    world.topics.errors[TOPIC] = PublishRefused("no", "AuthorizationError")
    world.deliver("a")
    world.deliver("b", trail=SECOND, region="us-east-1")
    tries = []
    for second in range(1_900):
        before = world.count("notification_failures_total", error="AuthorizationError")
        world.notifier.run_once()
        if world.count("notification_failures_total", error="AuthorizationError") > before:
            tries.append(second)
        world.pass_(1)
    assert world.topics.keys(OTHER_TOPIC) == ["b"]
    gaps = [later - earlier for earlier, later in pairwise(tries)]
    assert gaps == sorted(gaps)
    assert (gaps[0], gaps[-1]) == (2, 300)
    assert world.status() == (None, "AuthorizationError", 1_700_000_000_010)
    del world.topics.errors[TOPIC]
    world.pass_(300)
    world.notifier.run_once()
    assert world.topics.keys() == ["a"]
    assert world.status() == (world.now[0], None, None)


def test_a_service_that_is_away_is_shown_by_its_code_and_nothing_is_lost(world: World) -> None:
    world.topics.errors[TOPIC] = NotificationsUnavailable("no answer", "RequestTimeout")
    world.deliver("a")
    world.notifier.run_once()
    assert world.status()[1] == "RequestTimeout"
    world.topics.errors.clear()
    world.pass_(2)
    world.notifier.run_once()
    assert world.topics.keys() == ["a"]


@pytest.mark.parametrize("text", ["", policy(topic_statement(TOPIC, SECOND.arn))], ids=["none", "of another trail"])
def test_a_topic_whose_policy_does_not_name_the_trail_is_told_nothing(world: World, text: str) -> None:
    world.topics.policies[TOPIC] = text
    world.deliver("a")
    world.notifier.run_once()
    assert world.topics.published == []
    assert world.status()[1] == "AuthorizationError"


def test_a_policy_that_names_the_trail_no_more_is_heeded_within_minutes(world: World) -> None:
    world.deliver("a")
    world.notifier.run_once()
    world.topics.let_in(TOPIC, SECOND)
    world.deliver("b")
    world.pass_(299)
    world.notifier.run_once()
    world.deliver("c")
    world.pass_(1)
    world.notifier.run_once()
    assert (world.topics.keys(), world.topics.asked) == (["a", "b"], 2)
    assert world.status()[1] == "AuthorizationError"
    world.topics.let_in(TOPIC, TRAIL)
    world.pass_(2)
    world.notifier.run_once()
    assert world.topics.keys() == ["a", "b", "c"], "a refusal is not remembered"


def test_an_installation_without_notifications_says_so_and_tells_all_once_it_has_them(world: World) -> None:
    world.deliver("a")
    world.make(notifications=NoNotifications()).run_once()
    assert world.status()[1] == "NotificationsNotConfigured"
    world.pass_(29 * 24 * 3600)
    world.notifier.run_once()
    assert world.topics.keys() == ["a"]


def test_a_defect_in_one_turn_ends_no_other(world: World) -> None:
    class Broken(Topics):
        def topic_policy(self, topic_arn: str) -> str:
            if topic_arn == TOPIC:
                raise RuntimeError("a defect")
            return super().topic_policy(topic_arn)

    broken = Broken(world.topics.policies)
    world.deliver("a")
    world.deliver("b", trail=SECOND, region="us-east-1")
    world.make(notifications=broken).run_once()
    assert broken.keys(OTHER_TOPIC) == ["b"]


# --- a trail's topic changes


def test_what_the_old_topic_refuses_goes_to_the_trails_new_one(world: World) -> None:
    world.topics.errors[TOPIC] = PublishRefused("no", "NotFound")
    world.deliver("a")
    world.configure(replace(TRAIL, sns_topic_arn=OTHER_TOPIC))
    world.notifier.run_once()
    world.notifier.run_once()
    assert world.topics.keys(OTHER_TOPIC) == ["a"]
    assert world.status() == (world.now[0], None, None)


def test_what_the_old_topic_takes_is_still_told_there(world: World) -> None:
    world.deliver("a")
    world.configure(replace(TRAIL, sns_topic_arn=OTHER_TOPIC))
    world.notifier.run_once()
    assert (world.topics.keys(), world.topics.keys(OTHER_TOPIC)) == (["a"], [])


def test_of_a_trail_that_has_no_topic_any_more_a_refusal_is_the_end(world: World) -> None:
    world.topics.errors[TOPIC] = PublishRefused("no", "NotFound")
    world.deliver("a")
    world.notifier.run_once()
    world.configure(replace(TRAIL, sns_topic_arn=None))
    world.pass_(2)
    world.notifier.run_once()
    assert world.state.notifications.waiting() == 0
    assert world.status() == (None, None, None)


def test_a_service_that_is_away_changes_no_address(world: World) -> None:
    world.topics.errors[TOPIC] = NotificationsUnavailable("no answer", "RequestTimeout")
    world.deliver("a")
    world.configure(replace(TRAIL, sns_topic_arn=None))
    world.notifier.run_once()
    assert world.state.notifications.waiting() == 1


# --- ends


def test_after_thirty_days_nobody_is_told_any_more(world: World) -> None:
    world.topics.errors[TOPIC] = PublishRefused("no", "AuthorizationError")
    world.deliver("a")
    world.notifier.run_once()
    world.pass_(30 * 24 * 3600)
    world.notifier.run_once()
    assert world.state.notifications.waiting() == 0
    assert world.count("expired_notifications_total") == 1


def test_what_waits_is_counted_each_minute(world: World) -> None:
    world.topics.errors[TOPIC] = PublishRefused("no", "AuthorizationError")
    world.deliver("a", "b")
    world.notifier.run_once()
    assert world.count("untold_files") == 2
    world.topics.errors.clear()
    world.pass_(60)
    world.notifier.run_once()
    world.pass_(60)
    world.notifier.run_once()
    assert world.count("untold_files") == 0


def test_no_more_turns_are_taken_than_there_are_threads(world: World) -> None:
    class Later(Inline):
        """Starts nothing."""

        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
            from concurrent.futures import Future

            return Future()

    world.deliver("a")
    world.deliver("b", trail=SECOND, region="us-east-1")
    world.settings = DeliverySettings(notification_threads=1)
    notifier = world.make(executor=Later())
    notifier.run_once()
    notifier.run_once()
    (turn,) = world.state.notifications.take_turns(10, 1_000)
    assert turn.incarnation == SECOND.incarnation


def test_a_turn_that_another_process_took_over_is_not_gone_on_with(world: World) -> None:
    queue = world.state.notifications
    names = [f"{number}" for number in range(3 * MAX_KEYS)]
    world.deliver(*names)

    class Slow(Topics):
        def publish(self, topic_arn: str, message: str) -> None:
            super().publish(topic_arn, message)
            world.pass_(200)  # longer than the lease
            queue.take_turns(1, 60_000)

    slow = Slow(world.topics.policies)
    world.make(notifications=slow).run_once()
    assert slow.keys() == names[:MAX_KEYS]
    assert queue.waiting() == 2 * MAX_KEYS


def test_a_state_store_that_is_away_is_told_to_the_thread(world: World) -> None:
    world.state.close()

    class Away:
        def __getattr__(self, name: str) -> Any:
            raise StateError("away")

    with pytest.raises(StateError):
        world.make(queue=Away()).run_once()
