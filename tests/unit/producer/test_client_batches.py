"""The client's queue, without a network."""

import threading
from concurrent.futures import Future

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opentrail_producer.client_batches import BatchQueue, Event, QueueClosed, QueueFull


class Clock:
    def __init__(self):
        self.seconds = 50.0

    def __call__(self):
        return self.seconds


@pytest.fixture
def clock():
    return Clock()


def queue_of(clock, **changes):
    settings = {"batch_events": 3, "batch_bytes": 100, "linger": 1.0, "queue_events": 10, "queue_bytes": 1000}
    return BatchQueue(**{**settings, **changes}, clock=clock)


def put(queue, *records, region="eu-west-1", timeout=0):
    for record in records:
        queue.put(region, Event(record, Future()), timeout)


def records(batch):
    return [event.record for event in batch.events]


def test_a_full_batch_is_ready_at_once_and_keeps_the_order(clock):
    queue = queue_of(clock)
    put(queue, b"a", b"b", b"c", b"d")
    batch = queue.next_batch()
    assert (batch.region, batch.first, records(batch)) == ("eu-west-1", 0, [b"a", b"b", b"c"])
    put(queue, b"e", b"f")
    batch = queue.next_batch()
    assert (batch.first, records(batch)) == (3, [b"d", b"e", b"f"])


def test_a_batch_is_cut_before_it_has_too_many_bytes(clock):
    queue = queue_of(clock)
    put(queue, b"x" * 60, b"y" * 60)
    assert records(queue.next_batch()) == [b"x" * 60]
    put(queue, b"z" * 300)
    assert records(queue.next_batch()) == [b"y" * 60]
    assert records(queue.next_batch()) == [b"z" * 300], "an event greater than a batch goes alone"


def test_an_event_lingers_for_others_and_no_longer(clock):
    queue = queue_of(clock)
    put(queue, b"a")
    assert queue._ready_region() is None
    clock.seconds += 0.5
    put(queue, b"b")
    assert queue._until_linger_ends() == pytest.approx(0.5)
    clock.seconds += 0.5
    assert records(queue.next_batch()) == [b"a", b"b"]


def test_regions_are_numbered_by_themselves_and_never_mixed(clock):
    queue = queue_of(clock)
    put(queue, b"a", b"b", b"c")
    put(queue, b"d", b"e", b"f", region="us-east-1")
    put(queue, b"g", b"h", b"i")
    batches = [queue.next_batch() for _ in range(3)]
    assert sorted((batch.region, batch.first) for batch in batches) == [
        ("eu-west-1", 0),
        ("eu-west-1", 3),
        ("us-east-1", 0),
    ]


def test_what_is_under_way_counts_until_it_is_done(clock):
    queue = queue_of(clock, queue_events=3)
    put(queue, b"a", b"b", b"c")
    batch = queue.next_batch()
    with pytest.raises(QueueFull):
        put(queue, b"d")
    queue.done(batch)
    put(queue, b"d")


def test_bytes_bound_the_queue_but_one_event_always_has_room(clock):
    queue = queue_of(clock, queue_bytes=100)
    put(queue, b"x" * 500)
    with pytest.raises(QueueFull):
        put(queue, b"y")
    queue.done(queue.next_batch())
    put(queue, b"y" * 50, b"y" * 50)
    with pytest.raises(QueueFull):
        put(queue, b"y")


def test_a_put_waits_for_room(clock):
    queue = queue_of(clock, queue_events=3)
    put(queue, b"a", b"b", b"c")
    batch = queue.next_batch()
    waiting = threading.Thread(target=put, args=(queue, b"d"), kwargs={"timeout": None})
    waiting.start()
    queue.done(batch)
    waiting.join(10)
    assert not waiting.is_alive()
    queue.close()
    assert records(queue.next_batch()) == [b"d"]


def test_a_flush_waits_until_nothing_is_held(clock):
    queue = queue_of(clock)
    assert queue.flush(0), "nothing to do"
    put(queue, b"a")
    assert not queue.flush(0)
    flushed = []
    flushing = threading.Thread(target=lambda: flushed.append(queue.flush(None)))
    flushing.start()
    batch = queue.next_batch()  # ready without lingering
    queue.done(batch)
    flushing.join(10)
    assert flushed == [True]


def test_a_closed_queue_takes_nothing_gives_the_rest_and_ends(clock):
    queue = queue_of(clock)
    put(queue, b"a")
    queue.close()
    with pytest.raises(QueueClosed):
        put(queue, b"b")
    assert records(queue.next_batch()) == [b"a"]
    assert queue.next_batch() is None


def test_who_waits_for_room_is_told_when_the_queue_closes(clock):
    queue = queue_of(clock, queue_events=1)
    put(queue, b"a")
    told = []

    def wait():
        with pytest.raises(QueueClosed):
            put(queue, b"b", timeout=None)
        told.append(True)

    waiting = threading.Thread(target=wait)
    waiting.start()
    queue.close()
    waiting.join(10)
    assert told == [True]


def test_a_number_that_is_given_begins_a_batch_of_its_own_unless_it_follows(clock):
    queue = queue_of(clock, batch_events=10)
    for record, number in ((b"a", None), (b"b", 1), (b"c", 5), (b"d", None), (b"e", 3)):
        queue.put("eu-west-1", Event(record, Future()), 0, number)
    queue.close()
    cut = [queue.next_batch() for _ in range(3)]
    assert [(batch.first, records(batch)) for batch in cut] == [(0, [b"a", b"b"]), (5, [b"c", b"d"]), (3, [b"e"])]
    assert queue.next_batch() is None


def test_an_event_that_found_no_room_used_no_number(clock):
    queue = queue_of(clock, batch_events=1, queue_events=1)
    put(queue, b"a")
    with pytest.raises(QueueFull):
        put(queue, b"b")
    queue.done(queue.next_batch())
    put(queue, b"c")
    batch = queue.next_batch()
    assert (batch.first, records(batch)) == (1, [b"c"])


@given(
    st.lists(st.tuples(st.sampled_from(["eu-west-1", "us-east-1"]), st.integers(1, 60)), min_size=1, max_size=40),
    st.integers(1, 7),
    st.integers(1, 100),
    st.data(),
)
def test_numbers_depend_on_the_order_of_the_events_only(shapes, batch_events, batch_bytes, data):
    queue = queue_of(Clock(), batch_events=batch_events, batch_bytes=batch_bytes, queue_events=100, queue_bytes=10_000)
    sent: dict[str, list[bytes]] = {}
    numbered: dict[str, dict[int, bytes]] = {}

    def take() -> None:
        batch = queue.next_batch()
        numbered.setdefault(batch.region, {}).update(enumerate(records(batch), batch.first))

    for position, (region, length) in enumerate(shapes):
        record = b"%d" % position + b"x" * length
        put(queue, record, region=region)
        sent.setdefault(region, []).append(record)
        while queue._ready_region() is not None and data.draw(st.booleans()):
            take()
    queue.close()
    while any(waiting.waiting for waiting in queue._regions.values()):
        take()
    assert numbered == {region: dict(enumerate(events)) for region, events in sent.items()}
