"""AWS Signature Version 4, verified: who sent a request, and that nobody changed it on the way.

Only signatures in the Authorization header are taken. Everything that decides what a request does must be
signed: the host, the date, all `x-amz-` headers, the query, and the body by its hash.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import NamedTuple
from urllib.parse import quote, unquote_to_bytes

from opentrail_control_plane.errors import ApiError
from opentrail_control_plane.operations.context import Identity

ALGORITHM = "AWS4-HMAC-SHA256"
TOLERANCE_SECONDS = 15 * 60
"""How far a request's date may be from ours, either way (AWS: 15 minutes)."""
GLOBAL_SERVICES = frozenset({"organizations", "sts"})
"""Clients sign for them in whatever region they believe to be in; nothing that they answer is of a region."""

_DATE = "%Y%m%dT%H%M%SZ"
_DATE_FORM = re.compile(r"[0-9]{8}T[0-9]{6}Z")
_PARAMETERS = ("Credential", "SignedHeaders", "Signature")
_REGION = re.compile(r"[a-z]{2,}(-[a-z]+)+-[0-9]{1,2}")
_BLANKS = re.compile(r"[ \t]+")
_MOST_QUERY_FIELDS = 100


@dataclass(frozen=True, slots=True)
class TlsDetails:
    """How a connection is encrypted."""

    version: str
    """As CloudTrail has it: `TLSv1.3`."""
    cipher_suite: str


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it came in. Header names in lower case; `path` and `query` as sent, still percent-encoded."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    source_address: str = ""
    """The other end of the connection."""
    tls: TlsDetails | None = None
    """None: the connection is not encrypted."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """What is known of an access key, long-lived or of a session."""

    secret: str = field(repr=False)
    account_id: str
    identity: Identity


class Signer(NamedTuple):
    """Whom a valid signature proves, and the region that it is for."""

    account_id: str
    region: str
    identity: Identity


class _Credential(NamedTuple):
    access_key_id: str
    date: str
    region: str
    service: str


def verify(
    request: Request,
    service: str,
    regions: Collection[str],
    find_key: Callable[[str, str | None], SigningKey],
    now: float,
) -> Signer:
    """The signer of a request.

    Args:
        request: as it came in.
        service: the one that the request is for, by its name in the credential scope.
        regions: those that there are. A service of GLOBAL_SERVICES may be signed for any.
        find_key: the key for an access key id and a session token; raises ApiError if there is none.
        now: epoch seconds.

    Raises ApiError with the code that AWS gives: MissingAuthenticationTokenException, IncompleteSignature,
    UnrecognizedClientException, ExpiredTokenException or InvalidSignatureException, each with status 403.
    """
    credential, signed_headers, signature = _read_authorization(request)
    sent_at = _check_date(request.headers, credential, now)
    _check_scope(credential, service, regions)
    _check_signed_headers(request.headers, signed_headers)
    canonical = _canonical(request, signed_headers, _check_body(request))
    key = find_key(credential.access_key_id, request.headers.get("x-amz-security-token"))
    expected = _signature(key.secret, credential, sent_at, canonical)
    if not hmac.compare_digest(expected.encode(), signature.encode()):
        raise _invalid(
            "The request signature we calculated does not match the signature you provided. "
            "Check your AWS Secret Access Key and signing method."
        )
    return Signer(key.account_id, credential.region, key.identity)


def _read_authorization(request: Request) -> tuple[_Credential, list[str], str]:
    header = request.headers.get("authorization")
    if header is None:
        if "x-amz-signature=" in request.query.lower():
            raise _incomplete("Signatures in the query string are not taken: sign the Authorization header.")
        raise ApiError("MissingAuthenticationTokenException", "Missing Authentication Token", 403)
    algorithm, _, rest = header.partition(" ")
    if algorithm != ALGORITHM:
        raise _incomplete(f"The Authorization header must begin with {ALGORITHM}.")
    parameters = dict(part.strip().partition("=")[::2] for part in rest.split(","))
    missing = [name for name in _PARAMETERS if not parameters.get(name)]
    if missing:
        raise _incomplete(f"Authorization header requires {', '.join(repr(name) for name in missing)}.")
    credential = parameters["Credential"].split("/")
    if len(credential) != 5 or credential[4] != "aws4_request":  # noqa: PLR2004 - key, date, region, service, end
        raise _incomplete("Credential must have the form access-key-id/YYYYMMDD/region/service/aws4_request.")
    return _Credential(*credential[:4]), parameters["SignedHeaders"].split(";"), parameters["Signature"]


def _check_date(headers: Mapping[str, str], credential: _Credential, now: float) -> str:
    text = headers.get("x-amz-date", "")
    sent_at = _time(text)
    if sent_at is None:
        raise _incomplete("Authorization header requires existence of an 'X-Amz-Date' header.")
    if text[:8] != credential.date:
        raise _invalid(f"Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date: {text}")
    ours = datetime.fromtimestamp(now, UTC).strftime(_DATE)
    if sent_at < now - TOLERANCE_SECONDS:
        raise _invalid(f"Signature expired: {text} is more than 15 minutes earlier than {ours}")
    if sent_at > now + TOLERANCE_SECONDS:
        raise _invalid(f"Signature not yet current: {text} is more than 15 minutes later than {ours}")
    return text


def _time(text: str) -> float | None:
    """Epoch seconds of `YYYYMMDDTHHMMSSZ`; None for any other text."""
    if not _DATE_FORM.fullmatch(text):
        return None
    try:
        return datetime.strptime(text, _DATE).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None


def _check_scope(credential: _Credential, service: str, regions: Collection[str]) -> None:
    """AWS answers a signature for another region so: the region of the scope must be the one of the endpoint.

    This endpoint stands for those of all the regions that there are.
    """
    if credential.service != service:
        raise _invalid(f"Credential should be scoped to correct service: '{service}'.")
    known = service in GLOBAL_SERVICES or credential.region in regions
    if not known or not _REGION.fullmatch(credential.region):
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
    lines = [
        request.method,
        quote(request.path, safe="/-_.~"),
        _canonical_query(request.query),
        *(f"{name}:{_BLANKS.sub(' ', request.headers[name]).strip(' ')}" for name in signed),
        "",
        ";".join(signed),
        body_hash,
    ]
    return "\n".join(lines)


def _canonical_query(query: str) -> str:
    """Names and values are compared as bytes: what is no UTF-8 must not become the same replacement character."""
    fields = query.split("&", _MOST_QUERY_FIELDS) if query else []
    if len(fields) > _MOST_QUERY_FIELDS:
        raise _invalid(f"The query string has more than {_MOST_QUERY_FIELDS} fields.")
    pairs = sorted(tuple(_encoded_once(part) for part in field.partition("=")[::2]) for field in fields)
    return "&".join(f"{name}={value}" for name, value in pairs)


def _encoded_once(text: str) -> str:
    return quote(unquote_to_bytes(text.replace("+", " ")), safe="-_.~")


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
