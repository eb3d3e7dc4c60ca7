"""Topics: one per region, left as it is once made, and known by an id."""

from __future__ import annotations

import pytest

from opentrail_backends.event_bus.port import Bounds, EventBusError, Partition
from tests.contracts.event_bus.conftest import World
from tests.contracts.event_bus.members import numbered

REGION = "eu-west-1"
ZERO = Partition(REGION, 0)


def test_a_bus_has_no_topics_at_first(world: World) -> None:
    assert world.bus.topics() == {}


def test_a_topic_is_made_once_and_then_left_as_it_is(world: World) -> None:
    made = world.bus.ensure_topic(REGION, 2)
    assert (made.region, made.partitions) == (REGION, 2)
    assert world.bus.ensure_topic(REGION, 5) == made
    assert world.open().topics() == {REGION: made}


def test_topics_are_listed_by_region(world: World) -> None:
    made = {region: world.bus.ensure_topic(region, 1) for region in ("eu-west-1", "us-gov-east-1")}
    assert world.bus.topics() == made
    assert len({topic.id for topic in made.values()}) == 2


def test_a_reader_tells_a_topic_as_it_is_now(world: World) -> None:
    reader = world.member().reader
    with pytest.raises(EventBusError, match=REGION):
        reader.topic(REGION)
    made = world.bus.ensure_topic(REGION, 2)
    assert reader.topic(REGION) == made


def test_a_topic_made_anew_has_another_id_and_no_messages(world: World) -> None:
    first = world.bus.ensure_topic(REGION, 1)
    world.put(ZERO, numbered(0, 3))
    second = world.make_topic_anew(REGION, 2)
    assert second.id != first.id
    assert (second.name, second.partitions) == (first.name, 2)
    reader = world.member().reader
    assert reader.topic(REGION) == second
    assert reader.bounds(ZERO) == Bounds(0, 0)


def test_bounds_follow_what_is_published_and_what_is_deleted(world: World) -> None:
    world.bus.ensure_topic(REGION, 2)
    reader = world.member().reader
    assert reader.bounds(ZERO) == Bounds(0, 0)
    world.put(ZERO, numbered(0, 5))
    assert reader.bounds(ZERO) == Bounds(0, 5)
    world.delete_messages(ZERO, 3)
    assert reader.bounds(ZERO) == Bounds(3, 5)
    assert reader.bounds(Partition(REGION, 1)) == Bounds(0, 0)


def test_a_topic_that_the_bus_made_meets_all_conditions(world: World) -> None:
    assert world.bus.unmet_conditions() == []
    world.bus.ensure_topic(REGION, 2)
    assert world.bus.unmet_conditions() == []


@pytest.mark.parametrize("number", [-1, 2])
def test_a_partition_beyond_the_topics_has_no_bounds(world: World, number: int) -> None:
    world.bus.ensure_topic(REGION, 2)
    with pytest.raises(EventBusError):
        world.member().reader.bounds(Partition(REGION, number))
