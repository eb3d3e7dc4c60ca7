"""What S3's answers, and the errors of the AWS SDK, mean for a reader."""

from __future__ import annotations

import re
from html import unescape
from typing import Final

from botocore.exceptions import BotoCoreError, ClientError

from opentrail_validator.readers.port import CouldNotRead, ObjectMissing

SDK_ERRORS: Final = (BotoCoreError, ClientError, OSError, ValueError, RuntimeError)
"""What the SDK raises. RuntimeError: credentials that are expired when they are new."""
_CODE: Final = re.compile(rb"<Code>([A-Za-z0-9._:-]{1,80})</Code>")
_MESSAGE: Final = re.compile(rb"<Message>([^<]{1,300})</Message>")
LOOKED_AT: Final = 64 * 1024
"""Bytes of an answer; what is longer is no error of S3's."""
_WRONG_REGION: Final = frozenset(
    {"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"}
)


def meaning_of(error: Exception, host: str, region: str) -> ObjectMissing | CouldNotRead:
    """What the SDK raised when an object or list was asked for."""
    if isinstance(error, ClientError):
        told = error.response["Error"]
        return _answer(str(told.get("Code", "")), str(told.get("Message", "")), str(error), region)
    if isinstance(error, BotoCoreError | RuntimeError):
        return CouldNotRead(str(error))
    return CouldNotRead(f"no whole answer from {host}: {error}")


def meaning_of_answer(status: int, body: bytes, host: str, region: str) -> ObjectMissing | CouldNotRead:
    """What an answer to GetObject means that is none with an object."""
    code, message = _CODE.search(body, 0, LOOKED_AT), _MESSAGE.search(body, 0, LOOKED_AT)
    told_code = code[1].decode() if code else ""
    told_message = unescape(message[1].decode("utf-8", "replace")) if message else ""
    text = f"{host} answered {status} {told_code}".rstrip() + (f": {told_message}" if told_message else "")
    return _answer(told_code, told_message, text, region)


def _answer(code: str, message: str, text: str, region: str) -> ObjectMissing | CouldNotRead:
    if code == "NoSuchKey":
        return ObjectMissing(text)
    if code in _WRONG_REGION:
        return CouldNotRead(f"the bucket is not in the region {region}{': ' * bool(message)}{message}")
    return CouldNotRead(text)
