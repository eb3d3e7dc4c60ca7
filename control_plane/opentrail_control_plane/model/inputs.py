"""A request's input by the model: its types, then everything that the model allows and forbids."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from botocore.model import Shape

from opentrail_control_plane.errors import ApiError
from opentrail_control_plane.model.constraints import report, violations
from opentrail_control_plane.model.own_errors import code_of
from opentrail_control_plane.model.reading import read_members
from opentrail_control_plane.model.services import Operation


def read_input(operation: Operation, body: Any) -> dict[str, Any]:
    """The members of a JSON body, by the model's names.

    Raises ApiError: SerializationException for a value of another JSON type, ValidationException (or the operation's
    own error for it) with all that the model forbids.
    """
    if operation.input_shape is None:
        return {}
    members = read_members(operation.input_shape, body)
    found = violations(operation.input_shape, members)
    if found:
        raise ApiError(code_of(found, operation.errors), report(found))
    return members


def read_rest_input(operation: Operation, body: Any, query: Mapping[str, str]) -> dict[str, Any]:
    """The members of a rest-json request: those that the model puts into the URL's query, the others from the body.

    Raises as `read_input`.
    """
    members = operation.input_shape.members if operation.input_shape is not None else {}
    in_query = {
        name: _from_text(shape, query[shape.serialization["name"]])
        for name, shape in members.items()
        if shape.serialization.get("location") == "querystring" and shape.serialization["name"] in query
    }
    if isinstance(body, dict):
        located = {name for name, shape in members.items() if "location" in shape.serialization}
        body = {name: value for name, value in body.items() if name not in located} | in_query
    return read_input(operation, body)


def read_form(operation: Operation, form: Mapping[str, str]) -> dict[str, Any]:
    """The members of a form of the query protocol, as far as they are scalars. Raises as `read_input`."""
    shape = operation.input_shape
    if shape is None:
        return {}
    return read_input(
        operation, {name: _from_text(member, form[name]) for name, member in shape.members.items() if name in form}
    )


def _from_text(shape: Shape, text: str) -> Any:
    """The JSON value that a text stands for; one that stands for none is left to be refused."""
    match shape.type_name:
        case "integer" | "long" if text.isascii() and text.removeprefix("-").isdecimal() and len(text) < 20:  # noqa: PLR2004 - 64 bits
            return int(text)
        case "boolean":
            return {"true": True, "false": False}.get(text, text)
        case _:
            return text
