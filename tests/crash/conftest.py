"""A world for each kind of bus and state store, on a real S3 server."""

import uuid
from dataclasses import replace

import pytest

from opentrail_backends.event_bus import open_event_bus
from opentrail_backends.key_management import open_key_management
from opentrail_backends.object_store import open_object_store
from opentrail_backends.object_store.s3_settings import Credentials
from opentrail_backends.state import open_state_store
from tests.crash.world import REGION, World


@pytest.fixture(params=["sqlite", "postgresql"])
def state(request, tmp_path):
    url = f"sqlite:///{tmp_path}/state.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_database")()
    store = open_state_store(url, secret_key=b"k" * 32)
    store.migrate()
    yield store
    store.close()


@pytest.fixture(params=["embedded", pytest.param("kafka", marks=pytest.mark.kafka)])
def bus(request, tmp_path):
    url = f"embedded:///{tmp_path}/bus.db"
    if request.param == "kafka":
        prefix = f"crash-{uuid.uuid4().hex[:12]}."  # of this test alone: the tests of all workers share the broker
        url = f"kafka://{request.getfixturevalue('kafka_bootstrap')}?prefix={prefix}&replication=1&min_insync=1"
    bus = open_event_bus(url)
    bus.ensure_topic(REGION, 1)
    yield bus
    bus.close()


@pytest.fixture
def world(state, bus, minio, tmp_path):
    store = open_object_store(
        f"s3://?endpoint={minio.endpoint}&region={minio.region}&allow_http=true",
        credentials=Credentials(minio.access_key, minio.secret_key),
    )
    keys = open_key_management(f"file://{tmp_path}/keys")
    world = World(bus, store, state, keys, minio.new_bucket())
    world.settings = replace(world.settings, heads_bucket=f"{minio.new_bucket()}/heads")
    yield world
    store.close()
