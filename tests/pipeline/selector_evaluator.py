"""Which events a trail wants, said a second time: from CloudTrail's rules (reference §6), on plain JSON, slowly.

It shares nothing with what it judges: selectors are what was given to PutEventSelectors, records are what was sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

JsonObject = Mapping[str, Any]

DEFAULT: JsonObject = {"EventSelectors": [{"ReadWriteType": "All", "IncludeManagementEvents": True}]}
"""What a trail has to which nobody gave selectors: all management events, and nothing else (§6.1)."""

_EVERY_RESOURCE = {
    "AWS::S3::Object": ("arn:aws:s3", "arn:aws:s3:::"),
    "AWS::Lambda::Function": ("arn:aws:lambda",),
    "AWS::DynamoDB::Table": ("arn:aws:dynamodb",),
}


def wants(selectors: JsonObject, record: JsonObject) -> bool:
    """Whether any selector matches. `selectors` has EventSelectors or AdvancedEventSelectors, by the API's names."""
    if "AdvancedEventSelectors" in selectors:
        return any(_advanced(selector, record) for selector in selectors["AdvancedEventSelectors"])
    return any(_basic(selector, record) for selector in selectors["EventSelectors"])


# --- Basic selectors (§6.2)


def _basic(selector: JsonObject, record: JsonObject) -> bool:
    kind = selector.get("ReadWriteType", "All")
    if kind == "ReadOnly" and record["readOnly"] is not True:
        return False
    if kind == "WriteOnly" and record["readOnly"] is not False:
        return False
    if record["eventCategory"] == "Management":
        excluded = selector.get("ExcludeManagementEventSources", [])
        return selector.get("IncludeManagementEvents", True) and record["eventSource"] not in excluded
    if record["eventCategory"] == "Data":
        return any(
            _names(data_resource["Type"], value, resource)
            for data_resource in selector.get("DataResources", [])
            for value in data_resource["Values"]
            for resource in record.get("resources", [])
        )
    return False


def _names(type_: str, value: str, resource: JsonObject) -> bool:
    """Whether one value of DataResources names one resource of an event."""
    if resource.get("type") != type_:
        return False
    if value in _EVERY_RESOURCE[type_]:
        return True
    arn = resource.get("ARN", "")
    if type_ == "AWS::S3::Object":
        return bool(arn.startswith(value))
    return bool(arn == value)


# --- Advanced selectors (§6.3)


def _advanced(selector: JsonObject, record: JsonObject) -> bool:
    fields: Sequence[JsonObject] = selector["FieldSelectors"]
    of_resources = [field for field in fields if field["Field"].startswith("resources.")]
    of_event = [field for field in fields if field not in of_resources]
    if not all(_field(field, _value(field["Field"], record)) for field in of_event):
        return False
    if not of_resources:
        return True
    # One and the same resource must have the type and the ARN.
    return any(
        all(_field(field, resource.get(field["Field"].removeprefix("resources."))) for field in of_resources)
        for resource in record.get("resources", [])
    )


def _value(field: str, record: JsonObject) -> str | None:
    """The text that a field selector compares; None where the event has none."""
    value: Any = record
    for name in field.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    if isinstance(value, bool):
        return "true" if value else "false"
    return None if value is None else str(value)


def _field(selector: JsonObject, value: str | None) -> bool:
    """Positive operators together need one match, negative ones must none of them match, and both must hold."""
    positive, negative = [], []
    for operator in ("Equals", "StartsWith", "EndsWith"):
        positive += [(operator, text) for text in selector.get(operator, [])]
        negative += [(operator, text) for text in selector.get(f"Not{operator}", [])]
    if any(_matches(operator, text, value) for operator, text in negative):
        return False
    return not positive or any(_matches(operator, text, value) for operator, text in positive)


def _matches(operator: str, text: str, value: str | None) -> bool:
    if value is None:
        return False
    if operator == "Equals":
        return value == text
    if operator == "StartsWith":
        return value[: len(text)] == text
    return value[-len(text) :] == text
