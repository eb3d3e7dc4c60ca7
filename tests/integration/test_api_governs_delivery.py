"""What is put through the API governs what real delivery writes: boto3, gRPC, Kafka and MinIO, judged independently."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random

import pytest
from botocore.exceptions import ClientError

from opentrail.trails.configuration import Organization
from opentrail_backends.state.port import Chain
from opentrail_control_plane.event_intake import EventIntake, EventNumbers, IntakeUnavailable, RejectedEvent
from tests.crash.world import ACCOUNT, REGION, assert_chains_unforked
from tests.pipeline.api_world import ApiWorld, ExpectedTrail
from tests.pipeline.control_plane import control_plane
from tests.pipeline.pipeline import OTHER_REGION, pipeline
from tests.pipeline.selector_evaluator import wants
from tests.pipeline.selector_events import events_of_every_class, management_events
from tests.pipeline.selector_sets import Selectors, advanced, basic, management, named_selectors, random_selectors
from tests.servers.s3 import S3Server

pytestmark = [pytest.mark.kafka, pytest.mark.s3]

REGIONS = (REGION, OTHER_REGION)
MEMBERS = ("222233334444", "333344445555")
ORGANIZATION = Organization("o-exampleorg1", ACCOUNT, frozenset({ACCOUNT, *MEMBERS}))
TRAILS_OF_AN_ACCOUNT = 5
ROUNDS = 4
SEED = 5


@pytest.fixture
def api_world(tmp_path: Path, kafka_bootstrap: str, minio: S3Server) -> Iterator[ApiWorld]:
    with (
        pipeline(tmp_path, kafka=kafka_bootstrap, s3=minio, regions=REGIONS, partitions=3) as running,
        control_plane(running, REGIONS) as api,
    ):
        yield ApiWorld(running, api)


# --- Selectors


def test_each_trail_gets_what_its_selectors_want_and_new_ones_govern_what_comes_after(api_world: ApiWorld) -> None:
    """Each round gives each trail other selectors, then sends events of every class: in all, 100 sets of selectors."""
    accounts = [f"{number:012}" for number in range(444400000000, 444400000005)]
    random = Random(SEED)
    queues: dict[str, list[Selectors]] = {}
    for position, account in enumerate(accounts):
        named = named_selectors(account, REGION)[position :: len(accounts)]
        more = ROUNDS * TRAILS_OF_AN_ACCOUNT - len(named)
        queues[account] = [random_selectors(random, account, REGION) for _ in range(more)] + named
    trails = [
        api_world.create_trail(f"trail-{account[-1]}-{number}", account, REGION)
        for account in accounts
        for number in range(TRAILS_OF_AN_ACCOUNT)
    ]
    api_world.running.start_delivery()
    for trail in trails:
        api_world.put_selectors(trail, queues[trail.account_id].pop(0))
        api_world.start_logging(trail)
    for round_number in range(ROUNDS):
        if round_number:
            for trail in trails:
                api_world.put_selectors(trail, queues[trail.account_id].pop(0))
        time.sleep(1)  # well within the seconds that a change may take
        for account in accounts:
            api_world.send(events_of_every_class(account, REGION), account, REGION)
    assert not any(queues.values())
    api_world.wait_until_delivered()
    api_world.running.stop_delivery()
    api_world.assert_exactly_delivered()
    assert_told_apart(accounts)


def assert_told_apart(accounts: list[str]) -> None:
    """The events and the named selectors are such that a trail that got another's selectors would show."""
    events = events_of_every_class(accounts[0], REGION)
    answers = [tuple(wants(one, event) for event in events) for one in named_selectors(accounts[0], REGION)]
    assert len(set(answers)) > 0.8 * len(answers)
    assert all(set(of_event) == {True, False} for of_event in zip(*answers, strict=True))


def test_a_trail_to_which_nobody_gave_selectors_takes_all_management_events(api_world: ApiWorld) -> None:
    single = api_world.create_trail("single-region", ACCOUNT, REGION)
    multi = api_world.create_trail("multi-region", ACCOUNT, REGION, IsMultiRegionTrail=True)
    api_world.running.start_delivery()
    for trail in (single, multi):
        api_world.start_logging(trail)
    for region in REGIONS:
        api_world.send(events_of_every_class(ACCOUNT, region), ACCOUNT, region)
    # A trail that is reset has what it had at its beginning.
    api_world.put_selectors(multi, advanced(management(readOnly={"Equals": ["true"]})))
    api_world.send(events_of_every_class(ACCOUNT, OTHER_REGION), ACCOUNT, OTHER_REGION)
    api_world.put_selectors(multi, basic({}))
    api_world.send(events_of_every_class(ACCOUNT, OTHER_REGION), ACCOUNT, OTHER_REGION)
    api_world.wait_until_delivered()
    api_world.running.stop_delivery()
    api_world.assert_exactly_delivered()
    assert multi.wanted.total() > 2 * single.wanted.total() - 10 > 0


def test_where_a_trail_is_governs_which_regions_and_accounts_it_takes(api_world: ApiWorld) -> None:
    """From one region to all and back, from the account to its organization and back."""
    api_world.put_organization(ORGANIZATION)
    trail = api_world.create_trail("wanders", ACCOUNT, REGION)
    api_world.running.start_delivery()
    api_world.start_logging(trail)
    places: list[dict[str, bool]] = [
        {},
        {"IsMultiRegionTrail": True},
        {"IsOrganizationTrail": True},
        {"IsMultiRegionTrail": False},
        {"IsOrganizationTrail": False},
    ]
    for place in places:
        if place:
            api_world.update_trail(trail, **place)
        for region in REGIONS:
            for account in (ACCOUNT, MEMBERS[0]):
                api_world.send(management_events(account), account, region)
    api_world.wait_until_delivered()
    api_world.running.stop_delivery()
    api_world.assert_exactly_delivered()
    # Once, in two regions, of two accounts in both, of two accounts in one, and once: with the calls that changed it.
    assert trail.wanted.total() == len(management_events(ACCOUNT)) * (1 + 2 + 4 + 2 + 1) + len(places) - 1


# --- The end


@pytest.mark.parametrize("end", [ApiWorld.stop_logging, ApiWorld.delete_trail])
def test_the_call_that_ends_a_trail_is_its_last_event_and_in_its_final_digest(
    api_world: ApiWorld, end: Callable[[ApiWorld, ExpectedTrail], None]
) -> None:
    trail = api_world.create_trail("ends", ACCOUNT, REGION, IsMultiRegionTrail=True)
    other = api_world.create_trail("goes-on", ACCOUNT, REGION, IsMultiRegionTrail=True)
    api_world.running.start_delivery()
    for one in (trail, other):
        api_world.start_logging(one)
    send_to_all_regions(api_world)
    api_world.wait_until_delivered()
    send_to_all_regions(api_world)
    end(api_world, trail)
    last_call = api_world.last_call
    send_to_all_regions(api_world)
    api_world.wait_until_delivered()
    assert_ended_by(last_call, trail, api_world)
    # That one began a call later, and takes what came after the end.
    assert other.wanted.total() == trail.wanted.total() - 1 + 2 * len(management_events(ACCOUNT))


def test_a_trail_waits_for_the_call_that_ended_it_however_late_the_bus_takes_that(
    tmp_path: Path, kafka_bootstrap: str, minio: S3Server
) -> None:
    """The bus takes no calls of the API for the time of several digests: no chain of the trail ends meanwhile."""
    is_open = threading.Event()
    is_open.set()
    with (
        pipeline(tmp_path, kafka=kafka_bootstrap, s3=minio, regions=REGIONS) as running,
        control_plane(running, REGIONS, around=partial(Interrupted, is_open)) as api,
    ):
        api_world = ApiWorld(running, api)
        trail = api_world.create_trail("ends", ACCOUNT, REGION)
        running.start_delivery()
        api_world.start_logging(trail)
        send_to_all_regions(api_world)
        api_world.wait_until_delivered()
        is_open.clear()
        api_world.stop_logging(trail)
        last_call = api_world.last_call
        send_to_all_regions(api_world)
        time.sleep(3 * running.settings.digest_seconds)
        assert [chain.ended for chain in running.state.chains.all_chains()] == [False]
        assert api_world.delivered()[trail.prefix][last_call] == 0
        is_open.set()
        api_world.wait_until_delivered()
        assert_ended_by(last_call, trail, api_world)


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


@pytest.mark.xfail(strict=True, reason="calls that change nothing are judged when the bus takes them, which is later")
def test_calls_right_before_the_end_are_in_the_trail_too(api_world: ApiWorld) -> None:
    """A look around and a refused attempt, answered before StopLogging: what an intruder does first."""
    trail = api_world.create_trail("ends", ACCOUNT, REGION)
    api_world.running.start_delivery()
    api_world.start_logging(trail)
    send_to_all_regions(api_world)
    api_world.wait_until_delivered()
    api_world.call("DescribeTrails", ACCOUNT, REGION)
    with pytest.raises(ClientError, match="TrailNotFoundException"):
        api_world.call("DeleteTrail", ACCOUNT, REGION, Name="no-such-trail")
    api_world.stop_logging(trail)
    api_world.running.wait_until_all_ended()
    api_world.running.stop_delivery()
    api_world.assert_exactly_delivered()


def test_a_trail_that_is_started_again_has_a_gap_and_two_chains(api_world: ApiWorld) -> None:
    trail = api_world.create_trail("twice", ACCOUNT, REGION)
    api_world.running.start_delivery()
    for _ in range(2):
        api_world.start_logging(trail)
        send_to_all_regions(api_world)
        api_world.wait_until_delivered()
        api_world.stop_logging(trail)
        send_to_all_regions(api_world)
        api_world.wait_until_delivered()
        api_world.running.wait_until_all_ended()
    api_world.running.stop_delivery()
    api_world.assert_exactly_delivered()
    (digests,) = api_world.running.seen().chains().values()
    assert [digest.previous is None for digest in digests].count(True) == 2


def test_a_member_that_left_the_organization_gets_nothing_more(api_world: ApiWorld) -> None:
    leaving, staying = MEMBERS
    api_world.put_organization(ORGANIZATION)
    trail = api_world.create_trail("all-of-us", ACCOUNT, REGION, IsOrganizationTrail=True, IsMultiRegionTrail=True)
    own = api_world.create_trail("my-own", leaving, REGION)
    api_world.running.start_delivery()
    for one in (trail, own):
        api_world.start_logging(one)
    for sees in ([trail.arn, own.arn], [own.arn]):
        for account in (ACCOUNT, *MEMBERS):
            send_to_all_regions(api_world, account)
        described = api_world.call("DescribeTrails", leaving, REGION)["trailList"]
        assert [found["TrailARN"] for found in described] == sees
        api_world.wait_until_delivered()
        api_world.put_organization(replace(ORGANIZATION, member_account_ids=frozenset({ACCOUNT, staying})))
    api_world.running.wait_until(
        lambda: all(chain.ended for chain in chains_of(api_world, trail, leaving)), "its chains ended"
    )
    api_world.running.stop_delivery()
    api_world.assert_exactly_delivered()
    files = {key for key in api_world.running.keys_in() if f"/{ORGANIZATION.id}/{leaving}/CloudTrail/" in key}
    assert files
    found = api_world.running.seen()
    assert files <= set(found.digested(trail.name))
    assert not any(chain.ended for chain in chains_of(api_world, trail, staying))


def send_to_all_regions(api_world: ApiWorld, account: str = ACCOUNT) -> None:
    for region in REGIONS:
        api_world.send(management_events(account), account, region)


def chains_of(api_world: ApiWorld, trail: ExpectedTrail, account: str) -> list[Chain]:
    found = [
        chain
        for chain in api_world.running.state.chains.all_chains()
        if (chain.trail_name, chain.account_id) == (trail.name, account)
    ]
    assert found
    return found


def assert_ended_by(last_call: str, trail: ExpectedTrail, api_world: ApiWorld) -> None:
    """The trail's chains end with digests that name all its files, the call's too; nothing in them is younger."""
    running = api_world.running
    running.wait_until(lambda: all(chain.ended for chain in chains_of(api_world, trail, ACCOUNT)), "the trail ended")
    running.wait_until(lambda: not running.state.chains.unpublished(1), "the last digest is put")
    running.stop_delivery()
    api_world.assert_exactly_delivered()
    assert trail.wanted[last_call] == 1
    found = running.seen()
    files = {key: records for key, records in found.log_files.items() if key.startswith(f"{trail.prefix}/")}
    assert set(found.digested(trail.name)) == files.keys()
    last = api_world.record(trail.prefix, last_call)
    assert last["eventTime"] == max(record["eventTime"] for records in files.values() for record in records)
    assert_chains_unforked(found)
