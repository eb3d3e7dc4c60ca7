"""The wire protocols: which operation a request is for, its body as values, answers in the form of the service.

| service | protocol | a request | an error |
|---|---|---|---|
| cloudtrail, organizations | AWS JSON 1.1 | `POST /` with `X-Amz-Target` | `__type` and `message` |
| cloudtrail-data | rest-json | `POST /PutAuditEvents?channelArn=…` | the same, and its type in `x-amzn-ErrorType` |
| sts | query | `POST /` with a form | XML (`query_protocol`) |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import msgspec

from opentrail_control_plane.errors import ApiError
from opentrail_control_plane.model import Operation, rest_operation, write_output
from opentrail_control_plane.signature_v4 import Request

JSON = "application/x-amz-json-1.1"
REST_JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
MAX_BODY_BYTES = 1024 * 1024
MAX_FIELDS = 100
"""Of a form or of the URL's query."""

_TARGETS = {
    "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101": "cloudtrail",
    "CloudTrail_20131101": "cloudtrail",
    "AWSOrganizationsV20161128": "organizations",
}
_REST_SERVICES = frozenset({"cloudtrail-data"})


class Target(NamedTuple):
    """Which operation of which service a request is for."""

    service: str
    operation: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back."""

    status: int
    content_type: str
    body: bytes
    request_id: str
    headers: Mapping[str, str] = field(default_factory=dict)
    """Besides the content type and the request's id."""


def read_target(request: Request) -> Target:
    """The operation that a request names. Raises ApiError: UnknownOperationException, MalformedHttpRequestException."""
    for service in _REST_SERVICES:
        operation = rest_operation(service, request.method, request.path)
        if operation is not None:
            return Target(service, operation)
    if request.method != "POST" or request.path != "/":
        raise _unknown("Requests are POST to /.")
    if is_form(request):
        return Target("sts", _action(request.body))
    target = request.headers.get("x-amz-target")
    if target is None:
        raise _unknown("The request names no operation: X-Amz-Target is missing.")
    prefix, _, operation = target.rpartition(".")
    if prefix not in _TARGETS:
        raise _unknown(f"The target {target[:200]!r} is of no known service.")
    if _content_type(request) != JSON:
        raise _unknown(f"Requests with X-Amz-Target have the Content-Type {JSON}.")
    return Target(_TARGETS[prefix], operation)


def is_form(request: Request) -> bool:
    """Whether a request is of the query protocol, and wants XML."""
    return "x-amz-target" not in request.headers and _content_type(request) == FORM


def read_json(body: bytes) -> Any:
    """The body's JSON value; an empty body is an empty object. Raises ApiError: SerializationException.

    What is nested too deep for the decoder's stack is refused like what is no JSON. Of a key that comes twice the last
    value counts, as AWS has it.
    """
    try:
        return msgspec.json.decode(body or b"{}")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ApiError("SerializationException", f"The body is not JSON: {error}.") from None


def read_form_fields(text: bytes | str) -> dict[str, str]:
    """The fields of a form, or of a URL's query. Raises ApiError: MalformedHttpRequestException."""
    try:
        form = text if isinstance(text, str) else text.decode("ascii")
        if not form:
            return {}
        pairs = parse_qsl(form, keep_blank_values=True, strict_parsing=True, max_num_fields=MAX_FIELDS, errors="strict")
    except ValueError:
        raise ApiError("MalformedHttpRequestException", "The form cannot be read.") from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ApiError("MalformedHttpRequestException", "The form has a field twice.")
    return fields


def write_answer(operation: Operation, output: dict[str, Any], request_id: str) -> Answer:
    """A successful answer in JSON."""
    content_type = REST_JSON if operation.service in _REST_SERVICES else JSON
    return Answer(200, content_type, msgspec.json.encode(write_output(operation, output)), request_id)


def write_error(error: ApiError, target: Target | None, request_id: str) -> Answer:
    """A refusal in JSON."""
    body = msgspec.json.encode({"__type": error.code, "message": error.message})
    if target is not None and target.service in _REST_SERVICES:
        return Answer(error.status, REST_JSON, body, request_id, {"x-amzn-ErrorType": error.code})
    return Answer(error.status, JSON, body, request_id)


def _content_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _action(body: bytes) -> str:
    action = read_form_fields(body).get("Action")
    if action is None:
        raise _unknown("The form must have one Action.")
    return action


def _unknown(message: str) -> ApiError:
    return ApiError("UnknownOperationException", message, 404)
