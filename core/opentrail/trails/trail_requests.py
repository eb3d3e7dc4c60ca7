"""CreateTrail and UpdateTrail: what a request makes of a trail (reference: CloudTrail §5.2, §5.4 to §5.6, §10).

`members` are the request's, by the API's names. KmsKeyId and SnsTopicName are kept as they are given: whether there are
such a key and topic, and their full ARNs, is for others to find out.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from opentrail.trails.caller import Caller
from opentrail.trails.configuration import Configuration, Organization
from opentrail.trails.limits import check_trail_limits
from opentrail.trails.logging_sessions import with_session
from opentrail.trails.names import check_bucket_name, check_prefix, check_trail_name
from opentrail.trails.refused import Refused
from opentrail.trails.tags import with_tags
from opentrail.trails.trail import Trail

Members = Mapping[str, Any]

_TEXTS = {
    "S3KeyPrefix": "s3_key_prefix",
    "KmsKeyId": "kms_key_id",
    "SnsTopicName": "sns_topic_arn",
    "CloudWatchLogsLogGroupArn": "cloud_watch_logs_log_group_arn",
    "CloudWatchLogsRoleArn": "cloud_watch_logs_role_arn",
}
"""Members that an empty text clears."""
_OTHERS = {
    "S3BucketName": "s3_bucket_name",
    "IncludeGlobalServiceEvents": "include_global_service_events",
    "IsMultiRegionTrail": "is_multi_region_trail",
    "EnableLogFileValidation": "log_file_validation_enabled",
    "RecursiveLogging": "recursive_logging",
}
_LOG_GROUP = re.compile(r"arn:aws[a-z-]*:logs:(?P<region>[a-z0-9-]+):[0-9]{12}:log-group:[A-Za-z0-9_/.#-]{1,512}:\*")
_ROLE = re.compile(r"arn:aws[a-z-]*:iam::[0-9]{12}:role/[\x21-\x7e]+")


def created_trail(
    configuration: Configuration, caller: Caller, members: Members, *, incarnation: str, regions: Collection[str]
) -> Trail:
    """The trail that a CreateTrail request makes. It does not log yet.

    An organization trail belongs to the management account, also when a delegated administrator makes it.

    Args:
        configuration: the newest one.
        caller: who asks; its region is the trail's home.
        members: the request's.
        incarnation: a new UUID.
        regions: the regions there are.

    Raises:
        Refused: InvalidTrailNameException, OrganizationsNotInUseException, NotOrganizationMasterAccountException,
            InvalidParameterCombinationException, InvalidS3BucketNameException, InvalidS3PrefixException,
            InvalidCloudWatchLogsLogGroupArnException, InvalidCloudWatchLogsRoleArnException,
            InvalidTagParameterException, TagsLimitExceededException, TrailAlreadyExistsException,
            MaximumNumberOfTrailsExceededException.
    """
    name = members["Name"]
    check_trail_name(name)
    organization = _organization_to_serve(configuration, caller) if members.get("IsOrganizationTrail") else None
    trail = Trail(
        incarnation=incarnation,
        name=name,
        account_id=caller.account_id if organization is None else organization.management_account_id,
        home_region=caller.region,
        organization_id=None if organization is None else organization.id,
        tags=with_tags({}, members.get("TagsList") or ()),
        **_fields(members),
    )
    _check_fields(trail, None)
    if any(other.arn == trail.arn for other in configuration.trails_seen_by(trail.account_id)):
        message = f"Trail {name} already exists for customer: {trail.account_id}"
        raise Refused("TrailAlreadyExistsException", message)
    check_trail_limits(_with_trail(configuration, trail), trail, regions)
    return trail


def updated_trail(
    configuration: Configuration,
    caller: Caller,
    trail: Trail,
    members: Members,
    *,
    regions: Collection[str],
    now_ms: int,
) -> Trail:
    """What an UpdateTrail request makes of a trail that the caller may change.

    A member that is absent leaves its field unchanged; an empty text clears S3KeyPrefix, KmsKeyId, SnsTopicName and
    the two of CloudWatch Logs. Switching validation on begins a new logging session.

    Args:
        configuration: the newest one.
        caller: who asks.
        trail: the trail as it is, from `writable_trail`.
        members: the request's.
        regions: the regions there are.
        now_ms: epoch milliseconds.

    Raises:
        Refused: as `created_trail`, but for names and tags.
    """
    after = replace(trail, organization_id=_organization_id(configuration, caller, trail, members), **_fields(members))
    _check_fields(after, trail)
    in_more_regions = after.is_multi_region_trail and not trail.is_multi_region_trail
    in_more_accounts = after.is_organization_trail and not trail.is_organization_trail
    if in_more_regions or in_more_accounts:
        check_trail_limits(_with_trail(configuration, after), after, regions)
    return with_session(after, trail, now_ms)


def _fields(members: Members) -> dict[str, Any]:
    """The trail's fields that the request sets."""
    texts = {field: members[name] or None for name, field in _TEXTS.items() if members.get(name) is not None}
    others = {field: members[name] for name, field in _OTHERS.items() if members.get(name) is not None}
    return {**texts, **others}


def _with_trail(configuration: Configuration, trail: Trail) -> Configuration:
    return replace(configuration, trails={**configuration.trails, trail.incarnation: trail})


# --- organizations --------------------------------------------------------------------------------


def _organization_to_serve(configuration: Configuration, caller: Caller) -> Organization:
    """The organization for which the caller may make a trail."""
    organization = _organization_of(configuration, caller)
    if caller.account_id not in {organization.management_account_id, *organization.delegated_administrators}:
        raise Refused(
            "NotOrganizationMasterAccountException",
            f"Account {caller.account_id} is neither the management account of organization {organization.id} nor its "
            "delegated administrator: it cannot create an organization trail.",
        )
    return organization


def _organization_id(configuration: Configuration, caller: Caller, trail: Trail, members: Members) -> str | None:
    """The organization that the trail serves after the request. Only the management account converts a trail."""
    wanted = members.get("IsOrganizationTrail")
    if wanted is None or wanted == trail.is_organization_trail:
        return trail.organization_id
    organization = _organization_of(configuration, caller)
    if caller.account_id != organization.management_account_id:
        raise Refused(
            "NotOrganizationMasterAccountException",
            f"Account {caller.account_id} is not the management account of organization {organization.id}: only that "
            "converts a trail to an organization trail or back.",
        )
    return organization.id if wanted else None


def _organization_of(configuration: Configuration, caller: Caller) -> Organization:
    organization = configuration.organization_of(caller.account_id)
    if organization is None:
        message = f"Account {caller.account_id} is not a member of an organization."
        raise Refused("OrganizationsNotInUseException", message)
    return organization


# --- fields ---------------------------------------------------------------------------------------


def _check_fields(trail: Trail, before: Trail | None) -> None:
    """What holds for each trail; names and ARNs are looked at only where they are set to something else."""
    if trail.is_multi_region_trail and not trail.include_global_service_events:
        raise Refused("InvalidParameterCombinationException", "Multi-Region trail must include global service events.")
    group, role = trail.cloud_watch_logs_log_group_arn, trail.cloud_watch_logs_role_arn
    if (group is None) != (role is None):
        raise Refused(
            "InvalidParameterCombinationException",
            "CloudWatchLogsLogGroupArn and CloudWatchLogsRoleArn are set together and cleared together.",
        )
    if before is None or trail.s3_bucket_name != before.s3_bucket_name:
        check_bucket_name(trail.s3_bucket_name)
    if trail.s3_key_prefix is not None and (before is None or trail.s3_key_prefix != before.s3_key_prefix):
        check_prefix(trail.s3_key_prefix)
    if group is not None and (before is None or group != before.cloud_watch_logs_log_group_arn):
        _check_log_group(group, trail.home_region)
    if role is not None and (before is None or role != before.cloud_watch_logs_role_arn):
        _check_role(role)


def _check_log_group(arn: str, home_region: str) -> None:
    match = _LOG_GROUP.fullmatch(arn)
    if match is None:
        message = f"{arn} is not the ARN of a log group, which is arn:aws:logs:REGION:ACCOUNT:log-group:NAME:*."
        raise Refused("InvalidCloudWatchLogsLogGroupArnException", message)
    if match["region"] != home_region:
        message = f"{arn} is not in the trail's home region {home_region}."
        raise Refused("InvalidCloudWatchLogsLogGroupArnException", message)


def _check_role(arn: str) -> None:
    if not _ROLE.fullmatch(arn):
        message = f"{arn} is not the ARN of a role, which is arn:aws:iam::ACCOUNT:role/NAME."
        raise Refused("InvalidCloudWatchLogsRoleArnException", message)
