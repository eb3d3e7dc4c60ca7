"""What an answer of S3 means: foreign exceptions in, the port's exceptions out.

obstore's exceptions carry status and body only in their text; the debug part of that text is taken apart here, since
its strings are escaped: no key can look like a status. What is not understood is OutcomeUnknown, which is always safe.
"""

# ruff: noqa: PLR2004 - HTTP's status codes

from __future__ import annotations

import re
from typing import Any

from opentrail_backends.object_store.port import (
    BucketNotFound,
    ObjectAlreadyExists,
    ObjectNotFound,
    ObjectStoreError,
    OutcomeUnknown,
    PutRefused,
    StoreThrottled,
)

_STATUS = re.compile(r"^\s+status: (\d{3}),$", re.MULTILINE)
_CODE = re.compile(r"<Code>([A-Za-z0-9._:-]{1,80})</Code>")
_REASON = re.compile(r"<Message>([^<]{1,300})</Message>")
_CAUSES = re.compile(r'^\s+kind: (\w+),$|^\s+message: ("[^"]*"),$|(InvalidCertificate\(\s*\w+)', re.MULTILINE)
_THROTTLED = re.compile(r"SlowDown.*|.*Throttl.*|TooManyRequests.*|RequestLimitExceeded")
_CODES_OF_STATUS = {
    400: "BadRequest",
    401: "AccessDenied",
    403: "AccessDenied",
    404: "NotFound",
    405: "MethodNotAllowed",
}
_UNDECIDED_CODES = {
    "ConditionalRequestConflict",  # 409: another writer is at it, and may win or not
    "OperationAborted",  # 409
    "RequestTimeout",  # 400: the server did not get the whole body in time
}


class WrongRegion(Exception):
    """The bucket lives in another region than the request was signed for. Stays inside the adapter."""


def translate_obstore(error: BaseException, what: str, *, reading: bool) -> ObjectStoreError | WrongRegion:
    """The meaning of what obstore raised."""
    debug = str(error).partition("\nDebug source:\n")[2]
    status = _STATUS.search(debug)
    if status is None:
        if "inner: BareRedirect" in debug:
            return WrongRegion(what)
        causes = " ".join(dict.fromkeys("".join(found) for found in _CAUSES.findall(debug)))
        return OutcomeUnknown(f"{what}: no answer ({str(error).partition(chr(10))[0]}; {causes})")
    after = debug[status.end() :]
    code, reason = _CODE.search(after), _REASON.search(after)
    return translate_answer(int(status[1]), code[1] if code else "", reason[1] if reason else "", what, reading=reading)


def translate_client_error(response: Any, what: str) -> ObjectStoreError | WrongRegion:
    """The meaning of a botocore ClientError's `response`, for calls that read or list."""
    error = response.get("Error", {})
    code = str(error.get("Code", ""))
    status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    # To a HEAD, which has no body, botocore gives the status as the code.
    return translate_answer(status, "" if code.isdigit() else code, str(error.get("Message", "")), what, reading=True)


def translate_answer(
    status: int, code: str, reason: str, what: str, *, reading: bool
) -> ObjectStoreError | WrongRegion:
    """The meaning of an HTTP status with S3's error code (empty: there was no body)."""
    text = f"{what}: {status} {code} {reason}".rstrip()
    if code in {"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"}:
        return WrongRegion(text)
    if code == "NoSuchBucket":
        return BucketNotFound(text)
    if status == 412 and not reading:
        return ObjectAlreadyExists(text)
    if status == 429 or _THROTTLED.fullmatch(code):
        return StoreThrottled(text)
    if status == 404 and reading and code in {"", "NoSuchKey", "NoSuchVersion"}:
        return ObjectNotFound(text)
    if code == "NotImplemented":  # 501: this server has no such function and never will have done it
        return PutRefused(text, code)
    undecided = code in _UNDECIDED_CODES or status == 408 or (status == 409 and not code)
    if undecided or not 300 <= status < 500:
        return OutcomeUnknown(text)
    return PutRefused(text, code or _CODES_OF_STATUS.get(status, f"Http{status}"))
