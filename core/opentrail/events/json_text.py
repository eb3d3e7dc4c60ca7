"""What a record's text must be before its members count: JSON in UTF-8, not too deep, no key twice (RFC 8259 and 7493).

The fast checks are exact in what they accept; what they cannot accept goes the slow way, which is exact in both.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any, NoReturn

import msgspec

from opentrail.events.rejection import Rejected, RejectionCode

MAX_DEPTH = 100
"""Objects and arrays within each other, the record included. Our own limit: readers of log files must cope."""

_STRINGS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_ONE_KIND = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])


def check_encoding_and_depth(raw: bytes) -> None:
    """Strict UTF-8, no byte order mark, at most MAX_DEPTH levels. Raises Rejected.

    msgspec passes over strings that nobody asks for without reading their UTF-8, so all bytes are checked here.
    """
    if not raw.isascii():
        try:
            raw.decode()
        except UnicodeDecodeError as error:
            raise Rejected(
                RejectionCode.MALFORMED_JSON, f"The record is not valid UTF-8 (byte {error.start})."
            ) from None
    # Each level opens and closes with a bracket, so few brackets mean few levels.
    if len(raw.translate(None, _NO_BRACKETS)) > 2 * MAX_DEPTH and _is_too_deep(raw):
        raise Rejected(
            RejectionCode.NESTED_TOO_DEEP, f"The record has more than {MAX_DEPTH} objects and arrays within each other."
        )


def unique_members(raw: bytes) -> dict[str, msgspec.Raw]:
    """The members of the JSON object `raw`, which has been decoded once. Raises Rejected if a key comes twice.

    Objects inside are not looked into.
    """
    members = _members.decode(raw)
    if _is_compact(raw, members) or _is_spaced(raw, members):
        return members
    counts = Counter(key for key, _ in _pairs(raw.decode()))
    for key, count in counts.items():
        if count > 1:
            raise Rejected(RejectionCode.DUPLICATE_KEY, f"The key {key[:100]!r} comes twice in one object.")
    return members


def _is_compact(raw: bytes, members: dict[str, msgspec.Raw]) -> bool:
    """Whether `raw` is as long as its distinct keys and values with the signs between them.

    A repeated member, a space or an escape in a key would make it longer.
    """
    signs = 4 * len(members) + 1  # two quotes, a colon and a comma for each; two braces, and one comma less
    return len("".join(members)) + len(b"".join(members.values())) + signs == len(raw)


def _is_spaced(raw: bytes, members: dict[str, msgspec.Raw]) -> bool:
    """Whether `raw` is what Python's json module makes of the distinct members by default."""
    texts = [b'"%b": %b' % (key.encode(), value) for key, value in members.items()]
    return raw == b"{%b}" % b", ".join(texts)


def reject_unreadable(raw: bytes, error: Exception) -> NoReturn:
    """Raises Rejected with what is really wrong about a record on which the fast reader gave up with `error`."""
    try:
        record = _pairs(raw.decode())
        # A lone surrogate escape is no character: it could not be written in UTF-8 (RFC 8259, section 8.2).
        json.dumps(record, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        message = "The record has the escape of a lone surrogate, which stands for no character."
        raise Rejected(RejectionCode.MALFORMED_JSON, message) from None
    except (ValueError, RecursionError):
        raise _malformed(error) from None
    if not isinstance(error, msgspec.ValidationError):
        raise _malformed(error)
    if not isinstance(record, _Pairs):
        raise Rejected(RejectionCode.NOT_AN_OBJECT, "The record is not a JSON object.")
    unique_members(raw)
    if "`$.eventTime`" in str(error):
        raise Rejected(RejectionCode.INVALID_EVENT_TIME, "eventTime is not a string.")
    raise Rejected(RejectionCode.INVALID_FIELD, f"A field has the wrong type: {error}.")


def _malformed(error: Exception) -> Rejected:
    reason = str(error).removeprefix("JSON is malformed: ")
    return Rejected(RejectionCode.MALFORMED_JSON, f"The record is not valid JSON: {reason}.")


class _Pairs(list[Any]):
    """The members of a JSON object, repeated ones too."""


def _pairs(text: str) -> Any:
    """The JSON value with objects as `_Pairs` and numbers as text. Raises ValueError and RecursionError."""
    return json.loads(text, object_pairs_hook=_Pairs, parse_int=str, parse_float=str, parse_constant=_refuse_constant)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _is_too_deep(raw: bytes) -> bool:
    """Whether brackets outside of strings are nested deeper than MAX_DEPTH. Unbalanced ones are left to the decoder."""
    brackets = _STRINGS.sub(b"", raw).translate(_ONE_KIND, _NO_BRACKETS)
    for _ in range(MAX_DEPTH):
        outer = brackets.replace(b"[]", b"")  # takes away the innermost level
        if not outer or len(outer) == len(brackets):
            return False
        brackets = outer
    return True
