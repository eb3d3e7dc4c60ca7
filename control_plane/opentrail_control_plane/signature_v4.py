"""AWS Signature Version 4, verified: who sent a request, and that nobody changed it on the way.

Only signatures in the Authorization header are taken. Everything that decides what a request does must be
signed: the host, the date, all `x-amz-` headers, and the body by its hash.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import NamedTuple
from urllib.parse import parse_qsl, quote

from opentrail_backends.state.port import AccessKey
from opentrail_control_plane.errors import ApiError

ALGORITHM = "AWS4-HMAC-SHA256"
TOLERANCE_SECONDS = 15 * 60
"""How far a request's date may be from ours, either way (AWS: 15 minutes)."""

_DATE = "%Y%m%dT%H%M%SZ"
_PARAMETERS = ("Credential", "SignedHeaders", "Signature")
_REGION = re.compile(r"[a-z]{2,}(-[a-z]+)+-\d{1,2}")


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it came in. Header names in lower case; `path` as sent, still percent-encoded."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


class Caller(NamedTuple):
    """Whom a valid signature proves."""

    key: AccessKey
    region: str
    service: str


class _Credential(NamedTuple):
    access_key_id: str
    date: str
    region: str
    service: str


def verify(request: Request, services: frozenset[str], find_key: Callable[[str], AccessKey | None], now: int) -> Caller:
    """The caller of a request signed for one of `services`; `now` in epoch seconds.

    Raises ApiError with the code that AWS gives: MissingAuthenticationTokenException, IncompleteSignature,
    UnrecognizedClientException or InvalidSignatureException, each with status 403.
    """
    credential, signed_headers, signature = _read_authorization(request.headers)
    sent_at = _check_date(request.headers, credential, now)
    _check_scope(credential, services)
    _check_signed_headers(request.headers, signed_headers)
    body_hash = _check_body(request)
    key = find_key(credential.access_key_id)
    if key is None or "x-amz-security-token" in request.headers:  # we give out no session tokens
        raise ApiError("UnrecognizedClientException", "The security token included in the request is invalid.", 403)
    expected = _signature(key.secret_access_key, credential, sent_at, _canonical(request, signed_headers, body_hash))
    if not hmac.compare_digest(expected, signature):
        raise _invalid(
            "The request signature we calculated does not match the signature you provided. "
            "Check your AWS Secret Access Key and signing method."
        )
    return Caller(key, credential.region, credential.service)


def _read_authorization(headers: Mapping[str, str]) -> tuple[_Credential, list[str], str]:
    header = headers.get("authorization")
    if header is None:
        raise ApiError("MissingAuthenticationTokenException", "Missing Authentication Token", 403)
    algorithm, _, rest = header.partition(" ")
    if algorithm != ALGORITHM:
        raise _incomplete(f"The Authorization header must begin with {ALGORITHM}.")
    parameters = dict(part.strip().partition("=")[::2] for part in rest.split(","))
    missing = [name for name in _PARAMETERS if not parameters.get(name)]
    if missing:
        raise _incomplete(f"Authorization header requires {', '.join(repr(name) for name in missing)}.")
    credential = parameters["Credential"].split("/")
    if len(credential) != 5 or credential[4] != "aws4_request":  # noqa: PLR2004
        raise _incomplete("Credential must have the form access-key-id/YYYYMMDD/region/service/aws4_request.")
    return _Credential(*credential[:4]), parameters["SignedHeaders"].split(";"), parameters["Signature"]


def _check_date(headers: Mapping[str, str], credential: _Credential, now: int) -> str:
    text = headers.get("x-amz-date", "")
    try:
        sent_at = datetime.strptime(text, _DATE).replace(tzinfo=UTC)
    except ValueError:
        raise _incomplete("Authorization header requires existence of an 'X-Amz-Date' header.") from None
    if text[:8] != credential.date:
        raise _invalid(f"Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date: {text}")
    ours = datetime.fromtimestamp(now, UTC).strftime(_DATE)
    if sent_at.timestamp() < now - TOLERANCE_SECONDS:
        raise _invalid(f"Signature expired: {text} is more than 15 minutes earlier than {ours}")
    if sent_at.timestamp() > now + TOLERANCE_SECONDS:
        raise _invalid(f"Signature not yet current: {text} is more than 15 minutes later than {ours}")
    return text


def _check_scope(credential: _Credential, services: frozenset[str]) -> None:
    if credential.service not in services:
        wanted = " or ".join(repr(service) for service in sorted(services))
        raise _invalid(f"Credential should be scoped to correct service: {wanted}.")
    if not _REGION.fullmatch(credential.region):
        raise _invalid("Credential should be scoped to a valid region.")


def _check_signed_headers(headers: Mapping[str, str], signed: list[str]) -> None:
    """A header that decides something and is not signed could be put in by anybody."""
    if signed != sorted(set(signed)):
        raise _incomplete("SignedHeaders must be sorted and name each header once.")
    unsigned = {"host", *(name for name in headers if name.startswith("x-amz-"))} - set(signed)
    if unsigned:
        names = ", ".join(repr(name) for name in sorted(unsigned))
        raise _invalid(f"{names} must be a 'SignedHeader' in the AWS Authorization.")
    absent = [name for name in signed if name not in headers]
    if absent:
        raise _invalid(f"The signed headers {', '.join(absent)} are not in the request.")


def _check_body(request: Request) -> str:
    actual = sha256(request.body).hexdigest()
    claimed = request.headers.get("x-amz-content-sha256", actual)
    if not hmac.compare_digest(claimed.encode(), actual.encode()):
        raise _invalid("The value of the x-amz-content-sha256 header is not the SHA-256 hash of the body.")
    return actual


def _canonical(request: Request, signed: list[str], body_hash: str) -> str:
    """The canonical request (AWS: Signature Version 4, step 1); the path is encoded once more, as all but S3 do."""
    query = sorted(
        (quote(name, safe="-_.~"), quote(value, safe="-_.~"))
        for name, value in parse_qsl(request.query, keep_blank_values=True)
    )
    lines = [
        request.method,
        quote(request.path, safe="/-_.~"),
        "&".join(f"{name}={value}" for name, value in query),
        *(f"{name}:{' '.join(request.headers[name].split())}" for name in signed),
        "",
        ";".join(signed),
        body_hash,
    ]
    return "\n".join(lines)


def _signature(secret: str, credential: _Credential, sent_at: str, canonical: str) -> str:
    scope = f"{credential.date}/{credential.region}/{credential.service}/aws4_request"
    text = f"{ALGORITHM}\n{sent_at}\n{scope}\n{sha256(canonical.encode()).hexdigest()}"
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), sha256)
    return hmac.digest(key, text.encode(), sha256).hex()


def _incomplete(message: str) -> ApiError:
    return ApiError("IncompleteSignature", message, 403)


def _invalid(message: str) -> ApiError:
    return ApiError("InvalidSignatureException", message, 403)
