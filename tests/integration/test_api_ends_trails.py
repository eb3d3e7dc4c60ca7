"""The end of a trail, put through the API: its own call is the last event, and the final digest has it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from opentrail_control_plane.event_intake import EventIntake, EventNumbers, IntakeUnavailable, RejectedEvent
from tests.crash.world import ACCOUNT, REGION, assert_chains_unforked
from tests.pipeline.api_world import ApiWorld, ExpectedTrail, opened_api_world
from tests.pipeline.pipeline import OTHER_REGION
from tests.pipeline.selector_events import management_events
from tests.servers.s3 import S3Server

pytestmark = [pytest.mark.kafka, pytest.mark.s3]

REGIONS = (REGION, OTHER_REGION)


class Interrupted:
    """An intake of which the bus takes nothing while it is not open."""

    def __init__(self, is_open: threading.Event, inner: EventIntake) -> None:
        self._is_open = is_open
        self._inner = inner

    def accept(
        self,
        account_id: str,
        events: Sequence[bytes],
        region: str,
        numbers: EventNumbers | None = None,
        accepted_at: int = 0,
    ) -> Sequence[str | RejectedEvent]:
        if not self._is_open.is_set():
            raise IntakeUnavailable("scripted: the bus does not answer")
        return self._inner.accept(account_id, events, region, numbers, accepted_at)


@pytest.fixture
def is_open() -> threading.Event:
    """Whether the bus takes calls of the API. It takes events at any time."""
    event = threading.Event()
    event.set()
    return event


@pytest.fixture
def api_world(tmp_path: Path, kafka_bootstrap: str, minio: S3Server, is_open: threading.Event) -> Iterator[ApiWorld]:
    around = partial(Interrupted, is_open)
    with opened_api_world(tmp_path, kafka_bootstrap, minio, REGIONS, around) as opened:
        yield opened


@pytest.mark.parametrize("end", [ApiWorld.stop_logging, ApiWorld.delete_trail])
def test_the_call_that_ends_a_trail_is_its_last_event_and_in_its_final_digest(
    api_world: ApiWorld, end: Callable[[ApiWorld, ExpectedTrail], None]
) -> None:
    trail = logging_trail(api_world, "ends", IsMultiRegionTrail=True)
    other = logging_trail(api_world, "goes-on", IsMultiRegionTrail=True)
    send_to_all_regions(api_world)
    api_world.wait_until_delivered()
    send_to_all_regions(api_world)
    end(api_world, trail)
    last_call = api_world.last_call
    send_to_all_regions(api_world)
    assert_ended_by(last_call, trail, api_world)
    # That one began two calls later, and takes what came after the end.
    assert other.wanted.total() == trail.wanted.total() - 2 + 2 * len(management_events(ACCOUNT))


def test_a_trail_waits_for_the_call_that_ended_it_however_late_the_bus_takes_that(
    api_world: ApiWorld, is_open: threading.Event
) -> None:
    """The bus takes no calls of the API for the time of several digests: no chain of the trail ends meanwhile."""
    trail = logging_trail(api_world, "ends")
    send_to_all_regions(api_world)
    api_world.wait_until_delivered()
    api_world.running.wait_until(lambda: bool(api_world.chains_of(trail, ACCOUNT)), "the trail's chain")
    is_open.clear()
    api_world.stop_logging(trail)
    last_call = api_world.last_call
    send_to_all_regions(api_world)
    time.sleep(3 * api_world.running.settings.digest_seconds)
    assert [chain.ended for chain in api_world.chains_of(trail, ACCOUNT)] == [False]
    assert api_world.delivered()[trail.prefix][last_call] == 0
    is_open.set()
    assert_ended_by(last_call, trail, api_world)


def test_calls_right_before_the_end_are_in_the_trail_too(api_world: ApiWorld, is_open: threading.Event) -> None:
    """A look around and a vain attempt, answered before StopLogging: what an intruder does first."""
    trail = logging_trail(api_world, "ends")
    send_to_all_regions(api_world)
    api_world.wait_until_delivered()
    is_open.clear()
    api_world.call("DescribeTrails", ACCOUNT, REGION)
    with pytest.raises(ClientError, match="TrailNotFoundException"):
        api_world.call("DeleteTrail", ACCOUNT, REGION, Name="no-such-trail")
    api_world.stop_logging(trail)
    is_open.set()
    api_world.wait_until_ended(trail, ACCOUNT)
    api_world.running.stop_delivery()
    api_world.assert_exactly_delivered()


def test_a_trail_that_is_started_again_has_a_gap_and_two_chains(api_world: ApiWorld) -> None:
    trail = logging_trail(api_world, "twice")
    for is_last in (False, True):
        send_to_all_regions(api_world)
        api_world.wait_until_delivered()
        api_world.stop_logging(trail)
        send_to_all_regions(api_world)
        api_world.wait_until_delivered()
        api_world.wait_until_ended(trail, ACCOUNT)
        if not is_last:
            api_world.start_logging(trail)
    api_world.running.stop_delivery()
    api_world.assert_exactly_delivered()
    (digests,) = api_world.running.seen().chains().values()
    assert [digest.previous is None for digest in digests].count(True) == 2


def logging_trail(api_world: ApiWorld, name: str, **members: bool) -> ExpectedTrail:
    """A trail that logs; the first one starts delivery."""
    trail = api_world.create_trail(name, ACCOUNT, REGION, **members)
    if len(api_world.trails) == 1:
        api_world.running.start_delivery()
    api_world.start_logging(trail)
    return trail


def send_to_all_regions(api_world: ApiWorld) -> None:
    for region in REGIONS:
        api_world.send(management_events(ACCOUNT), ACCOUNT, region)


def assert_ended_by(last_call: str, trail: ExpectedTrail, api_world: ApiWorld) -> None:
    """The trail's chains end with digests that name all its files, the call's too; nothing in them is younger."""
    running = api_world.running
    api_world.wait_until_delivered()
    api_world.wait_until_ended(trail, ACCOUNT)
    running.stop_delivery()
    api_world.assert_exactly_delivered()
    assert trail.wanted[last_call] == 1
    found = running.seen()
    files = {key: records for key, records in found.log_files.items() if key.startswith(f"{trail.prefix}/")}
    assert set(found.digested(trail.name)) == files.keys()
    last = api_world.record(trail.prefix, last_call)
    assert last["eventTime"] == max(record["eventTime"] for records in files.values() for record in records)
    assert_chains_unforked(found)
