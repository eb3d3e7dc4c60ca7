"""JSON values to members, by the model's types and constraints, and what is said about those that are not."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.model import ShapeResolver, StructureShape

from opentrail_control_plane.errors import ApiError
from opentrail_control_plane.model.constraints import MOST_VIOLATIONS, report, violations
from opentrail_control_plane.model.inputs import read_form, read_rest_input
from opentrail_control_plane.model.reading import read_members
from opentrail_control_plane.model.services import Operation, find_operation


def shape(**members: Any) -> StructureShape:
    """A structure whose members are written out where they stand; a model has a name for each."""
    shapes: dict[str, Any] = {}

    def named(model: dict[str, Any]) -> dict[str, str]:
        parts = {part: named(model[part]) for part in ("member", "key", "value") if part in model}
        if "members" in model:
            parts["members"] = {name: named(member) for name, member in model["members"].items()}
        name = f"Shape{len(shapes)}"
        shapes[name] = {**model, **parts}
        return {"shape": name}

    reference = named({"type": "structure", "members": members})
    return ShapeResolver(shapes).resolve_shape_ref(reference)


TEXT = {"type": "string"}
WHOLE = shape(
    Name={"type": "string"},
    Count={"type": "integer"},
    Long={"type": "long"},
    Ratio={"type": "double"},
    On={"type": "boolean"},
    At={"type": "timestamp"},
    Raw={"type": "blob"},
    Names={"type": "list", "member": {"type": "string"}},
    Inner={"type": "structure", "members": {"Key": {"type": "string"}}},
    Words={"type": "map", "key": {"type": "string"}, "value": {"type": "integer"}},
)


def test_values_become_what_operations_use() -> None:
    body = {
        "Name": "é", "Count": -5, "Long": 2**62, "Ratio": 3, "On": False, "At": 1.5, "Raw": "AAE=",
        "Names": ["a", None], "Inner": {"Key": "k", "Other": 1}, "Words": {"w": 1}, "Unknown": {"deep": []},
    }  # fmt: skip
    assert read_members(WHOLE, body) == {
        "Name": "é", "Count": -5, "Long": 2**62, "Ratio": 3.0, "On": False,
        "At": datetime(1970, 1, 1, 0, 0, 1, 500_000, UTC), "Raw": b"\0\x01", "Names": ["a", None],
        "Inner": {"Key": "k"}, "Words": {"w": 1},
    }  # fmt: skip
    assert read_members(WHOLE, dict.fromkeys(WHOLE.members)) == {}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"Name": 1}, "NUMBER_VALUE can not be converted to a String at 'name'"),
        ({"Name": True}, "TRUE_VALUE can not be converted to a String at 'name'"),
        ({"Count": "1"}, "STRING_VALUE can not be converted to an Integer at 'count'"),
        ({"Count": 1.0}, "NUMBER_VALUE can not be converted to an Integer at 'count'"),
        ({"Count": 2**31}, "NUMBER_VALUE can not be converted to an Integer at 'count'"),
        ({"Count": -(2**31) - 1}, "NUMBER_VALUE can not be converted to an Integer at 'count'"),
        ({"Long": 2**63}, "NUMBER_VALUE can not be converted to a Long at 'long'"),
        ({"Ratio": 10**400}, "NUMBER_VALUE can not be converted to a Double at 'ratio'"),
        ({"On": 0}, "NUMBER_VALUE can not be converted to a Boolean at 'on'"),
        ({"At": "2026-01-01"}, "STRING_VALUE can not be converted to a Date at 'at'"),
        ({"At": 1e15}, "NUMBER_VALUE can not be converted to a Date at 'at'"),
        ({"At": 10**400}, "NUMBER_VALUE can not be converted to a Date at 'at'"),
        ({"Raw": "é"}, "STRING_VALUE can not be converted to a ByteBuffer at 'raw'"),
        ({"Names": "a"}, "STRING_VALUE can not be converted to a List at 'names'"),
        ({"Names": ["a", False]}, "FALSE_VALUE can not be converted to a String at 'names.2.member'"),
        ({"Inner": []}, "LIST_VALUE can not be converted to a Structure at 'inner'"),
        ({"Inner": {"Key": {}}}, "MAP_VALUE can not be converted to a String at 'inner.key'"),
        ({"Words": {"w": "1"}}, "STRING_VALUE can not be converted to an Integer at 'words.w.member'"),
        ([], "LIST_VALUE can not be converted to a Structure"),
        (None, "NULL_VALUE can not be converted to a Structure"),
        ({"Name": "a\0"}, "A text must not hold the character NUL at 'name'."),
        ({"Words": {"a\0": 1}}, "A text must not hold the character NUL at 'words'."),
    ],
)
def test_another_json_type_is_a_serialization_exception(body: Any, said: str) -> None:
    with pytest.raises(ApiError) as refusal:
        read_members(WHOLE, body)
    assert (refusal.value.code, refusal.value.status, refusal.value.message) == ("SerializationException", 400, said)


FAILED = "failed to satisfy constraint: Member must"


def said(checked: StructureShape, members: dict[str, Any]) -> list[str]:
    return [str(violation) for violation in violations(checked, members)]


def test_elements_that_are_scalars_are_shown_as_the_list_and_structures_each_by_itself() -> None:
    checked = shape(
        Names={"type": "list", "member": {"type": "string", "min": 2, "max": 3, "enum": ["ab", "abc"]}},
        Tags={
            "type": "list",
            "member": {"type": "structure", "members": {"Key": {"type": "string", "min": 1}}, "required": ["Key"]},
        },
    )
    of_names, *of_tags = said(checked, {"Names": ["ab", "x"], "Tags": [{"Key": "k"}, {"Key": ""}, {}, None]})
    assert of_names == (
        "Value '[ab, x]' at 'names' failed to satisfy constraint: Member must satisfy constraint: "
        "[Member must have length less than or equal to 3, Member must have length greater than or equal to 2, "
        "Member must satisfy enum value set: [ab, abc], Member must not be null]"
    )
    assert of_tags == [
        f"Value '' at 'tags.2.member.key' {FAILED} have length greater than or equal to 1",
        f"Value null at 'tags.3.member.key' {FAILED} not be null",
        f"Value null at 'tags.4.member' {FAILED} not be null",
    ]


def test_keys_and_values_of_maps() -> None:
    checked = shape(
        Words={
            "type": "map",
            "min": 1,
            "key": {"type": "string", "max": 2},
            "value": {"type": "integer", "min": 1, "max": 5},
        }
    )
    assert said(checked, {"Words": {"w": 5}}) == []
    of_keys, of_values = said(checked, {"Words": {"www": 6}})
    assert of_keys == (
        "Value '{\"www\":6}' at 'words' failed to satisfy constraint: Map keys must satisfy constraint: "
        "[Member must have length less than or equal to 2, Member must not be null]"
    )
    assert of_values == (
        "Value '{\"www\":6}' at 'words' failed to satisfy constraint: Map value must satisfy constraint: "
        "[Member must have value less than or equal to 5, Member must have value greater than or equal to 1, "
        "Member must not be null]"
    )
    assert said(checked, {"Words": {"w": None}}) != []
    assert said(checked, {"Words": {}}) == [
        "Value '{}' at 'words' failed to satisfy constraint: Member must have length greater than or equal to 1"
    ]


def test_a_union_has_one_member() -> None:
    union = shape(Either={"type": "structure", "union": True, "members": {"A": TEXT, "B": TEXT}}).members["Either"]
    assert said(union, {"A": "1"}) == []
    assert len(said(union, {})) == len(said(union, {"A": "1", "B": "2"})) == 1


def test_lengths_are_of_characters() -> None:
    checked = shape(Name={"type": "string", "min": 2, "max": 2})
    assert said(checked, {"Name": "é\U0001f600"}) == []
    assert len(said(checked, {"Name": "\U0001f600"})) == 1


def test_messages_are_bounded_whatever_came_in() -> None:
    element = {"type": "structure", "members": {"Key": {"type": "string", "max": 1}}}
    checked = shape(Tags={"type": "list", "max": 1, "member": element})
    found = violations(checked, {"Tags": [{"Key": "k" * 10_000}] * 5_000})
    assert len(found) == MOST_VIOLATIONS
    assert len(report(found)) < MOST_VIOLATIONS * 400


def form_of(service: str, name: str) -> Operation:
    operation = find_operation(service, name)
    assert operation is not None
    return operation


def test_members_in_the_query_are_read_with_those_of_the_body() -> None:
    operation = form_of("cloudtrail-data", "PutAuditEvents")
    arn = "arn:aws:cloudtrail:us-east-1:111122223333:channel/x"
    body = {"auditEvents": [{"id": "1", "eventData": "{}"}], "channelArn": "in the body it is nothing"}
    members = read_rest_input(operation, body, {"channelArn": arn, "externalId": "partner", "other": "x"})
    assert members == {"auditEvents": body["auditEvents"], "channelArn": arn, "externalId": "partner"}
    with pytest.raises(ApiError, match="Value null at 'channelArn'"):
        read_rest_input(operation, body, {})
    with pytest.raises(ApiError, match="LIST_VALUE can not be converted to a Structure"):
        read_rest_input(operation, [], {"channelArn": arn})


@pytest.mark.parametrize("text", ["", "1.5", "٣", "--1", "1e3", "9" * 30, "0x10", "+1"])
def test_what_is_no_number_in_a_form(text: str) -> None:
    with pytest.raises(ApiError, match="can not be converted to an Integer"):
        read_form(form_of("sts", "GetSessionToken"), {"DurationSeconds": text})
