"""botocore's models of the services: which operations there are, and the shapes that go in and out."""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, datetime
from functools import cache
from typing import Any

from botocore.loaders import Loader
from botocore.model import ListShape, MapShape, ServiceModel, Shape, StructureShape
from botocore.validate import ParamValidator

from opentrail_control_plane.errors import ApiError


@cache
def service_model(service: str) -> ServiceModel:
    """The newest model of a service that botocore ships."""
    return ServiceModel(Loader().load_service_model(service, "service-2"), service)


def read_input(shape: Shape | None, body: Any) -> dict[str, Any]:
    """The members of an operation's input, timestamps as datetimes. Members unknown to the model are passed over.

    Raises ApiError: SerializationException for a value of the wrong JSON type, ValidationException for what the
    model forbids (a missing member, a text that is too short).
    """
    if not isinstance(body, dict):
        raise _unreadable("the body", "a JSON object")
    if shape is None:
        return {}
    members: dict[str, Any] = _read(shape, body, "input")
    report = ParamValidator().validate(members, shape)
    if report.has_errors():
        raise ApiError("ValidationException", report.generate_report())
    return members


def write_output(shape: Shape | None, value: dict[str, Any]) -> Any:
    """An operation's output as JSON values: members that are None are left out, datetimes become epoch seconds."""
    return {} if shape is None else _write(shape, value)


def _read(shape: Shape, value: Any, place: str) -> Any:
    match shape:
        case StructureShape() if isinstance(value, dict):
            known = {name: member for name, member in value.items() if name in shape.members and member is not None}
            return {name: _read(shape.members[name], member, name) for name, member in known.items()}
        case ListShape() if isinstance(value, list):
            return [_read(shape.member, member, place) for member in value]
        case MapShape() if isinstance(value, dict):
            return {name: _read(shape.value, member, place) for name, member in value.items()}
        case Shape(type_name="timestamp") if isinstance(value, int | float) and not isinstance(value, bool):
            return _read_time(value, place)
        case Shape(type_name="blob") if isinstance(value, str):
            return _read_blob(value, place)
        case Shape(type_name="structure" | "list" | "map" | "timestamp" | "blob"):
            raise _unreadable(place, f"a {shape.type_name}")
        case _:
            return value  # the validator knows the scalar types


def _read_time(value: float, place: str) -> datetime:
    try:
        return datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError):
        raise _unreadable(place, "a time in epoch seconds") from None


def _read_blob(value: str, place: str) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise _unreadable(place, "base64") from None


def _write(shape: Shape, value: Any) -> Any:
    match shape:
        case StructureShape():
            return {name: _write(shape.members[name], member) for name, member in value.items() if member is not None}
        case ListShape():
            return [_write(shape.member, member) for member in value]
        case Shape(type_name="timestamp"):
            seconds: float = value.timestamp()
            return int(seconds) if seconds.is_integer() else seconds
        case Shape(type_name="blob"):
            return base64.b64encode(value).decode("ascii")
        case _:
            return value


def _unreadable(place: str, wanted: str) -> ApiError:
    return ApiError("SerializationException", f"{place} must be {wanted}.")
