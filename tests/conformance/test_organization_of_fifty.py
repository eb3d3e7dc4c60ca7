"""One trail, made by boto3, for an organization of 50 accounts in 3 regions: on Kafka and MinIO, judged by the AWS CLI.

The evidence is made once, delivery is stopped, and the tests look at the same quiet bucket.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore.exceptions import ClientError

from opentrail.trails.configuration import Organization
from opentrail_delivery.settings import DeliverySettings
from tests import judges
from tests.crash.world import Evidence, assert_chains_unforked
from tests.pipeline.api_world import ApiWorld, ExpectedTrail
from tests.pipeline.control_plane import control_plane
from tests.pipeline.pipeline import pipeline
from tests.pipeline.selector_events import management_events
from tests.servers.aws_cli import AwsCli
from tests.servers.s3 import S3Server

pytestmark = [pytest.mark.kafka, pytest.mark.s3, pytest.mark.timeout(900)]

REGIONS = ("eu-central-1", "us-east-1", "ap-southeast-2")
HOME = REGIONS[0]
ACCOUNTS = tuple(str(500000000000 + number) for number in range(1, 51))
MANAGEMENT, *MEMBERS = ACCOUNTS
ORGANIZATION = Organization("o-fiftyaccts", MANAGEMENT, frozenset(ACCOUNTS))
CHAINS = sorted(itertools.product(ACCOUNTS, REGIONS))
ROUNDS = 2
SETTINGS = DeliverySettings(window_seconds=2, digest_seconds=20, put_threads=8)

REFUSED: dict[str, dict[str, Any]] = {
    "UpdateTrail": {"Name": "arn", "IsOrganizationTrail": False},
    "StopLogging": {"Name": "arn"},
    "StartLogging": {"Name": "arn"},
    "DeleteTrail": {"Name": "arn"},
    "PutEventSelectors": {"TrailName": "arn", "EventSelectors": [{"ReadWriteType": "ReadOnly"}]},
    "PutInsightSelectors": {"TrailName": "arn", "InsightSelectors": []},
    "PutEventConfiguration": {"TrailName": "arn", "AggregationConfigurations": []},
    "AddTags": {"ResourceId": "arn", "TagsList": [{"Key": "owner", "Value": "me"}]},
    "RemoveTags": {"ResourceId": "arn", "TagsList": [{"Key": "owner"}]},
}
"""What a member may not do; `arn` stands for the trail's."""


@dataclass
class Made:
    """The bucket with its evidence, and what members saw and were answered meanwhile."""

    world: ApiWorld
    trail: ExpectedTrail
    evidence: Evidence
    env: dict[str, str]
    codes: dict[tuple[str, str], str] = field(default_factory=dict)
    """By member and operation."""
    seen: dict[tuple[str, str], list[dict[str, Any]]] = field(default_factory=dict)
    """DescribeTrails, by account and region."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, kafka_bootstrap: str, minio: S3Server) -> Iterator[Made]:
    folder = tmp_path_factory.mktemp("fifty")
    with (
        pipeline(folder, kafka=kafka_bootstrap, s3=minio, regions=REGIONS, partitions=3, settings=SETTINGS) as running,
        control_plane(running, REGIONS) as api,
    ):
        world = ApiWorld(running, api, REGIONS)
        world.put_organization(ORGANIZATION)
        places = {"IsOrganizationTrail": True, "IsMultiRegionTrail": True}
        trail = world.create_trail("all-of-us", MANAGEMENT, HOME, has_prefix=False, **places)
        running.start_delivery()
        world.start_logging(trail)
        made = Made(world, trail, Evidence(), api.environment(MANAGEMENT, minio))
        for _ in range(ROUNDS):
            for account, region in CHAINS:
                world.send(management_events(account), account, region)
            world.wait_until_delivered(120)
        look_and_try(made)
        world.wait_until_delivered(120)
        wait_until_all_is_digested(world)
        running.stop_delivery()
        made.evidence = running.seen()
        yield made


def look_and_try(made: Made) -> None:
    """Each account looks at the trails of each region, and each member tries to change the one that there is."""
    for account, region in CHAINS:
        made.seen[account, region] = made.world.call("DescribeTrails", account, region)["trailList"]
    for member, (operation, members) in itertools.product(MEMBERS, REFUSED.items()):
        with_arn = {name: made.trail.arn if value == "arn" else value for name, value in members.items()}
        made.codes[member, operation] = code_of(made.world.call, operation, member, HOME, **with_arn)


def code_of(call: Callable[..., Any], *arguments: Any, **members: Any) -> str:
    with pytest.raises(ClientError) as refusal:
        call(*arguments, **members)
    return str(refusal.value.response["Error"]["Code"])


def wait_until_all_is_digested(world: ApiWorld) -> None:
    """Until every chain has a published digest that ends after all that was delivered by now.

    A file lies in its bucket before the ledger has it as delivered: one of a window that is open comes into no digest.
    """
    windows = world.running.state.ledger.windows
    world.running.wait_until(lambda: not any(row["open_intents"] for row in windows()), "no window is open", 120)
    now = world.running.state.chains.now() // 1000

    def digested() -> bool:
        chains = world.running.state.chains
        return all(chain.last_end > now for chain in chains.all_chains()) and not chains.unpublished(1)

    world.running.wait_until(digested, "all is digested", 120)


def test_each_account_has_a_chain_of_its_own_in_each_region(made: Made) -> None:
    assert [(account, region) for _, account, region in sorted(made.evidence.chains())] == CHAINS
    assert_chains_unforked(made.evidence)
    folders = {tuple(key.split("/")[:5]) for key in made.world.running.keys_in()}
    kinds = ("CloudTrail", "CloudTrail-Digest")
    assert folders == {
        ("AWSLogs", ORGANIZATION.id, account, kind, region) for account, region in CHAINS for kind in kinds
    }


def test_each_event_of_each_account_is_delivered_once(made: Made) -> None:
    """The members' vain attempts too: they are events of the accounts that tried."""
    made.world.assert_exactly_delivered()
    assert made.trail.wanted.total() >= len(CHAINS) * ROUNDS * len(management_events(MANAGEMENT)) + len(made.codes)
    assert set(made.evidence.digested()) == set(made.evidence.log_files)


def test_the_aws_cli_accepts_each_account_in_each_region(made: Made, aws_cli: list[AwsCli]) -> None:
    """A run of `validate-logs` is about one account in one region. The older release judges every tenth, too."""
    runs = [(aws_cli[0], *chain) for chain in CHAINS] + [(aws_cli[1], *chain) for chain in CHAINS[::10]]

    def check(run: tuple[AwsCli, str, str]) -> None:
        cli, account, region = run
        verdict = judges.aws(cli, judges.flags(made.trail.arn, region, account), made.env)
        assert (verdict.code, verdict.stderr) == (0, ""), (account, region)
        digests = re.search(r"^(\d+)/(\d+) digest files valid$", verdict.stdout, re.MULTILINE)
        files = re.search(r"^(\d+)/(\d+) log files valid$", verdict.stdout, re.MULTILINE)
        assert digests is not None, verdict.stdout
        assert files is not None, verdict.stdout
        counts = len(digests_of(made, account, region)), len(log_files_of(made, account, region))
        assert (digests[1], files[1]) == (digests[2], files[2]) == tuple(map(str, counts))
        assert min(counts) > 0

    with ThreadPoolExecutor(2) as two:
        list(two.map(check, runs))


def digests_of(made: Made, account: str, region: str) -> list[Any]:
    return made.evidence.chains()[made.trail.name, account, region]


def log_files_of(made: Made, account: str, region: str) -> set[str]:
    return {entry.s3_object for digest in digests_of(made, account, region) for entry in digest.log_files}


def test_members_see_the_trail_in_each_region(made: Made) -> None:
    for (account, region), trails in made.seen.items():
        assert [trail["TrailARN"] for trail in trails] == [made.trail.arn], (account, region)
        assert [trail["IsOrganizationTrail"] for trail in trails] == [True]
        assert [trail["HomeRegion"] for trail in trails] == [HOME]
    assert len(made.seen) == len(CHAINS)
    member = made.world.api.client(MEMBERS[0], HOME)
    assert member.get_trail(Name=made.trail.arn)["Trail"]["S3BucketName"] == made.world.running.bucket
    assert member.get_trail_status(Name=made.trail.arn)["IsLogging"] is True
    assert member.describe_trails(includeShadowTrails=False)["trailList"] == []


def test_members_change_nothing_of_it(made: Made) -> None:
    assert set(made.codes) == set(itertools.product(MEMBERS, REFUSED))
    assert set(made.codes.values()) == {"NotOrganizationMasterAccountException"}
    management = made.world.api.client(MANAGEMENT, HOME)
    trail = management.get_trail(Name=made.trail.name)["Trail"]
    assert (trail["IsOrganizationTrail"], trail["IsMultiRegionTrail"]) == (True, True)
    assert management.get_trail_status(Name=made.trail.name)["IsLogging"] is True
    assert management.list_tags(ResourceIdList=[made.trail.arn])["ResourceTagList"][0]["TagsList"] == []
    selectors = management.get_event_selectors(TrailName=made.trail.name)["EventSelectors"]
    assert [(one["ReadWriteType"], one["IncludeManagementEvents"]) for one in selectors] == [("All", True)]


def test_a_member_names_the_trail_by_its_arn_and_has_no_organization_trails_of_its_own(made: Made) -> None:
    api, member, arn = made.world.api, MEMBERS[0], made.trail.arn
    assert code_of(api.client(member, HOME).stop_logging, Name=made.trail.name) == "TrailNotFoundException"
    refused = "NotOrganizationMasterAccountException"
    assert code_of(api.client(member, REGIONS[1]).stop_logging, Name=arn) == refused
    own = {"Name": "my-own", "S3BucketName": made.world.running.bucket, "IsOrganizationTrail": True}
    assert code_of(api.client(member, HOME).create_trail, **own) == refused
    assert code_of(api.client("999988887777", HOME).stop_logging, Name=arn) == "TrailNotFoundException"
