"""The API's own calls as CloudTrail records (reference §1.2, §1.3): pure, a call in, JSON bytes out.

They say what CloudTrail says about calls of its own API: who called, from where, with what, and what came of it. No
secret is in them: no input has one, and of what GetSessionToken gives out they show the key's id and its end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from opentrail.events.record import EVENT_VERSION
from opentrail.evidence.times import format_time
from opentrail_control_plane.caller_identity import identity_arn, principal_id
from opentrail_control_plane.errors import ApiError
from opentrail_control_plane.model import Operation, recorded_input, recorded_output
from opentrail_control_plane.operations.context import Identity
from opentrail_control_plane.roles import is_read
from opentrail_control_plane.signature_v4 import TlsDetails

MAX_TEXT_BYTES = 1024
"""Of `userAgent`, `errorCode` and `errorMessage`: what is longer is cut."""
MAX_ELEMENTS_BYTES = 100 * 1024
"""Of `requestParameters` and `responseElements`: what is longer is omitted."""

_RECORDED_CODES = {"AccessDeniedException": "AccessDenied"}
"""Records have the name that most services answer by."""
_SECRETS = frozenset({"secretAccessKey", "sessionToken"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call that was answered."""

    operation: Operation
    account_id: str
    region: str
    """The one that records it."""
    identity: Identity
    request_id: str
    event_id: str
    at: int
    """When it was answered, in epoch seconds."""
    source_address: str
    user_agent: str | None
    host: str | None
    """The request's Host header."""
    tls: TlsDetails | None
    members: Mapping[str, Any] | None
    """Its input; None if it could not be read."""
    output: Mapping[str, Any] | None
    """None: it was refused."""
    error: ApiError | None


def call_record(call: Call) -> bytes:
    """The record, with each field that CloudTrail documents for it, in the order of CloudTrail's samples."""
    read_only = is_read(call.operation.name)
    parameters = recorded_input(call.operation, call.members or {})
    # CloudTrail shows no answer of a read, except which credentials STS gave out.
    shows_answer = call.output is not None and (not read_only or call.operation.name == "GetSessionToken")
    elements = _without_secrets(recorded_output(call.operation, call.output or {})) if shows_answer else {}
    record: dict[str, Any] = {
        "eventVersion": EVENT_VERSION,
        "userIdentity": _user_identity(call.account_id, call.identity),
        "eventTime": format_time(call.at),
        "eventSource": f"{call.operation.service}.amazonaws.com",
        "eventName": call.operation.name,
        "awsRegion": call.region,
        "sourceIPAddress": call.source_address,
        "userAgent": None if call.user_agent is None else _cut(call.user_agent),
        "errorCode": None if call.error is None else _RECORDED_CODES.get(call.error.code, call.error.code),
        "errorMessage": None if call.error is None else _cut(call.error.message),
    }
    record = {name: value for name, value in record.items() if value is not None}
    record |= {
        "requestParameters": _bounded(parameters, "requestParameters"),
        "responseElements": _bounded(elements, "responseElements"),
        "requestID": call.request_id,
        "eventID": call.event_id,
        "readOnly": read_only,
        "eventType": "AwsApiCall",
        "managementEvent": True,
        "recipientAccountId": call.account_id,
        "eventCategory": "Management",
    }
    if call.tls is not None:
        record["tlsDetails"] = _tls_details(call.tls, call.host)
    return msgspec.json.encode(record)


def _user_identity(account_id: str, identity: Identity) -> dict[str, Any]:
    user: dict[str, Any] = {
        "type": "IAMUser" if identity.user_name else "Root",
        "principalId": principal_id(account_id, identity.user_name),
        "arn": identity_arn(account_id, identity.user_name),
        "accountId": account_id,
        "accessKeyId": identity.access_key_id,
    }
    if identity.user_name:
        user["userName"] = identity.user_name
    if identity.session_created_at:
        created = format_time(identity.session_created_at)
        user["sessionContext"] = {"attributes": {"creationDate": created, "mfaAuthenticated": "false"}}
    return user


def _tls_details(tls: TlsDetails, host: str | None) -> dict[str, str]:
    details = {"tlsVersion": tls.version, "cipherSuite": tls.cipher_suite}
    return details if host is None else details | {"clientProvidedHostHeader": _cut(host)}


def _without_secrets(elements: Any) -> Any:
    if not isinstance(elements, dict):
        return elements
    return {name: _without_secrets(value) for name, value in elements.items() if name not in _SECRETS}


def _bounded(elements: dict[str, Any], field: str) -> dict[str, Any] | None:
    """What is too large is omitted, and the record says so."""
    if not elements:
        return None
    size = len(msgspec.json.encode(elements))
    if size <= MAX_ELEMENTS_BYTES:
        return elements
    return {"omitted": True, "originalSize": size, "reason": f"{field} too large"}


def _cut(text: str) -> str:
    return text.encode()[:MAX_TEXT_BYTES].decode(errors="ignore")
