"""The category of an event: Management, Data, NetworkActivity or Insight (reference: CloudTrail §1.2).

`eventCategory` tells it since eventVersion 1.07. For records that lack it, it is derived from
`managementEvent` (since 1.06), else from the event's type and name.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum


class EventCategory(StrEnum):
    """The values of `eventCategory` in the log files of trails."""

    MANAGEMENT = "Management"
    DATA = "Data"
    NETWORK_ACTIVITY = "NetworkActivity"
    INSIGHT = "Insight"


CATEGORIES = frozenset(EventCategory)

_OF_TYPE = {
    # AWS documents AwsVpceEvents; every sample says AwsVpceEvent.
    "AwsVpceEvent": EventCategory.NETWORK_ACTIVITY,
    "AwsVpceEvents": EventCategory.NETWORK_ACTIVITY,
    "AwsCloudTrailInsight": EventCategory.INSIGHT,
}

# Data events of the services that basic selectors know and of two busy ones more, for records that do not say.
_DATA_EVENTS = {
    "s3.amazonaws.com": frozenset(
        {
            "AbortMultipartUpload",
            "CompleteMultipartUpload",
            "CopyObject",
            "CreateMultipartUpload",
            "DeleteObject",
            "DeleteObjectTagging",
            "DeleteObjects",
            "GetObject",
            "GetObjectAcl",
            "GetObjectAttributes",
            "GetObjectLegalHold",
            "GetObjectRetention",
            "GetObjectTagging",
            "GetObjectTorrent",
            "HeadBucket",
            "HeadObject",
            "ListMultipartUploads",
            "ListObjectVersions",
            "ListObjects",
            "ListParts",
            "PutObject",
            "PutObjectAcl",
            "PutObjectLegalHold",
            "PutObjectRetention",
            "PutObjectTagging",
            "RestoreObject",
            "SelectObjectContent",
            "UploadPart",
            "UploadPartCopy",
        }
    ),
    "lambda.amazonaws.com": frozenset({"Invoke", "InvokeExecution"}),
    "dynamodb.amazonaws.com": frozenset(
        {
            "BatchExecuteStatement",
            "BatchGetItem",
            "BatchWriteItem",
            "DeleteItem",
            "ExecuteStatement",
            "ExecuteTransaction",
            "GetItem",
            "GetRecords",
            "GetShardIterator",
            "PutItem",
            "Query",
            "Scan",
            "TransactGetItems",
            "TransactWriteItems",
            "UpdateItem",
        }
    ),
    "sns.amazonaws.com": frozenset({"Publish", "PublishBatch"}),
    "sqs.amazonaws.com": frozenset(
        {
            "ChangeMessageVisibility",
            "ChangeMessageVisibilityBatch",
            "DeleteMessage",
            "DeleteMessageBatch",
            "ReceiveMessage",
            "SendMessage",
            "SendMessageBatch",
        }
    ),
}
_DATA_RESOURCES = frozenset({"AWS::S3::Object"})
"""Types that only data events name."""


def category_of(
    *,
    event_type: str,
    management_event: bool | None,
    event_source: str,
    event_name: str,
    resource_types: Collection[str] = (),
) -> EventCategory:
    """The category of a record without `eventCategory`. What is not known as anything else is a management event."""
    of_type = _OF_TYPE.get(event_type)
    if of_type is not None:
        return of_type
    if management_event is not None:
        return EventCategory.MANAGEMENT if management_event else EventCategory.DATA
    if event_type == "AwsApiCall" and (
        event_name in _DATA_EVENTS.get(event_source, ()) or not _DATA_RESOURCES.isdisjoint(resource_types)
    ):
        return EventCategory.DATA
    return EventCategory.MANAGEMENT
