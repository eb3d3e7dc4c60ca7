"""Events from outside AWS: unmodified boto3, the API on a port, the event bus, and the log files of real delivery."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, ParamValidationError

from opentrail.events.batch import record_views
from opentrail_backends.event_bus.batches import unpack
from tests.contracts.event_bus.members import Member, until
from tests.crash.world import ACCOUNT, REGION
from tests.pipeline.control_plane import PipelineApi, control_plane
from tests.pipeline.pipeline import OTHER_REGION, Pipeline, pipeline

PARTNER = "444455556666"
TO_THE_BUS = [{"Type": "EVENT_DATA_STORE", "Location": "event-bus"}]


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Pipeline]:
    with pipeline(tmp_path, regions=(REGION, OTHER_REGION)) as started:
        yield started


@pytest.fixture
def api(running: Pipeline) -> Iterator[PipelineApi]:
    with control_plane(running, (REGION, OTHER_REGION)) as served:
        yield served


@pytest.fixture
def channel_arn(api: PipelineApi) -> str:
    made = api.client(ACCOUNT, REGION).create_channel(Name="app", Source="Custom", Destinations=TO_THE_BUS)
    return str(made["ChannelArn"])


def event(number: int, **changes: Any) -> dict[str, str]:
    data = json.dumps(
        {
            "version": "0.1",
            "userIdentity": {"type": "CustomUser", "principalId": f"user-{number}"},
            "eventSource": "com.example.app",
            "eventName": "Rule.Created",
            "eventTime": "2026-01-02T03:04:05Z",
            "UID": f"uid-{number}",
            "recipientAccountId": ACCOUNT,
            "requestParameters": {"number": number},
            **changes,
        }
    )
    checksum = base64.b64encode(sha256(data.encode()).digest()).decode()
    return {"id": f"event-{number}", "eventData": data, "eventDataChecksum": checksum}


def on_the_bus(running: Pipeline, count: int) -> list[dict[str, Any]]:
    """The first records on the bus that came through channels."""
    with closing(running.bus.reader("what-is-there")) as reader:
        member = Member(reader).join()
        until(lambda: len(_activities(member.values())) >= count, member)
        return _activities(member.values())


def _activities(messages: Sequence[bytes]) -> list[dict[str, Any]]:
    records = [
        json.loads(bytes(raw)) for value in messages for group in unpack(value).groups for raw in record_views(group)
    ]
    return [record for record in records if record["eventType"] == "ActivityLog"]


def test_what_is_put_is_on_the_bus_and_in_the_trails_log_files(
    running: Pipeline, api: PipelineApi, channel_arn: str
) -> None:
    cloudtrail = api.client(ACCOUNT, REGION)
    cloudtrail.create_trail(Name="audit", S3BucketName=running.bucket, EnableLogFileValidation=True)
    cloudtrail.start_logging(Name="audit")
    data = api.client(ACCOUNT, REGION, "cloudtrail-data")
    answer = data.put_audit_events(channelArn=channel_arn, auditEvents=[event(1), event(2, UID=None), event(3)])

    assert [one["id"] for one in answer["successful"]] == ["event-1", "event-3"]
    assert [(one["id"], one["errorCode"]) for one in answer["failed"]] == [("event-2", "FieldNotFound")]
    records = on_the_bus(running, 2)
    assert [record["eventID"] for record in records] == [one["eventID"] for one in answer["successful"]]
    assert [record["eventData"]["UID"] for record in records] == ["uid-1", "uid-3"]
    assert {record["metadata"]["channelARN"] for record in records} == {channel_arn}

    running.start_delivery()
    ids = {record["eventID"] for record in records}
    running.wait_until(lambda: ids <= set(running.seen().event_ids("audit")), "the events in log files")
    running.stop_delivery()
    delivered = [
        record
        for key in running.keys_in()
        if "/CloudTrail/" in key
        for record in json.loads(gzip.decompress(running.store.get(running.bucket, key).body))["Records"]
    ]
    assert [record for record in delivered if record["eventID"] in ids] == records


def test_another_account_puts_events_if_the_channels_policy_lets_it(
    running: Pipeline, api: PipelineApi, channel_arn: str
) -> None:
    cloudtrail = api.client(ACCOUNT, REGION)
    partner = api.client(PARTNER, REGION, "cloudtrail-data")
    owner = api.client(ACCOUNT, REGION, "cloudtrail-data")
    with pytest.raises(partner.exceptions.ChannelInsufficientPermission):
        partner.put_audit_events(channelArn=channel_arn, auditEvents=[event(1)])

    statement = {
        "Sid": "ChannelPolicy",
        "Effect": "Allow",
        "Principal": {"AWS": [f"arn:aws:iam::{PARTNER}:root"]},
        "Action": "cloudtrail-data:PutAuditEvents",
        "Resource": channel_arn,
        "Condition": {"StringEquals": {"cloudtrail:ExternalId": "uniqueId"}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    cloudtrail.put_resource_policy(ResourceArn=channel_arn, ResourcePolicy=policy)
    assert cloudtrail.get_resource_policy(ResourceArn=channel_arn)["ResourcePolicy"] == policy
    with pytest.raises(partner.exceptions.ChannelInsufficientPermission):
        partner.put_audit_events(channelArn=channel_arn, auditEvents=[event(1)])
    put = partner.put_audit_events(channelArn=channel_arn, externalId="uniqueId", auditEvents=[event(1)])
    assert len(put["successful"]) == 1
    own = owner.put_audit_events(channelArn=channel_arn, auditEvents=[event(2)])

    cloudtrail.delete_resource_policy(ResourceArn=channel_arn)
    with pytest.raises(partner.exceptions.ChannelInsufficientPermission):
        partner.put_audit_events(channelArn=channel_arn, externalId="uniqueId", auditEvents=[event(3)])
    records = on_the_bus(running, 2)
    assert [record["eventID"] for record in records] == [
        put["successful"][0]["eventID"],
        own["successful"][0]["eventID"],
    ]
    assert {record["recipientAccountId"] for record in records} == {ACCOUNT}


def test_an_event_that_is_put_again_keeps_its_id(running: Pipeline, api: PipelineApi, channel_arn: str) -> None:
    data = api.client(ACCOUNT, REGION, "cloudtrail-data")
    answers = [data.put_audit_events(channelArn=channel_arn, auditEvents=[event(1)]) for _ in range(2)]
    assert answers[0]["successful"] == answers[1]["successful"]
    assert len({record["eventID"] for record in on_the_bus(running, 2)}) == 1


def test_a_request_has_1_to_100_events(running: Pipeline, api: PipelineApi, channel_arn: str) -> None:
    data = api.client(ACCOUNT, REGION, "cloudtrail-data")
    full = data.put_audit_events(channelArn=channel_arn, auditEvents=[event(number) for number in range(100)])
    assert len(full["successful"]) == 100
    assert len(on_the_bus(running, 100)) == 100
    with pytest.raises(ClientError) as refused:
        data.put_audit_events(channelArn=channel_arn, auditEvents=[event(number) for number in range(101)])
    assert refused.value.response["Error"]["Code"] == "ValidationException"
    with pytest.raises(ParamValidationError):  # boto3 itself sees to it
        data.put_audit_events(channelArn=channel_arn, auditEvents=[])


def test_a_request_has_at_most_1_mb(api: PipelineApi, channel_arn: str) -> None:
    data = api.client(ACCOUNT, REGION, "cloudtrail-data")
    large = [event(number, requestParameters={"k": "a" * 100_000}) for number in range(11)]
    assert len(data.put_audit_events(channelArn=channel_arn, auditEvents=large[:10])["successful"]) == 10
    with pytest.raises(ClientError) as refused:
        data.put_audit_events(channelArn=channel_arn, auditEvents=large)
    assert refused.value.response["Error"]["Code"] == "RequestEntityTooLargeException"


def test_refusals_are_boto3s_own_exceptions(api: PipelineApi, channel_arn: str) -> None:
    data = api.client(ACCOUNT, REGION, "cloudtrail-data")
    with pytest.raises(data.exceptions.DuplicatedAuditEventId):
        data.put_audit_events(channelArn=channel_arn, auditEvents=[event(1), event(1)])
    with pytest.raises(data.exceptions.InvalidChannelARN):
        data.put_audit_events(channelArn="arn:aws:s3:::bucket", auditEvents=[event(1)])
    elsewhere = api.client(ACCOUNT, OTHER_REGION, "cloudtrail-data")
    with pytest.raises(elsewhere.exceptions.ChannelNotFound):
        elsewhere.put_audit_events(channelArn=channel_arn, auditEvents=[event(1)])
    api.client(ACCOUNT, REGION).delete_channel(Channel=channel_arn)
    with pytest.raises(data.exceptions.ChannelNotFound):
        data.put_audit_events(channelArn=channel_arn, auditEvents=[event(1)])


def test_a_key_that_may_only_read_puts_nothing(running: Pipeline, api: PipelineApi, channel_arn: str) -> None:
    api.client(ACCOUNT, REGION, "cloudtrail-data")
    running.state.configuration.put_access_key(replace(api.key_of(ACCOUNT), role="read-only"))
    with pytest.raises(ClientError) as refused:
        api.client(ACCOUNT, REGION, "cloudtrail-data").put_audit_events(channelArn=channel_arn, auditEvents=[event(1)])
    assert refused.value.response["Error"]["Code"] == "AccessDeniedException"
