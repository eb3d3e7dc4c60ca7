"""Trails that boto3 makes on a running pipeline, and beside them what each trail's log files must hold.

Every call and every event goes through `ApiWorld`, one after the other. It evaluates each event for each trail as the
trail is at that moment (`selector_evaluator`); what delivery wrote is compared with that at the end. The API's own
calls are events too: one is judged by what was in force before it (design §3, *which configuration*).
"""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from opentrail.trails.configuration import Organization
from opentrail_backends.state.port import Chain
from opentrail_control_plane.event_intake import EventIntake
from tests.pipeline import selector_evaluator
from tests.pipeline.control_plane import PipelineApi, control_plane
from tests.pipeline.pipeline import Pipeline, pipeline
from tests.servers.s3 import S3Server

_API = "cloudtrail.amazonaws.com"
_READS = ("Get", "Describe", "List", "Lookup")
_LOG_FILE = re.compile(
    r"(?:(?P<prefix>.*)/)?AWSLogs/(o-[a-z0-9]+/)?(?P<account>\d{12})/CloudTrail/(?P<region>[^/]+)/.+"
)


@dataclass
class ExpectedTrail:
    """One trail as the calls made it, and the events that it must get: `eventID`s, of API calls `requestID`s."""

    name: str
    account_id: str
    home_region: str
    prefix: str
    is_multi_region: bool = False
    is_organization_trail: bool = False
    selectors: selector_evaluator.JsonObject = field(default_factory=lambda: selector_evaluator.DEFAULT)
    is_logging: bool = False
    sessions: int = 0
    """How many times its logging was started."""
    wanted: Counter[str] = field(default_factory=Counter)

    @property
    def arn(self) -> str:
        return f"arn:aws:cloudtrail:{self.home_region}:{self.account_id}:trail/{self.name}"


@dataclass
class ApiWorld:
    """A pipeline, its API, and what is expected of them. No two trails have the same prefix."""

    running: Pipeline
    api: PipelineApi
    regions: Sequence[str]
    organization: Organization | None = None
    trails: dict[str, ExpectedTrail] = field(default_factory=dict)
    """By their prefixes, also those that were deleted."""
    last_call: str = ""
    """The `requestID` of the newest call."""
    _ids_in: dict[str, list[str]] = field(default_factory=dict)

    # --- what happens -----------------------------------------------------------------------------

    def call(self, operation: str, account: str, region: str, **members: Any) -> dict[str, Any]:
        """Calls the API; a refusal is raised as boto3's ClientError. Both are events of the account."""
        method = getattr(self.api.client(account, region), _snake(operation))
        try:
            answer: dict[str, Any] = method(**members)
        except ClientError as error:
            self._called(operation, account, region, error.response["ResponseMetadata"]["RequestId"])
            raise
        self._called(operation, account, region, answer["ResponseMetadata"]["RequestId"])
        return answer

    def create_trail(
        self, name: str, account: str, region: str, *, has_prefix: bool = True, **members: Any
    ) -> ExpectedTrail:
        """CreateTrail; the trail does not log yet. Its name is its prefix too, unless it has none."""
        prefix = {"S3KeyPrefix": name} if has_prefix else {}
        members = {"EnableLogFileValidation": True, **prefix, **members}
        self.call("CreateTrail", account, region, Name=name, S3BucketName=self.running.bucket, **members)
        trail = ExpectedTrail(
            name,
            account,
            region,
            name if has_prefix else "",
            members.get("IsMultiRegionTrail", False),
            members.get("IsOrganizationTrail", False),
        )
        self.trails[trail.prefix] = trail
        return trail

    def update_trail(self, trail: ExpectedTrail, **members: bool) -> None:
        """UpdateTrail with IsMultiRegionTrail or IsOrganizationTrail, or both."""
        self.call("UpdateTrail", trail.account_id, trail.home_region, Name=trail.arn, **members)
        trail.is_multi_region = members.get("IsMultiRegionTrail", trail.is_multi_region)
        trail.is_organization_trail = members.get("IsOrganizationTrail", trail.is_organization_trail)

    def put_selectors(self, trail: ExpectedTrail, selectors: selector_evaluator.JsonObject) -> None:
        """PutEventSelectors."""
        self.call("PutEventSelectors", trail.account_id, trail.home_region, TrailName=trail.name, **selectors)
        trail.selectors = selectors

    def start_logging(self, trail: ExpectedTrail) -> None:
        """StartLogging."""
        self.call("StartLogging", trail.account_id, trail.home_region, Name=trail.arn)
        trail.is_logging = True
        trail.sessions += 1

    def stop_logging(self, trail: ExpectedTrail) -> None:
        """StopLogging."""
        self.call("StopLogging", trail.account_id, trail.home_region, Name=trail.arn)
        trail.is_logging = False

    def delete_trail(self, trail: ExpectedTrail) -> None:
        """DeleteTrail."""
        self.call("DeleteTrail", trail.account_id, trail.home_region, Name=trail.arn)
        trail.is_logging = False

    def put_organization(self, organization: Organization) -> None:
        """Members join and leave: Organizations' part, which has no call of CloudTrail's."""
        self.running.put_organization(organization)
        self.organization = organization

    def send(self, records: Iterable[dict[str, Any]], account: str, region: str) -> list[str]:
        """Sends events over gRPC; returns their ids."""
        records = list(records)
        ids = self.running.publish_over_grpc(records, account, region)
        for id_, record in zip(ids, records, strict=True):
            self._happened(id_, record, account, region)
        return ids

    def _called(self, operation: str, account: str, region: str, request_id: str) -> None:
        self.last_call = request_id
        record = {
            "eventCategory": "Management",
            "eventSource": _API,
            "eventName": operation,
            "eventType": "AwsApiCall",
            "readOnly": operation.startswith(_READS),
        }
        self._happened(request_id, record, account, region)

    def _happened(self, id_: str, record: dict[str, Any], account: str, region: str) -> None:
        for trail in self.trails.values():
            if trail.is_logging and self._applies(trail, account, region):
                trail.wanted[id_] += selector_evaluator.wants(trail.selectors, record)

    def _applies(self, trail: ExpectedTrail, account: str, region: str) -> bool:
        """Whether a trail takes events of an account in a region at all (reference §10)."""
        if not trail.is_multi_region and trail.home_region != region:
            return False
        if not trail.is_organization_trail:
            return trail.account_id == account
        return self.organization is not None and account in self.organization.member_account_ids

    # --- what was delivered -----------------------------------------------------------------------

    def delivered(self) -> dict[str, Counter[str]]:
        """What the log files hold, by prefix, read with nothing of ours; each record lies in its account's folder."""
        found: dict[str, Counter[str]] = {prefix: Counter() for prefix in self.trails}
        for key in self.running.keys_in():
            place = _LOG_FILE.fullmatch(key)
            if place is not None:
                if key not in self._ids_in:
                    self._ids_in[key] = self._read(key, place["account"], place["region"])
                found[place["prefix"] or ""].update(self._ids_in[key])
        return found

    def wait_until_delivered(self, seconds: float = 60.0) -> None:
        """Until each trail has as many events as it must get."""

        def all_delivered() -> bool:
            found = self.delivered()
            return all(found[prefix].total() >= trail.wanted.total() for prefix, trail in self.trails.items())

        self.running.wait_until(all_delivered, "what the trails want", seconds)

    def chains_of(self, trail: ExpectedTrail, account: str) -> list[Chain]:
        """A trail's digest chains of one account, in all regions and of all sessions of logging."""
        chains = self.running.state.chains.all_chains()
        return [chain for chain in chains if (chain.trail_name, chain.account_id) == (trail.name, account)]

    def wait_until_ended(self, trail: ExpectedTrail, account: str) -> None:
        """Until the newest session has its chains, all have had their final digests, and those are put.

        A session that was over before delivery looked gets its chains only after its files were delivered. Each region
        of the trail must have had an event.
        """
        regions = len(self.regions) if trail.is_multi_region else 1

        def ended() -> bool:
            chains = self.chains_of(trail, account)
            newest = {chain.region for chain in chains if chain.logging_session == trail.sessions}
            if len(newest) < regions or not all(chain.ended for chain in chains):
                return False
            return not self.running.state.chains.unpublished(1)

        self.running.wait_until(ended, f"the end of {trail.name}")

    def assert_exactly_delivered(self) -> None:
        """Each trail's files hold what the trail wants, once, and nothing else. Delivery has been stopped."""
        found = self.delivered()
        for prefix, trail in self.trails.items():
            missing, surplus = trail.wanted - found[prefix], found[prefix] - trail.wanted
            told = f"{trail.name} with {trail.selectors}: {dict(missing)} are missing, {dict(surplus)} are too many"
            assert missing + surplus == Counter(), told

    def record(self, prefix: str, id_: str) -> dict[str, Any]:
        """One delivered record of a trail, by its `eventID`, of an API call by its `requestID`."""
        for key, ids in self._ids_in.items():
            if key.partition("AWSLogs/")[0].rstrip("/") == prefix and id_ in ids:
                record: dict[str, Any] = self._records(key)[ids.index(id_)]
                return record
        raise AssertionError(f"{id_} is in no file of {prefix}")

    def _read(self, key: str, account: str, region: str) -> list[str]:
        records = self._records(key)
        assert {(record["recipientAccountId"], record["awsRegion"]) for record in records} == {(account, region)}
        return [record["requestID" if record["eventSource"] == _API else "eventID"] for record in records]

    def _records(self, key: str) -> list[dict[str, Any]]:
        body = gzip.decompress(self.running.store.get(self.running.bucket, key).body)
        records: list[dict[str, Any]] = json.loads(body)["Records"]
        return records


@contextmanager
def opened_api_world(
    folder: Path,
    kafka: str,
    s3: S3Server,
    regions: Sequence[str],
    around: Callable[[EventIntake], EventIntake] = lambda intake: intake,
) -> Iterator[ApiWorld]:
    """A pipeline of three partitions a region on real servers, and its API without limits of rates."""
    with (
        pipeline(folder, kafka=kafka, s3=s3, regions=regions, partitions=3) as running,
        control_plane(running, regions, around=around) as api,
    ):
        yield ApiWorld(running, api, regions)


def _snake(operation: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", operation).lower()
