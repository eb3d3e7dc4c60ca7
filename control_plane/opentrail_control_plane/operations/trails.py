"""Reading trails: DescribeTrails, GetTrail, ListTrails, GetEventSelectors."""

from __future__ import annotations

from typing import Any

from opentrail.trails.event_selectors import EventSelectors
from opentrail.trails.trail import Trail
from opentrail_control_plane.errors import ApiError
from opentrail_control_plane.operations.context import Context
from opentrail_control_plane.operations.visible_trails import in_region, is_original, named, seen_by_account, the_trail


def describe_trails(context: Context, members: dict[str, Any]) -> dict[str, Any]:
    """DescribeTrails: the asked trails, or all of this region. Names that mean nothing are passed over."""
    asked = members.get("trailNameList")
    if asked:
        trails = [trail for name in dict.fromkeys(asked) if (trail := named(context, name)) is not None]
    else:
        trails = in_region(seen_by_account(context.configuration, context.account_id), context.region)
    if not members.get("includeShadowTrails", True):
        trails = [trail for trail in trails if is_original(trail, context)]
    return {"trailList": [_trail(trail) for trail in trails]}


def get_trail(context: Context, members: dict[str, Any]) -> dict[str, Any]:
    """GetTrail."""
    return {"Trail": _trail(the_trail(context, members["Name"]))}


def list_trails(context: Context, members: dict[str, Any]) -> dict[str, Any]:
    """ListTrails: the account's trails of all regions, on one page."""
    if members.get("NextToken"):
        raise ApiError("InvalidTokenException", "This list has one page; there is no token to go on with.")
    trails = seen_by_account(context.configuration, context.account_id)
    return {"Trails": [{"TrailARN": t.arn, "Name": t.name, "HomeRegion": t.home_region} for t in trails]}


def get_event_selectors(context: Context, members: dict[str, Any]) -> dict[str, Any]:
    """GetEventSelectors: basic or advanced ones, as they were put."""
    trail = the_trail(context, members["TrailName"])
    return {"TrailARN": trail.arn, **trail.event_selectors.to_api()}


def _trail(trail: Trail) -> dict[str, Any]:
    """CloudTrail's `Trail` structure; what is not set is left out."""
    topic = trail.sns_topic_arn
    return {
        "Name": trail.name,
        "S3BucketName": trail.s3_bucket_name,
        "S3KeyPrefix": trail.s3_key_prefix,
        "SnsTopicName": None if topic is None else topic.rpartition(":")[2],
        "SnsTopicARN": topic,
        "IncludeGlobalServiceEvents": trail.include_global_service_events,
        "IsMultiRegionTrail": trail.is_multi_region_trail,
        "HomeRegion": trail.home_region,
        "TrailARN": trail.arn,
        "LogFileValidationEnabled": trail.log_file_validation_enabled,
        "CloudWatchLogsLogGroupArn": trail.cloud_watch_logs_log_group_arn,
        "CloudWatchLogsRoleArn": trail.cloud_watch_logs_role_arn,
        "KmsKeyId": trail.kms_key_id,
        "HasCustomEventSelectors": trail.event_selectors != EventSelectors(),
        "HasInsightSelectors": False,
        "IsOrganizationTrail": trail.is_organization_trail,
        "RecursiveLogging": trail.recursive_logging,
    }
