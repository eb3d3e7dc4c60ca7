"""The file that proves one event: what is in it, and its form, a JSON object (docs/event-proofs.md).

It holds one record's bytes, its way up the Merkle tree over the records of its log file, and the signed digest that
has the tree's root. Here is only its form; `proof` says whether it proves anything.
"""

# ruff: noqa: N815 - members are spelled as in the record

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from opentrail.evidence.records_tree import HASH_BYTES
from opentrail.evidence.signature import fingerprint
from opentrail_validator.readers.port import Place, PublicKey

PROOF_VERSION: Final = 1
MAX_PROOF_BYTES: Final = 1 << 27
"""Room for the digest of an hour with half a million log files. A common proof has a few kilobytes."""
_MOST_RECORDS: Final = 1 << 63
_MOST_STEPS: Final = 64
_MOST_SECONDS: Final = 1 << 40
_HASH: Final = re.compile(rf"[0-9a-f]{{{2 * HASH_BYTES}}}")
_HEX: Final = re.compile(r"(?:[0-9a-f]{2})+")
_PLACE: Final = ("s3Bucket", "s3Object")
_KEY: Final = ("Fingerprint", "Value", "ValidityStartTime", "ValidityEndTime")


class MalformedProof(ValueError):
    """The bytes are no proof of an event."""


class OtherProofVersion(MalformedProof):
    """It says that it is a proof, of a version that is not known here."""


class Event(msgspec.Struct, frozen=True):
    """What a record says of itself, as far as a proof shows it. Values of any type: nobody has checked them."""

    eventID: Any = None
    eventTime: Any = None
    eventSource: Any = None
    eventName: Any = None
    awsRegion: Any = None
    recipientAccountId: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What a proof file holds."""

    record: bytes
    """Exactly as it stands in the uncompressed log file."""
    log_file: Place
    index: int
    """Of the record in the log file, from 0."""
    count: int
    """Of the log file's records."""
    path: tuple[bytes, ...]
    """The hashes beside the way from the record to the root, lowest first (RFC 9162 §2.1.3.1)."""
    digest_file: bytes
    """The digest as it lies in its bucket: one gzip member. The signature is over what it inflates to."""
    signature: str
    """The digest's, lower-case hex."""
    public_key: PublicKey
    """The one that the digest names, as the maker of the proof knew it: information, and no reason to believe it."""

    def to_bytes(self) -> bytes:
        """The file. The same proof gives the same bytes, all of them ASCII."""
        key = self.public_key
        validity = (key.valid_from, key.valid_until)
        fields = {
            "proofVersion": PROOF_VERSION,
            "record": self.record.decode("utf-8"),
            "recordIndex": self.index,
            "recordCount": self.count,
            "merklePath": [step.hex() for step in self.path],
            "logFile": dict(zip(_PLACE, self.log_file, strict=True)),
            "digest": _base64(self.digest_file),
            "digestSignature": self.signature,
            "publicKey": dict(zip(_KEY, (fingerprint(key.der), _base64(key.der), *validity), strict=True)),
        }
        return json.dumps(fields, indent=2).encode() + b"\n"


def parse_proof(data: bytes) -> Proof:
    """Reads a proof file. Raises MalformedProof (OtherProofVersion is one), whatever the bytes.

    A proof of version 1 has exactly the fields of version 1, each once and in its one spelling: nothing in it is
    passed over. White space between them is free.
    """
    if len(data) > MAX_PROOF_BYTES:
        raise MalformedProof(f"more than {MAX_PROOF_BYTES} bytes")
    try:
        document = json.loads(data.decode("utf-8"), object_pairs_hook=_object, parse_constant=_refuse)
    except MalformedProof:
        raise
    except (ValueError, RecursionError) as error:
        raise MalformedProof(f"not JSON: {type(error).__name__}") from None
    fields = _Fields(document, "the file")
    version = fields.number("proofVersion", _MOST_RECORDS)
    if version != PROOF_VERSION:
        raise OtherProofVersion(f"a proof of version {version}; this program knows version {PROOF_VERSION}")
    record = fields.text("record").encode()
    read_event(record)
    proof = Proof(
        record=record,
        index=fields.number("recordIndex", _MOST_RECORDS),
        count=fields.number("recordCount", _MOST_RECORDS),
        path=_path(fields.take("merklePath")),
        log_file=_place(_Fields(fields.take("logFile"), "logFile")),
        digest_file=fields.base64("digest"),
        signature=fields.text("digestSignature", _HEX),
        public_key=_public_key(_Fields(fields.take("publicKey"), "publicKey")),
    )
    fields.end()
    return proof


def read_event(record: bytes) -> Event:
    """What a record says of itself. Raises MalformedProof if it is no JSON object in UTF-8."""
    try:
        record.decode("utf-8")
        return _EVENT.decode(record)
    except (ValueError, RecursionError) as error:
        raise MalformedProof(f"the record is not a JSON object: {error}") from None


_EVENT: Final = msgspec.json.Decoder(Event)


def _path(value: Any) -> tuple[bytes, ...]:
    if not isinstance(value, list) or len(value) > _MOST_STEPS:
        raise MalformedProof(f"merklePath is not a list of at most {_MOST_STEPS} hashes")
    if not all(isinstance(step, str) and _HASH.fullmatch(step) for step in value):
        raise MalformedProof("a step of merklePath is not a hash in lower-case hex")
    return tuple(bytes.fromhex(step) for step in value)


def _place(fields: _Fields) -> Place:
    place = Place(*map(fields.text, _PLACE))
    fields.end()
    return place


def _public_key(fields: _Fields) -> PublicKey:
    named, value, start, end = _KEY
    name, der = fields.text(named), fields.base64(value)
    if name != fingerprint(der):
        raise MalformedProof("publicKey: the Fingerprint is not that of the Value")
    key = PublicKey(der, fields.moment(start), fields.moment(end))
    fields.end()
    return key


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise MalformedProof("a field is there twice")
    return fields


def _refuse(name: str) -> Any:
    raise MalformedProof(f"{name} is not JSON")


class _Fields:
    """Takes the fields of a JSON object one by one; none may be left over."""

    def __init__(self, value: Any, name: str) -> None:
        if not isinstance(value, dict):
            raise MalformedProof(f"{name} is not a JSON object")
        self._left: dict[str, Any] = value
        self._name = name

    def take(self, name: str) -> Any:
        if name not in self._left:
            raise MalformedProof(f"{name} is missing")
        return self._left.pop(name)

    def text(self, name: str, form: re.Pattern[str] | None = None) -> str:
        value = self.take(name)
        if not isinstance(value, str) or (form is not None and not form.fullmatch(value)):
            raise MalformedProof(f"{name} is not a text of the form that it must have")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise MalformedProof(f"{name} is not a text") from None
        return value

    def base64(self, name: str) -> bytes:
        text = self.text(name)
        try:
            data = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            data = b""
        # The last letter has bits that mean nothing: one spelling only.
        if not data or _base64(data) != text:
            raise MalformedProof(f"{name} is not base64")
        return data

    def number(self, name: str, below: int) -> int:
        value = self.take(name)
        if type(value) is not int or not 0 <= value < below:
            raise MalformedProof(f"{name} is not a number from 0 on")
        return value

    def moment(self, name: str) -> int | None:
        if self._left.get(name, 0) is not None:
            return self.number(name, _MOST_SECONDS)
        self.take(name)
        return None

    def end(self) -> None:
        if self._left:
            raise MalformedProof(f"{self._name} has fields that version {PROOF_VERSION} has not: {min(self._left)!r}")
