"""An operation's output in the wire's own forms: JSON values, and the query protocol's XML."""

from __future__ import annotations

import base64
import re
from datetime import UTC, datetime
from typing import Any
from xml.sax.saxutils import escape

from botocore.model import ListShape, MapShape, Shape, StructureShape

from opentrail_control_plane.model.services import Operation

_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write_output(operation: Operation, output: dict[str, Any]) -> Any:
    """The output as JSON values: what is None is left out, datetimes become epoch seconds, blobs base64.

    Raises KeyError on a member that the model does not know: the operation is wrong.
    """
    return {} if operation.output_shape is None else _json(operation.output_shape, output)


def write_xml(operation: Operation, output: dict[str, Any]) -> str:
    """The output's members as XML elements, in the query protocol's forms."""
    return "" if operation.output_shape is None else _elements(operation.output_shape, output)


def xml_text(text: str) -> str:
    """A text for XML 1.0, which has no way to write most control characters: they become `?`."""
    return escape(_NOT_IN_XML.sub("?", text))


def _json(shape: Shape, value: Any) -> Any:
    match shape:
        case StructureShape():
            return {name: _json(shape.members[name], one) for name, one in value.items() if one is not None}
        case ListShape():
            return [_json(shape.member, one) for one in value]
        case MapShape():
            return {key: _json(shape.value, one) for key, one in value.items() if one is not None}
        case Shape(type_name="timestamp"):
            return _epoch_seconds(value)
        case Shape(type_name="blob"):
            return base64.b64encode(value).decode("ascii")
        case _:
            return value


def _epoch_seconds(time: datetime) -> float:
    """With a fraction of milliseconds if there is one, as CloudTrail has it (reference §5.1)."""
    milliseconds = round(time.timestamp() * 1000)
    return milliseconds // 1000 if milliseconds % 1000 == 0 else milliseconds / 1000


def _elements(shape: StructureShape, value: dict[str, Any]) -> str:
    return "".join(
        f"<{name}>{_xml(shape.members[name], one)}</{name}>" for name, one in value.items() if one is not None
    )


def _xml(shape: Shape, value: Any) -> str:
    match shape:
        case StructureShape():
            return _elements(shape, value)
        case Shape(type_name="timestamp"):
            time: datetime = value
            return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        case Shape(type_name="boolean"):
            return "true" if value else "false"
        case Shape(type_name="string" | "integer" | "long"):
            return xml_text(str(value))
        case _:
            raise NotImplementedError(f"no answer of ours has a {shape.type_name} in XML")
