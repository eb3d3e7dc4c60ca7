"""What is put through the API governs what real delivery writes: boto3, gRPC, Kafka and MinIO, judged independently."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from opentrail.trails.configuration import Organization
from tests.crash.world import ACCOUNT, REGION
from tests.pipeline.api_world import ApiWorld, opened_api_world
from tests.pipeline.pipeline import OTHER_REGION
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
    with opened_api_world(tmp_path, kafka_bootstrap, minio, REGIONS) as opened:
        yield opened


def test_each_trail_gets_what_its_selectors_want_and_new_ones_govern_what_comes_after(api_world: ApiWorld) -> None:
    """Each round gives each trail other selectors, then sends events of every class: 100 sets of selectors.

    Two workers deliver, and each has to learn of a change.
    """
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
    for _ in range(2):
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


def test_an_organization_trail_takes_an_accounts_events_while_it_is_a_member(api_world: ApiWorld) -> None:
    leaving, joining = MEMBERS
    together = [frozenset({ACCOUNT, leaving}), frozenset({ACCOUNT, leaving, joining}), frozenset({ACCOUNT, joining})]
    api_world.put_organization(replace(ORGANIZATION, member_account_ids=together[0]))
    trail = api_world.create_trail("all-of-us", ACCOUNT, REGION, IsOrganizationTrail=True, IsMultiRegionTrail=True)
    own = api_world.create_trail("my-own", leaving, REGION)
    api_world.running.start_delivery()
    for one in (trail, own):
        api_world.start_logging(one)
    for members in together:
        api_world.put_organization(replace(ORGANIZATION, member_account_ids=members))
        for account in (ACCOUNT, *MEMBERS):
            send_to_all_regions(api_world, account)
        for account in members | {leaving}:
            seen = api_world.call("DescribeTrails", account, REGION)["trailList"]
            expected = ([trail.arn] if account in members else []) + ([own.arn] if account == leaving else [])
            assert [found["TrailARN"] for found in seen] == expected
        api_world.wait_until_delivered()
    api_world.wait_until_ended(trail, leaving)
    api_world.running.stop_delivery()
    api_world.assert_exactly_delivered()
    assert {chain.region for chain in api_world.chains_of(trail, leaving)} == set(REGIONS)
    files = {key for key in api_world.running.keys_in() if f"/{ORGANIZATION.id}/{leaving}/CloudTrail/" in key}
    assert files
    assert files <= set(api_world.running.seen().digested(trail.name))
    assert not any(chain.ended for chain in api_world.chains_of(trail, joining))


def send_to_all_regions(api_world: ApiWorld, account: str = ACCOUNT) -> None:
    for region in REGIONS:
        api_world.send(management_events(account), account, region)
