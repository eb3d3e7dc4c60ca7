"""The query protocol, in which STS is asked: a form in, XML out. Its common errors have names of their own."""

from __future__ import annotations

from typing import Any

from opentrail_control_plane.errors import ApiError
from opentrail_control_plane.model import Operation, write_xml, xml_text
from opentrail_control_plane.protocol import Answer

XML = "text/xml"

_NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"
_CODES = {
    "AccessDeniedException": "AccessDenied",
    "ExpiredTokenException": "ExpiredToken",
    "InvalidSignatureException": "SignatureDoesNotMatch",
    "MissingAuthenticationTokenException": "MissingAuthenticationToken",
    "SerializationException": "MalformedInput",
    "ThrottlingException": "Throttling",
    "UnknownOperationException": "InvalidAction",
    "UnrecognizedClientException": "InvalidClientTokenId",
    "ValidationException": "ValidationError",
}
"""By the names of AWS's JSON services. Clients of STS (Terraform, the AWS CLI) know these."""


def write_query_answer(operation: Operation, output: dict[str, Any], request_id: str) -> Answer:
    """A successful answer."""
    name = operation.name
    body = (
        f'<{name}Response xmlns="{_NAMESPACE}"><{name}Result>{write_xml(operation, output)}</{name}Result>'
        f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{name}Response>"
    )
    return Answer(200, XML, body.encode(), request_id)


def write_query_error(error: ApiError, request_id: str) -> Answer:
    """A refusal."""
    code = _CODES.get(error.code, error.code)
    at_fault = "Sender" if error.status < 500 else "Receiver"  # noqa: PLR2004 - HTTP's server errors
    what = f"<Type>{at_fault}</Type><Code>{code}</Code><Message>{xml_text(error.message)}</Message>"
    body = (
        f'<ErrorResponse xmlns="{_NAMESPACE}"><Error>{what}</Error><RequestId>{request_id}</RequestId></ErrorResponse>'
    )
    return Answer(error.status, XML, body.encode(), request_id)
