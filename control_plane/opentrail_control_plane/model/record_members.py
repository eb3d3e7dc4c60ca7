"""Members as CloudTrail's records show them: names in lower camel case, times as texts."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StructureShape

from opentrail_control_plane.model.reading import lower_camel
from opentrail_control_plane.model.services import Operation


def recorded_input(operation: Operation, members: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON value of `requestParameters`."""
    return {} if operation.input_shape is None else _structure(operation.input_shape, members)


def recorded_output(operation: Operation, output: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON value of `responseElements`."""
    return {} if operation.output_shape is None else _structure(operation.output_shape, output)


def _structure(shape: StructureShape, members: Mapping[str, Any]) -> dict[str, Any]:
    return {
        lower_camel(name): _recorded(shape.members[name], value) for name, value in members.items() if value is not None
    }


def _recorded(shape: Shape, value: Any) -> Any:
    match shape:
        case _ if value is None:
            return None
        case StructureShape():
            return _structure(shape, value)
        case ListShape():
            return [_recorded(shape.member, one) for one in value]
        case MapShape():
            return {key: _recorded(shape.value, one) for key, one in value.items()}
        case Shape(type_name="timestamp"):
            return _time(value)
        case Shape(type_name="blob"):
            return base64.b64encode(value).decode("ascii")
        case _:
            return value


def _time(time: datetime) -> str:
    """As in CloudTrail's own records of LookupEvents: `Nov 1, 2025, 6:02:00 PM`."""
    utc = time.astimezone(UTC)
    return f"{utc:%b} {utc.day}, {utc.year}, {utc.hour % 12 or 12}:{utc:%M:%S} {'AM' if utc.hour < 12 else 'PM'}"  # noqa: PLR2004 - noon
