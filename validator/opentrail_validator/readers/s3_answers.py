"""What the errors of obstore and of the AWS SDK mean for a reader.

obstore's errors carry status and body only in their text. The debug part of that text is taken apart here: strings in
it are escaped, and what is looked for stands behind the status, so no key can look like an answer.
"""

from __future__ import annotations

import re
from html import unescape
from typing import Final

from botocore.exceptions import BotoCoreError, ClientError

from opentrail_validator.readers.port import CouldNotRead, ObjectMissing

_STATUS: Final = re.compile(r"^\s+status: (\d{3}),$", re.MULTILINE)
_CODE: Final = re.compile(r"<Code>([A-Za-z0-9._:-]{1,80})</Code>")
_MESSAGE: Final = re.compile(r"<Message>([^<]{1,300})</Message>")
_CAUSES: Final = re.compile(
    r'^\s+kind: (Connect|Timeout|Interrupted),$|^\s+(?:message|error): "?([^"{}\n]*?)"?,$|(InvalidCertificate\(\s*\w+)',
    re.MULTILINE,
)
_WRONG_REGION: Final = frozenset(
    {"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"}
)


def meaning_of(error: Exception, host: str, region: str) -> ObjectMissing | CouldNotRead:
    """What obstore or the SDK raised when an object or list was asked for."""
    if isinstance(error, ClientError):
        told = error.response["Error"]
        return _answer(str(told.get("Code", "")), str(told.get("Message", "")), str(error), region)
    if isinstance(error, BotoCoreError):
        return CouldNotRead(str(error))
    first, _, debug = str(error).partition("\nDebug source:\n")
    if "inner: BareRedirect" in debug:
        return _answer("PermanentRedirect", "", "", region)
    status = _STATUS.search(debug)
    if status is None:
        causes = "; ".join(dict.fromkeys("".join(found) for found in _CAUSES.findall(debug)))
        return CouldNotRead(f"no whole answer from {host}: {causes or first}")
    code, message = _CODE.search(debug, status.end()), _MESSAGE.search(debug, status.end())
    told_code, told_message = code[1] if code else "", unescape(message[1]) if message else ""
    text = f"{host} answered {status[1]} {told_code}".rstrip() + (f": {told_message}" if told_message else "")
    return _answer(told_code, told_message, text, region)


def _answer(code: str, message: str, text: str, region: str) -> ObjectMissing | CouldNotRead:
    if code == "NoSuchKey":
        return ObjectMissing(text)
    if code in _WRONG_REGION:
        return CouldNotRead(f"the bucket is not in the region {region}{': ' * bool(message)}{message}")
    return CouldNotRead(text)
