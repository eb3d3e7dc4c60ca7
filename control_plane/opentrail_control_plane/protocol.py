"""The two wire protocols: AWS JSON 1.1, and the query protocol in which STS is asked who one is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

import msgspec

from opentrail_control_plane.errors import ApiError
from opentrail_control_plane.signature_v4 import Request

JSON = "application/x-amz-json-1.1"
XML = "text/xml"
MAX_BODY_BYTES = 1024 * 1024

_TARGETS = {
    "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101": "cloudtrail",
    "CloudTrail_20131101": "cloudtrail",
    "AWSOrganizationsV20161128": "organizations",
}
_STS_NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"


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


def read_target(request: Request) -> Target:
    """The operation that a request names. Raises ApiError: UnknownOperationException, MalformedHttpRequestException."""
    if request.method != "POST" or request.path != "/":
        raise ApiError("UnknownOperationException", "Requests are POST to /.", 404)
    target = request.headers.get("x-amz-target")
    if target is not None:
        prefix, _, operation = target.rpartition(".")
        if prefix not in _TARGETS:
            raise ApiError("UnknownOperationException", f"The target {target[:200]!r} is of no known service.", 404)
        return Target(_TARGETS[prefix], operation)
    if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return Target("sts", _form_field(request.body, "Action"))
    raise ApiError("UnknownOperationException", "The request names no operation: X-Amz-Target is missing.", 404)


def read_json(body: bytes) -> Any:
    """The body's JSON value; an empty body is an empty object. Raises ApiError: SerializationException."""
    try:
        return msgspec.json.decode(body or b"{}")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ApiError("SerializationException", f"The body is not JSON: {error}.") from None


def write_json(value: Any, request_id: str) -> Answer:
    """A successful answer in JSON 1.1."""
    return Answer(200, JSON, msgspec.json.encode(value), request_id)


def write_error(error: ApiError, target: Target | None, request_id: str) -> Answer:
    """A refusal, in the protocol of the request."""
    if target is not None and target.service == "sts":
        what = f"<Type>Sender</Type><Code>{escape(error.code)}</Code><Message>{escape(error.message)}</Message>"
        body = (
            f'<ErrorResponse xmlns="{_STS_NAMESPACE}"><Error>{what}</Error>'
            f"<RequestId>{request_id}</RequestId></ErrorResponse>"
        )
        return Answer(error.status, XML, body.encode(), request_id)
    body_json = msgspec.json.encode({"__type": error.code, "message": error.message})
    return Answer(error.status, JSON, body_json, request_id)


def write_query_result(operation: str, members: dict[str, str], request_id: str) -> Answer:
    """A successful answer of STS in the query protocol's XML; members are texts."""
    result = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in members.items())
    body = (
        f'<{operation}Response xmlns="{_STS_NAMESPACE}"><{operation}Result>{result}</{operation}Result>'
        f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{operation}Response>"
    )
    return Answer(200, XML, body.encode(), request_id)


def _form_field(body: bytes, name: str) -> str:
    try:
        values = parse_qs(body.decode("ascii"), strict_parsing=True, max_num_fields=100).get(name, [])
    except (ValueError, UnicodeDecodeError):
        raise ApiError("MalformedHttpRequestException", "The form cannot be read.") from None
    if len(values) != 1:
        raise ApiError("UnknownOperationException", f"The form must have one {name}.", 404)
    return values[0]
