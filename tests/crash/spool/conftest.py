"""A world in this process, with a spool: a good trail and one whose bucket misbehaves."""

import pytest

from opentrail_backends.event_bus import open_event_bus
from opentrail_backends.key_management import open_key_management
from opentrail_backends.object_store.in_memory import InMemoryObjectStore
from opentrail_backends.state import open_state_store
from opentrail_delivery.settings import DeliverySettings
from opentrail_delivery.spool import Spool
from tests.crash.spool.parked_world import BAD, GOOD, SPOOL
from tests.crash.world import REGION, World


@pytest.fixture
def world(tmp_path):
    state = open_state_store(f"sqlite:///{tmp_path}/state.db", secret_key=b"k" * 32)
    state.migrate()
    bus = open_event_bus(f"embedded:///{tmp_path}/bus.db")
    bus.ensure_topic(REGION, 1)
    store = InMemoryObjectStore([GOOD, BAD, SPOOL])
    keys = open_key_management(f"file://{tmp_path}/keys")
    settings = DeliverySettings(
        window_seconds=0,
        digest_seconds=1,
        park_soon_seconds=0.1,
        silent_seconds=60.0,
        parked_retry_seconds=0.1,
        put_threads=4,
    )
    yield World(bus, store, state, keys, GOOD, Spool(store, SPOOL), settings)
    bus.close()
    state.close()


@pytest.fixture
def good(world):
    return world.add_trail("good-trail")


@pytest.fixture
def bad(world):
    return world.add_trail("bad-trail", s3_bucket_name=BAD, s3_key_prefix="bad")
