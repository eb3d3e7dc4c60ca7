"""The policies that AWS documents for a trail's bucket and topic (reference: CloudTrail §9.1, §9.4)."""

from __future__ import annotations

import json
from typing import Any

CLOUDTRAIL = {"Service": "cloudtrail.amazonaws.com"}


def bucket_statements(
    bucket: str, trail_arn: str, *, prefix: str = "", organization_id: str | None = None
) -> list[dict[str, Any]]:
    """The statements of docs/object-store.md, for one trail."""
    account_id = trail_arn.split(":")[4]
    condition = {"StringEquals": {"aws:SourceArn": trail_arn, "s3:x-amz-acl": "bucket-owner-full-control"}}
    folder = f"arn:aws:s3:::{bucket}/{prefix}AWSLogs"
    statements: list[dict[str, Any]] = [
        {
            "Sid": "AWSCloudTrailAclCheck20150319",
            "Effect": "Allow",
            "Principal": CLOUDTRAIL,
            "Action": "s3:GetBucketAcl",
            "Resource": f"arn:aws:s3:::{bucket}",
            "Condition": {"StringEquals": {"aws:SourceArn": trail_arn}},
        },
        {
            "Sid": "AWSCloudTrailWrite20150319",
            "Effect": "Allow",
            "Principal": CLOUDTRAIL,
            "Action": "s3:PutObject",
            "Resource": f"{folder}/{account_id}/*",
            "Condition": condition,
        },
    ]
    if organization_id is not None:
        statements.append(
            {
                "Sid": "AWSCloudTrailOrganizationWrite20150319",
                "Effect": "Allow",
                "Principal": CLOUDTRAIL,
                "Action": "s3:PutObject",
                "Resource": f"{folder}/{organization_id}/*",
                "Condition": condition,
            }
        )
    return statements


def topic_statement(topic_arn: str, trail_arn: str) -> dict[str, Any]:
    """The statement of docs/notifications.md."""
    return {
        "Sid": "AWSCloudTrailSNSPolicy20150319",
        "Effect": "Allow",
        "Principal": CLOUDTRAIL,
        "Action": "SNS:Publish",
        "Resource": topic_arn,
        "Condition": {"StringEquals": {"aws:SourceArn": trail_arn}},
    }


def policy(*statements: dict[str, Any]) -> str:
    """A policy's text."""
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
