"""Public keys that the auditor pinned in a file, instead of asking the API for them."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from opentrail.evidence.times import utc
from opentrail_validator.readers.port import PublicKey, ReaderUnavailable


class PinnedKeys:
    """The keys of a file, whatever the time that is asked for: the auditor vouches for them."""

    def __init__(self, keys: Mapping[str, PublicKey], origin: str = "pinned") -> None:
        self._keys = dict(keys)
        self._origin = origin

    def between(self, start: int, end: int) -> Mapping[str, PublicKey]:  # noqa: ARG002 - the port's signature
        """All keys, by fingerprint."""
        return self._keys

    def origin(self) -> str:
        """Where they come from, for the report."""
        return self._origin


def read_public_keys(file: Path) -> PinnedKeys:
    """Reads the answer of ListPublicKeys, or its list alone: objects with `Fingerprint` and `Value` (base64).

    `ValidityStartTime` and `ValidityEndTime`, where they are given, are epoch seconds or ISO 8601, as the AWS CLI's two
    ways of writing times have it. Raises ReaderUnavailable with a message for the user.
    """
    try:
        document: Any = json.loads(file.read_bytes())
        entries = document["PublicKeyList"] if isinstance(document, dict) else document
        keys = {str(entry["Fingerprint"]): _public_key(entry) for entry in entries}
    except OSError as error:
        raise ReaderUnavailable(f"The public keys in {file} could not be read: {error.strerror}") from None
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        raise ReaderUnavailable(f"{file} is not a list of public keys as ListPublicKeys gives it") from None
    return PinnedKeys(keys, f"pinned in {file}")


def _public_key(entry: Mapping[str, Any]) -> PublicKey:
    return PublicKey(
        base64.b64decode(entry["Value"], validate=True),
        _moment(entry.get("ValidityStartTime")),
        _moment(entry.get("ValidityEndTime")),
    )


def _moment(value: Any) -> int | None:
    """Epoch seconds. A time without a zone is UTC. Raises ValueError, TypeError, OverflowError."""
    if value is None:
        return None
    if not isinstance(value, str):
        return int(utc(int(value)).timestamp())  # Only what can be told as a time is one.
    moment = datetime.fromisoformat(value)
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
