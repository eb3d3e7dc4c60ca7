"""Topics are told of each delivered file at least once, whatever dies, and of none before it lies in its bucket."""

import json
import time
from collections import Counter
from contextlib import suppress
from dataclasses import replace

import pytest

from opentrail_backends.object_store.in_memory import Refuse
from opentrail_backends.object_store.port import PutOptions
from opentrail_backends.state.port import StateError
from opentrail_delivery import notifier as module
from opentrail_delivery.configuration_feed import ConfigurationFeed
from opentrail_delivery.metrics import DeliveryMetrics
from opentrail_delivery.notifier import Notifier, NotifierTools
from tests.crash.faults import STEPS, Effect, Faulty, Step, Then
from tests.crash.spool.parked_world import BAD, GOOD, parked
from tests.crash.world import ACCOUNT, REGION, Crash, Inline
from tests.trail_policies import policy, topic_statement

TOPIC, OTHER_TOPIC = (f"arn:aws:sns:{REGION}:{ACCOUNT}:{name}" for name in ("told", "other"))


class Topics:
    """Takes everything; each message tells of a file that lies in its bucket."""

    def __init__(self, world):
        self.world = world
        self.published = []

    def topic_policy(self, topic_arn):
        arn = f"arn:aws:cloudtrail:{REGION}:{ACCOUNT}:trail/audit"
        return policy(topic_statement(topic_arn, arn))

    def publish(self, topic_arn, message):
        told = json.loads(message)
        for key in told["s3ObjectKey"]:
            self.world.store.get(told["s3Bucket"], key)
            self.published.append((topic_arn, told["s3Bucket"], key))

    def told(self):
        return Counter((bucket, key) for _, bucket, key in self.published)


@pytest.fixture(autouse=True)
def _short_leases(monkeypatch):
    monkeypatch.setattr(module, "_LEASE_MS", 200)


@pytest.fixture
def topics(world):
    return Topics(world)


@pytest.fixture
def trail(world):
    return world.add_trail("audit", sns_topic_arn=TOPIC)


def notifier(world, topics, queue=None):
    return Notifier(
        NotifierTools(
            queue=queue or world.state.notifications,
            notifications=topics,
            feed=ConfigurationFeed(world.state.configuration),
            executor=Inline(),
            metrics=DeliveryMetrics(),
        )
    )


def tell_all(world, topics):
    """What a living process does, until nothing is left."""
    living, deadline = notifier(world, topics), time.monotonic() + 20
    while world.state.notifications.waiting():
        assert time.monotonic() < deadline
        living.run_once()
        time.sleep(0.02)


def deliver(world, trail, events=3):
    published = world.publish(events)
    worker = world.worker()
    worker.run_until_digested(trail, len(world.published))
    worker.close()
    return published


def files_in(world, bucket=GOOD):
    return {(bucket, key) for key in world.evidence(bucket=bucket).log_files}


@pytest.mark.parametrize(
    ("step", "effect", "then", "times"),
    [
        (Step(1, "take a turn", "queue", "take_turns"), Effect.KEPT, Then.DIES, 1),
        (Step(1, "take a turn", "queue", "take_turns"), Effect.KEPT, Then.GOES_ON, 1),
        (Step(2, "publish", "topics", "publish"), Effect.LOST, Then.DIES, 1),
        (Step(2, "publish", "topics", "publish"), Effect.KEPT, Then.DIES, 2),
        (Step(3, "note it", "queue", "told"), Effect.LOST, Then.DIES, 2),
        (Step(3, "note it", "queue", "told"), Effect.LOST, Then.GOES_ON, 2),
        (Step(3, "note it", "queue", "told"), Effect.KEPT, Then.DIES, 1),
        (Step(3, "note it", "queue", "told"), Effect.KEPT, Then.GOES_ON, 1),
        (Step(4, "end the turn", "queue", "end_turn"), Effect.LOST, Then.DIES, 1),
        (Step(4, "end the turn", "queue", "end_turn"), Effect.LOST, Then.GOES_ON, 1),
    ],
)
def test_a_crash_while_a_topic_is_told_tells_it_twice_at_most_and_never_not(
    world, topics, trail, step, effect, then, times
):
    deliver(world, trail)
    ports = {"queue": world.state.notifications, "topics": topics}
    fault = ports[step.port] = Faulty(ports[step.port], step, effect, then)
    dying = notifier(world, ports["topics"], ports["queue"])
    if then is Then.DIES:
        with pytest.raises(Crash):
            dying.run_once()
    else:
        with suppress(StateError):
            dying.run_once()
    assert fault.fired
    tell_all(world, topics)
    assert set(topics.told()) == files_in(world)
    assert set(topics.told().values()) == {times}


@pytest.mark.parametrize("effect", Effect)
@pytest.mark.parametrize("step", [step for step in STEPS if 3 <= step.number <= 5], ids=lambda step: step.what)
def test_a_crash_of_delivery_tells_of_no_file_that_is_not_delivered_and_of_each_that_is(
    world, topics, trail, step, effect
):
    world.publish(4)
    port = world.store if step.port == "store" else getattr(world.state, step.port)
    dying = world.worker(**{step.port: Faulty(port, step, effect, Then.DIES)})
    with pytest.raises(Crash):
        dying.run_until(lambda: False)
    dying.close()
    notifier(world, topics).run_once()  # fails if it tells of a file that does not lie there
    deliver(world, trail)
    tell_all(world, topics)
    assert set(topics.told()) == files_in(world)


def test_a_redo_tells_the_topic_that_the_intent_fixed(world, topics, trail):
    """The topic changes between the intent and its redo: the files stay the same, and so does whom they are for."""
    world.publish(4)
    put = next(step for step in STEPS if step.number == 4)
    dying = world.worker(store=Faulty(world.store, put, Effect.LOST, Then.DIES))
    with pytest.raises(Crash):
        dying.run_until(lambda: False)
    dying.close()
    world.put_trail(replace(trail, sns_topic_arn=OTHER_TOPIC))
    deliver(world, trail)
    tell_all(world, topics)
    assert [topic for topic, _, _ in topics.published] == [TOPIC, OTHER_TOPIC]
    assert set(topics.told()) == files_in(world)


def test_two_topics_of_a_trail_in_one_window_make_one_file(world, topics, trail):
    """The file's bytes do not depend on the topic: a release that knows none builds the same."""
    world.publish(2)
    world.put_trail(replace(trail, sns_topic_arn=OTHER_TOPIC))
    world.publish(2)
    deliver(world, trail)
    tell_all(world, topics)
    assert len(files_in(world)) == 1
    assert topics.published[0][0] == OTHER_TOPIC


def test_a_parked_file_is_told_when_it_is_delivered_and_where(world, topics, trail):
    bad = world.add_trail("audit", s3_bucket_name=BAD, s3_key_prefix="bad", sns_topic_arn=OTHER_TOPIC)
    world.store.script("bad/*", Refuse("AccessDenied"), times=None)
    world.publish(3)
    worker = world.worker()
    worker.run_until_digested(trail, 3)
    worker.run_until(lambda: len(parked(world)) == 1)
    tell_all(world, topics)
    assert set(topics.told()) == files_in(world)
    world.store.clear_script()
    worker.run_until_digested(bad, 3)
    worker.close()
    tell_all(world, topics)
    assert set(topics.told()) == files_in(world) | files_in(world, BAD)
    assert topics.published[-1][0] == OTHER_TOPIC


def test_a_file_whose_key_was_taken_is_told_under_its_new_one(world, topics, trail):
    world.publish(3)
    put = next(step for step in STEPS if step.number == 4)
    dying = world.worker(store=Faulty(world.store, put, Effect.LOST, Then.DIES))
    with pytest.raises(Crash):
        dying.run_until(lambda: False)
    dying.close()
    _, (intent,) = world.state.ledger.own(REGION, 0, 0)
    taken = intent.files[0].object_key
    world.store.put(GOOD, taken, b"something else", PutOptions(content_encoding=None))
    worker = world.worker()
    worker.run_until(lambda: world.state.notifications.waiting() == 1)
    worker.close()
    tell_all(world, topics)
    ((bucket, key),) = topics.told()
    assert (bucket, key != taken) == (GOOD, True)


def test_no_digest_is_told(world, topics, trail):
    deliver(world, trail)
    tell_all(world, topics)
    assert world.evidence().digests
    assert not any("CloudTrail-Digest" in key for _, key in topics.told())


def test_a_trail_without_a_topic_tells_nobody(world, topics):
    trail = world.add_trail("quiet")
    deliver(world, trail)
    notifier(world, topics).run_once()
    assert topics.published == []
