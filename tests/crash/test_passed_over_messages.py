"""A bus client that passes messages over: delivery notices by the offsets and reads them again."""

import pytest

from opentrail_backends.event_bus import open_event_bus
from opentrail_backends.key_management import open_key_management
from opentrail_backends.object_store.in_memory import InMemoryObjectStore
from opentrail_backends.state import open_state_store
from tests.crash.world import REGION, World, assert_exactly_once


class Forgetful:
    """A reader that drops the messages of these offsets, once each."""

    def __init__(self, reader, *offsets):
        self.reader = reader
        self.dropped = set(offsets)

    def __getattr__(self, name):
        return getattr(self.reader, name)

    def poll(self, timeout):
        messages = list(self.reader.poll(timeout))
        kept = [message for message in messages if message.offset not in self.dropped]
        self.dropped -= {message.offset for message in messages}
        return kept


@pytest.mark.parametrize("offsets", [(0,), (1,), (0, 2, 3), (3,)], ids=repr)
def test_what_was_passed_over_is_delivered_all_the_same(tmp_path, offsets):
    state = open_state_store(f"sqlite:///{tmp_path}/state.db", secret_key=b"k" * 32)
    state.migrate()
    bus = open_event_bus(f"embedded:///{tmp_path}/bus.db")
    bus.ensure_topic(REGION, 1)
    world = World(
        bus, InMemoryObjectStore(["evidence"]), state, open_key_management(f"file://{tmp_path}/keys"), "evidence"
    )
    trail = world.add_trail("trail")
    published = [id_ for _ in range(5) for id_ in world.publish(2)]
    worker = world.worker(reader=lambda reader: Forgetful(reader, *offsets))
    worker.run_until_digested(trail, len(published))
    worker.close()
    assert_exactly_once(world.evidence(), ["trail"], published)
    bus.close()
    state.close()
