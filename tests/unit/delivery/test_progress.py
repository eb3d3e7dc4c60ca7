from types import SimpleNamespace

import pytest

from opentrail_backends.event_bus.port import Bounds, Partition, Topic
from opentrail_backends.state.port import KnownTopic
from opentrail_delivery.progress import DeliveryProgress

REGION, ACCOUNT = "eu-central-1", "111122223333"
PARTITION = Partition(REGION, 0)
CHAIN = SimpleNamespace(id="chain", region=REGION, account_id=ACCOUNT)


class Deployment:
    """Bus and ledger as `DeliveryProgress` asks them."""

    def __init__(self):
        self.topic = Topic(REGION, "events", "first", 1)
        self.end = 10
        self.next_offset = 0
        self.known = KnownTopic("first", 1)
        self.readings = 0

    def topics(self):
        return {self.topic.region: self.topic} if self.topic else {}

    def lag(self, group):
        self.readings += 1
        return {} if self.end is None else {PARTITION: (None, Bounds(0, self.end))}

    def windows(self):
        return [{"region": REGION, "partition": 0, "next_offset": self.next_offset}]

    def known_topic(self, region):
        return self.known


@pytest.fixture
def deployment():
    return Deployment()


@pytest.fixture
def progress(deployment):
    return DeliveryProgress(deployment, deployment, "group")


@pytest.fixture
def passed(progress):
    def ask():
        progress.look_again()
        return progress.has_passed(CHAIN)

    return ask


def test_passed_once_delivery_is_where_the_bus_ended_when_it_was_first_asked(deployment, passed):
    assert not passed()
    deployment.end = 99
    deployment.next_offset = 9
    assert not passed()
    deployment.next_offset = 10
    assert passed()


def test_a_chain_that_is_not_kept_is_asked_about_anew(deployment, progress, passed):
    assert not passed()
    deployment.end = 20
    deployment.next_offset = 15
    progress.keep(["chain"])
    assert passed()
    progress.keep(["another"])
    assert not passed()


def test_questions_at_one_time_share_what_was_read(deployment, progress):
    for _ in range(5):
        progress.has_passed(CHAIN)
    assert deployment.readings == 1


@pytest.mark.parametrize("lacking", [{"topic": None}, {"end": None}], ids=str)
def test_not_while_the_bus_does_not_tell(deployment, passed, lacking):
    deployment.next_offset = 1000
    vars(deployment).update(lacking)
    assert not passed()


@pytest.mark.parametrize("known", [KnownTopic("another", 1), KnownTopic("first", 2)])
def test_not_while_the_ledgers_offsets_are_of_another_topic(deployment, passed, known):
    deployment.next_offset = 1000
    deployment.known = known
    assert not passed()
    deployment.known = None
    assert passed(), "a region that nobody has delivered from"


def test_the_end_of_a_topic_that_was_made_anew_is_another_one(deployment, passed):
    deployment.end = 1000
    assert not passed()
    deployment.topic = Topic(REGION, "events", "second", 1)
    deployment.known = KnownTopic("second", 1)
    deployment.end = deployment.next_offset = 3
    assert passed()
