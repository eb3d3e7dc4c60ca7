"""Public keys that the auditor pinned in a file, instead of asking the API for them."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from opentrail_validator.readers.port import ReaderUnavailable


class PinnedKeys:
    """The keys of a file, whatever the time that is asked for: the auditor vouches for them."""

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        self._keys = dict(keys)

    def between(self, start: int, end: int) -> Mapping[str, bytes]:  # noqa: ARG002 - the port's signature
        """All keys: fingerprint to PKCS#1 DER."""
        return self._keys


def read_public_keys(file: Path) -> PinnedKeys:
    """Reads the answer of ListPublicKeys, or its list alone: objects with `Fingerprint` and `Value` (base64).

    Raises ReaderUnavailable with a message for the user.
    """
    try:
        document: Any = json.loads(file.read_bytes())
        entries = document["PublicKeyList"] if isinstance(document, dict) else document
        keys = {str(entry["Fingerprint"]): base64.b64decode(entry["Value"], validate=True) for entry in entries}
    except OSError as error:
        raise ReaderUnavailable(f"The public keys in {file} could not be read: {error.strerror}") from None
    except (ValueError, TypeError, KeyError, RecursionError, binascii.Error):
        raise ReaderUnavailable(f"{file} is not a list of public keys as ListPublicKeys gives it") from None
    return PinnedKeys(keys)
