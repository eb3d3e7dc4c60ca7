"""JSON values to members by the model's types. What is of a type is judged later: see `constraints`."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StructureShape

from opentrail_control_plane.errors import ApiError

_WIDTHS = {"integer": 32, "long": 64}
"""Bits of the model's whole numbers, signed."""
_TYPE_NAMES = {
    "structure": "a Structure",
    "list": "a List",
    "map": "a Map",
    "string": "a String",
    "boolean": "a Boolean",
    "integer": "an Integer",
    "long": "a Long",
    "float": "a Float",
    "double": "a Double",
    "timestamp": "a Date",
    "blob": "a ByteBuffer",
}


def read_members(shape: StructureShape, body: Any) -> dict[str, Any]:
    """The members of a structure: timestamps as datetimes, blobs as bytes. Raises ApiError: SerializationException.

    Members that the model does not know are passed over, as are those that are null.
    """
    if not isinstance(body, dict):
        raise _unreadable(body, shape, "")
    return _structure(shape, body, "")


def lower_camel(name: str) -> str:
    """A member as CloudTrail names it in messages and records: `TagsList` → `tagsList`, `KMSKey` → `kMSKey`."""
    return name[:1].lower() + name[1:]


def within(path: str, name: str) -> str:
    """The path of a part of what lies at `path`; the input itself has the empty one."""
    return f"{path}.{name}" if path else name


def _read(shape: Shape, value: Any, path: str) -> Any:
    match shape:
        case StructureShape() if isinstance(value, dict):
            return _structure(shape, value, path)
        case ListShape() if isinstance(value, list):
            member = shape.member
            return [_read_or_null(member, one, f"{path}.{number}.member") for number, one in enumerate(value, 1)]
        case MapShape() if isinstance(value, dict):
            return {
                _text(key, path): _read_or_null(shape.value, one, f"{path}.{key[:100]}.member")
                for key, one in value.items()
            }
        case Shape(type_name="string") if isinstance(value, str):
            return _text(value, path)
        case Shape(type_name="boolean") if isinstance(value, bool):
            return value
        case Shape(type_name="integer" | "long") if isinstance(value, int) and not isinstance(value, bool):
            return _whole(shape, value, path)
        case Shape(type_name="float" | "double") if isinstance(value, int | float) and not isinstance(value, bool):
            return _fraction(shape, value, path)
        case Shape(type_name="timestamp") if isinstance(value, int | float) and not isinstance(value, bool):
            return _time(shape, value, path)
        case Shape(type_name="blob") if isinstance(value, str):
            return _blob(shape, value, path)
        case _:
            raise _unreadable(value, shape, path)


def _structure(shape: StructureShape, body: Mapping[str, Any], path: str) -> dict[str, Any]:
    members = shape.members
    return {
        name: _read(members[name], value, within(path, lower_camel(name)))
        for name, value in body.items()
        if value is not None and name in members
    }


def _read_or_null(shape: Shape, value: Any, path: str) -> Any:
    """An element; whether it may be null is the constraints' to say."""
    return None if value is None else _read(shape, value, path)


def _text(value: str, path: str) -> str:
    if "\x00" in value:  # PostgreSQL keeps no such text, and no field of CloudTrail's can hold one
        raise ApiError("SerializationException", f"A text must not hold the character NUL{_at(path)}.")
    return value


def _whole(shape: Shape, value: int, path: str) -> int:
    half = 1 << (_WIDTHS[shape.type_name] - 1)
    if not -half <= value < half:
        raise _unreadable(value, shape, path)
    return value


def _fraction(shape: Shape, value: float, path: str) -> float:
    try:
        return float(value)
    except OverflowError:
        raise _unreadable(value, shape, path) from None


def _time(shape: Shape, value: float, path: str) -> datetime:
    try:
        return datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError):
        raise _unreadable(value, shape, path) from None


def _blob(shape: Shape, value: str, path: str) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise _unreadable(value, shape, path) from None


def _unreadable(value: Any, shape: Shape, path: str) -> ApiError:
    wanted = _TYPE_NAMES.get(shape.type_name, shape.type_name)
    return ApiError("SerializationException", f"{_kind_of(value)} can not be converted to {wanted}{_at(path)}")


def _kind_of(value: Any) -> str:
    """A JSON value's kind, in the words of AWS's own messages."""
    match value:
        case None:
            return "NULL_VALUE"
        case bool():
            return "TRUE_VALUE" if value else "FALSE_VALUE"
        case str():
            return "STRING_VALUE"
        case int() | float():
            return "NUMBER_VALUE"
        case list():
            return "LIST_VALUE"
        case _:
            return "MAP_VALUE"


def _at(path: str) -> str:
    return f" at '{path[:200]}'" if path else ""
