"""A producer for each test of its calls."""

import dataclasses

import pytest

from opentrail_backends.event_bus import open_event_bus
from tests.integration.producer_service import Service, new_store
from tests.unit.producer.fakes import REGION, SECOND_REGION


@pytest.fixture
def start(tmp_path):
    started = []

    def service_with(**changes):
        service = Service(new_store(tmp_path))
        service.settings = dataclasses.replace(service.settings, **changes)
        started.append(service.start())
        return service

    yield service_with
    for service in started:
        service.stop()


@pytest.fixture
def embedded(tmp_path):
    """A producer on the embedded bus, and the bus's URL."""
    url = f"embedded://{tmp_path}/bus.db"
    bus = open_event_bus(url)
    for region in (REGION, SECOND_REGION):
        bus.ensure_topic(region, 4)
    service = Service(new_store(tmp_path), bus).start()
    yield service, url
    service.stop()
    bus.close()


@pytest.fixture
def service(start):
    return start()
