"""What Terraform's `aws_cloudtrail` resource does, written out with boto3 (reference: CloudTrail §5.8).

Only the order of its calls, the members it sends, and how it flattens what it reads. An attribute that a configuration
does not name is not sent, and reads as its default. What is throttled the client tries again, as the provider's does.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

Resource = dict[str, Any]
"""A configuration, and what is read back, by Terraform's attributes."""

DEFAULTS: Resource = {
    "s3_key_prefix": "",
    "cloud_watch_logs_group_arn": "",
    "cloud_watch_logs_role_arn": "",
    "sns_topic_name": "",
    "kms_key_id": "",
    "enable_logging": True,
    "enable_log_file_validation": False,
    "include_global_service_events": True,
    "is_multi_region_trail": False,
    "is_organization_trail": False,
    "event_selector": [],
    "advanced_event_selector": [],
    "insight_selector": [],
    "tags": {},
}

_TEXTS = {
    "s3_bucket_name": "S3BucketName",
    "s3_key_prefix": "S3KeyPrefix",
    "cloud_watch_logs_group_arn": "CloudWatchLogsLogGroupArn",
    "cloud_watch_logs_role_arn": "CloudWatchLogsRoleArn",
    "sns_topic_name": "SnsTopicName",
    "kms_key_id": "KmsKeyId",
}
_FLAGS = {
    "enable_log_file_validation": "EnableLogFileValidation",
    "include_global_service_events": "IncludeGlobalServiceEvents",
    "is_multi_region_trail": "IsMultiRegionTrail",
    "is_organization_trail": "IsOrganizationTrail",
}
_SETTINGS = {**_TEXTS, **_FLAGS}
_REMOVED = [{"IncludeManagementEvents": True, "ReadWriteType": "All", "DataResources": []}]
MAX_ATTEMPTS = 25
"""How often the provider tries a call, unless it is configured otherwise."""


@dataclass
class Provider:
    """The provider with one resource's state, as Terraform keeps it between runs."""

    client: Any
    state: Resource | None = None
    calls: list[str] = field(default_factory=list)
    """The operations of the newest run."""
    retries: int = 0
    """How often the client tried again, in all."""

    def apply(self, wanted: Resource) -> Resource:
        """Creates or updates, then reads; returns the new state."""
        self.calls = []
        wanted = {**DEFAULTS, **wanted}
        if self.state is None:
            arn = self._create(wanted)
        else:
            arn = self.state["arn"]
            self._update(arn, self.state, wanted)
        self.state = {**wanted, "arn": arn}
        state = self.refresh(keep_calls=True)
        assert state is not None, "just made and not found"
        return state

    def refresh(self, *, keep_calls: bool = False) -> Resource | None:
        """Reads the resource into the state; None: it is gone."""
        if not keep_calls:
            self.calls = []
        assert self.state is not None
        arn = self.state["arn"]
        found = self._call("DescribeTrails", trailNameList=[arn])["trailList"]
        if not found:
            self.state = None
            return None
        (trail,) = found
        self.state = {**self.state, **self._read(arn, trail)}
        return self.state

    def destroy(self) -> None:
        """Deletes; one that is gone already is no error."""
        self.calls = []
        assert self.state is not None
        try:
            self._call("DeleteTrail", Name=self.state["arn"])
        except ClientError as error:
            if error.response["Error"]["Code"] != "TrailNotFoundException":
                raise
        self.state = None

    # --- phases -----------------------------------------------------------------------------------

    def _create(self, wanted: Resource) -> str:
        members = {_SETTINGS[name]: value for name, value in wanted.items() if name in _SETTINGS and value != ""}
        tags = _tags_list(wanted["tags"])
        arn: str = self._call("CreateTrail", Name=wanted["name"], TagsList=tags, **members)["TrailARN"]
        if wanted["enable_logging"]:
            self._call("StartLogging", Name=arn)
        self._put_selectors(arn, DEFAULTS, wanted)
        return arn

    def _update(self, arn: str, before: Resource, wanted: Resource) -> None:
        changed = {name for name in wanted if wanted[name] != before.get(name)}
        if changed & _SETTINGS.keys():
            logs = {"cloud_watch_logs_group_arn", "cloud_watch_logs_role_arn"}
            sent = {"s3_bucket_name", *changed, *(logs if logs & changed else ())} & _SETTINGS.keys()
            self._call("UpdateTrail", Name=arn, **{_SETTINGS[name]: wanted[name] for name in sorted(sent)})
        if "enable_logging" in changed:
            self._call("StartLogging" if wanted["enable_logging"] else "StopLogging", Name=arn)
        self._put_selectors(arn, before, wanted)
        self._put_tags(arn, before["tags"], wanted["tags"])

    def _put_selectors(self, arn: str, before: Resource, wanted: Resource) -> None:
        of_events = {"event_selector": "EventSelectors", "advanced_event_selector": "AdvancedEventSelectors"}
        if any(wanted[name] != before[name] for name in of_events):
            expanded = {member: _expanded(wanted[name]) for name, member in of_events.items() if wanted[name]}
            self._call("PutEventSelectors", TrailName=arn, **(expanded or {"EventSelectors": _REMOVED}))
        if wanted["insight_selector"] != before["insight_selector"]:
            selectors = _expanded(wanted["insight_selector"])
            self._call("PutInsightSelectors", TrailName=arn, InsightSelectors=selectors)

    def _put_tags(self, arn: str, before: dict[str, str], wanted: dict[str, str]) -> None:
        removed = [{"Key": key} for key in before if key not in wanted]
        added = {key: value for key, value in wanted.items() if before.get(key) != value}
        if removed:
            self._call("RemoveTags", ResourceId=arn, TagsList=removed)
        if added:
            self._call("AddTags", ResourceId=arn, TagsList=_tags_list(added))

    def _read(self, arn: str, trail: dict[str, Any]) -> Resource:
        read: Resource = {name: trail.get(_SETTINGS[name], "") for name in _TEXTS}
        read |= {name: trail[_SETTINGS[name]] for name in _FLAGS if name != "enable_log_file_validation"}
        read |= {
            "name": trail["Name"],
            "arn": trail["TrailARN"],
            "home_region": trail["HomeRegion"],
            "enable_log_file_validation": trail["LogFileValidationEnabled"],
            "sns_topic_name": trail.get("SnsTopicARN", "").rpartition(":")[2],
        }
        (of_trail,) = self._call("ListTags", ResourceIdList=[arn])["ResourceTagList"]
        read["tags"] = {tag["Key"]: tag["Value"] for tag in of_trail["TagsList"]}
        read["enable_logging"] = self._call("GetTrailStatus", Name=arn)["IsLogging"]
        if trail["HasCustomEventSelectors"]:
            selectors = self._call("GetEventSelectors", TrailName=arn)
            read["event_selector"] = _flattened(selectors.get("EventSelectors", []))
            read["advanced_event_selector"] = _flattened(selectors.get("AdvancedEventSelectors", []))
        if trail["HasInsightSelectors"]:
            insights = self._call("GetInsightSelectors", TrailName=arn)["InsightSelectors"]
            read["insight_selector"] = _flattened(insights)
        return read

    def _call(self, operation: str, **members: Any) -> Any:
        self.calls.append(operation)
        answer = getattr(self.client, _snake(operation))(**members)
        self.retries += answer["ResponseMetadata"]["RetryAttempts"]
        return answer


def _tags_list(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _expanded(value: Any) -> Any:
    """Terraform's blocks as the API's structures: `read_write_type` is `ReadWriteType`, `data_resource` a plural."""
    if isinstance(value, list):
        return [_expanded(one) for one in value]
    if isinstance(value, dict):
        return {_member_of(name): _expanded(one) for name, one in value.items()}
    return value


def _flattened(value: Any) -> Any:
    """The other way round; what is empty in the API's answer is what a block does not name."""
    if isinstance(value, list):
        return [_flattened(one) for one in value]
    if isinstance(value, dict):
        return {_attribute_of(name): _flattened(one) for name, one in value.items() if one not in ([], None)}
    return value


_PLURAL = {"data_resource": "DataResources", "field_selector": "FieldSelectors"}
_SINGULAR = {member: attribute for attribute, member in _PLURAL.items()}


def _member_of(attribute: str) -> str:
    return _PLURAL.get(attribute) or "".join(part.capitalize() for part in attribute.split("_"))


def _attribute_of(member: str) -> str:
    return _SINGULAR.get(member) or _snake(member)


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")
