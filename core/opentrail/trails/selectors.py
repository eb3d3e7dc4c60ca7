"""Basic and advanced event selectors as CloudTrail's API spells them, and how the first become the second."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

FieldValue = Annotated[str, Meta(min_length=1, max_length=2048)]
FieldValues = Annotated[tuple[FieldValue, ...], Meta(min_length=1)]


class FieldSelector(Struct, frozen=True, rename="pascal", forbid_unknown_fields=True, omit_defaults=True):
    """What one field of an event must and must not be (API: AdvancedFieldSelector). Values hold no wildcards."""

    field: Annotated[str, Meta(min_length=1, max_length=1000)]
    equals: FieldValues = ()
    starts_with: FieldValues = ()
    ends_with: FieldValues = ()
    not_equals: FieldValues = ()
    not_starts_with: FieldValues = ()
    not_ends_with: FieldValues = ()

    @property
    def operators(self) -> dict[str, tuple[str, ...]]:
        """The values of each operator that is used, by its name in the API."""
        named = {
            "Equals": self.equals,
            "StartsWith": self.starts_with,
            "EndsWith": self.ends_with,
            "NotEquals": self.not_equals,
            "NotStartsWith": self.not_starts_with,
            "NotEndsWith": self.not_ends_with,
        }
        return {name: values for name, values in named.items() if values}


class AdvancedEventSelector(Struct, frozen=True, rename="pascal", forbid_unknown_fields=True, omit_defaults=True):
    """Events that satisfy every field selector (API: AdvancedEventSelector)."""

    name: Annotated[str, Meta(max_length=1000)] | None = None
    field_selectors: Annotated[tuple[FieldSelector, ...], Meta(min_length=1)] = ()


class DataResource(Struct, frozen=True, rename="pascal", forbid_unknown_fields=True):
    """The resources of one type whose data events a basic selector takes (API: DataResource)."""

    type: str
    values: tuple[str, ...] = ()


class BasicEventSelector(Struct, frozen=True, rename="pascal", forbid_unknown_fields=True):
    """Management events, and data events of three types of resources (API: EventSelector)."""

    read_write_type: Literal["All", "ReadOnly", "WriteOnly"] = "All"
    include_management_events: bool = True
    data_resources: tuple[DataResource, ...] = ()
    exclude_management_event_sources: tuple[str, ...] = ()


S3_OBJECT = "AWS::S3::Object"


def compile_basic(selector: BasicEventSelector) -> tuple[AdvancedEventSelector, ...]:
    """The advanced selectors that together want the same events as a basic one (reference: CloudTrail §6.2).

    `ReadWriteType` holds for management and data events alike. S3 values are prefixes of the object's ARN;
    the ARN of a function or table is exact.
    """
    read_only = _read_only(selector.read_write_type)
    compiled = []
    if selector.include_management_events:
        excluded = selector.exclude_management_event_sources
        sources = (FieldSelector("eventSource", not_equals=excluded),) if excluded else ()
        compiled.append(_advanced("Management", *read_only, *sources))
    for resource in selector.data_resources:
        resource_type = FieldSelector("resources.type", equals=(resource.type,))
        if any(map(is_every_resource, resource.values)):
            compiled.append(_advanced("Data", resource_type, *read_only))
        elif resource.values:
            arn = (
                FieldSelector("resources.ARN", starts_with=resource.values)
                if resource.type == S3_OBJECT
                else FieldSelector("resources.ARN", equals=resource.values)
            )
            compiled.append(_advanced("Data", resource_type, *read_only, arn))
    return tuple(compiled)


def as_api(structures: Sequence[Struct]) -> list[Any]:
    """Structures of the API as the lists and objects that they are there."""
    as_lists: list[Any] = msgspec.json.decode(msgspec.json.encode(structures))
    return as_lists


def is_every_resource(value: str) -> bool:
    """Whether a value of DataResources means all resources: `arn:aws:s3`, `arn:aws:lambda`, `arn:aws:dynamodb`.

    `arn:aws:s3:::` is taken for all objects too. Such values do not count towards the limit.
    """
    return value.removesuffix(":::").count(":") == 2  # noqa: PLR2004 - arn, partition and service, nothing more


def _advanced(category: str, *fields: FieldSelector) -> AdvancedEventSelector:
    return AdvancedEventSelector(None, (FieldSelector("eventCategory", equals=(category,)), *fields))


def _read_only(read_write_type: str) -> tuple[FieldSelector, ...]:
    if read_write_type == "All":
        return ()
    return (FieldSelector("readOnly", equals=("true" if read_write_type == "ReadOnly" else "false",)),)
