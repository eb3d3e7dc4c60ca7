"""Reading trails: DescribeTrails, GetTrail, ListTrails."""

from __future__ import annotations

from typing import Any

from opentrail.trails.refused import Refused
from opentrail.trails.trail import Trail
from opentrail.trails.visibility import find_trail, in_region, is_original, named_trail, seen_by_account
from opentrail_control_plane.operations.context import Context, Reply


def describe_trails(context: Context, members: dict[str, Any]) -> Reply:
    """DescribeTrails: the asked trails, or all of this region; by ARN, each once. Unknown ones are passed over.

    Raises Refused: InvalidTrailNameException, CloudTrailARNInvalidException.
    """
    configuration, caller = context.configuration, context.caller
    asked = members.get("trailNameList")
    if asked:
        named = (named_trail(configuration, caller, name) for name in asked)
        trails = sorted({trail.arn: trail for trail in named if trail is not None}.values(), key=lambda t: t.arn)
    else:
        trails = in_region(seen_by_account(configuration, caller.account_id), caller.region)
    if not members.get("includeShadowTrails", True):
        trails = [trail for trail in trails if is_original(trail, caller)]
    return Reply({"trailList": [_trail(trail) for trail in trails]})


def get_trail(context: Context, members: dict[str, Any]) -> Reply:
    """GetTrail. Raises Refused, as `find_trail`."""
    return Reply({"Trail": _trail(find_trail(context.configuration, context.caller, members["Name"]))})


def list_trails(context: Context, members: dict[str, Any]) -> Reply:
    """ListTrails: the account's trails of all regions, by ARN. There are few, five in a region: all on one page.

    Raises Refused: ValidationException; CloudTrail's model has no error for a token that is none.
    """
    if members.get("NextToken"):
        raise Refused("ValidationException", "This list has one page; there is no token to go on with.")
    trails = seen_by_account(context.configuration, context.account_id)
    return Reply({"Trails": [{"TrailARN": t.arn, "Name": t.name, "HomeRegion": t.home_region} for t in trails]})


def trail_settings(trail: Trail) -> dict[str, Any]:
    """What CreateTrail and UpdateTrail answer (reference §5.4): no home region; None where a text is not set."""
    topic = trail.sns_topic_arn
    return {
        "Name": trail.name,
        "S3BucketName": trail.s3_bucket_name,
        "S3KeyPrefix": trail.s3_key_prefix,
        "SnsTopicName": None if topic is None else topic.rpartition(":")[2],
        "SnsTopicARN": topic,
        "IncludeGlobalServiceEvents": trail.include_global_service_events,
        "IsMultiRegionTrail": trail.is_multi_region_trail,
        "TrailARN": trail.arn,
        "LogFileValidationEnabled": trail.log_file_validation_enabled,
        "CloudWatchLogsLogGroupArn": trail.cloud_watch_logs_log_group_arn,
        "CloudWatchLogsRoleArn": trail.cloud_watch_logs_role_arn,
        "KmsKeyId": trail.kms_key_id,
        "IsOrganizationTrail": trail.is_organization_trail,
        "RecursiveLogging": trail.recursive_logging,
    }


def _trail(trail: Trail) -> dict[str, Any]:
    """CloudTrail's `Trail` structure."""
    return {
        **trail_settings(trail),
        "HomeRegion": trail.home_region,
        "HasCustomEventSelectors": trail.has_custom_event_selectors,
        "HasInsightSelectors": trail.has_insight_selectors,
    }
