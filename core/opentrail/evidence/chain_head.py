"""The signed head of a digest chain: which digest is its newest, and its number. Kept in a second place.

From the bucket alone nobody can tell that the newest digests, or all, were deleted. A head is a statement, signed with
the key that signed the digest, that the digest was published; whoever keeps it elsewhere can ask for that digest later.
It is one JSON object; `signature` is over `message()`: a first line that no digest's string to sign has, and all
other fields in canonical form, unknown ones too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from opentrail.evidence.object_keys import DIGEST_FOLDER, DigestKey
from opentrail.evidence.times import MalformedTime, format_time, parse_time

HEAD_FOLDER: Final = "OpenTrail-Head"
HEAD_VERSION: Final = 1
_FIRST_LINE: Final = b"OpenTrail chain head 1\n"
_HASH: Final = re.compile(r"[0-9a-f]{64}")
_HEX: Final = re.compile(r"(?:[0-9a-fA-F]{2})+")
_TEXTS: Final = {
    "trail_arn": "trailARN",
    "account_id": "awsAccountId",
    "region": "region",
    "chain_id": "chainId",
    "digest_bucket": "digestS3Bucket",
    "digest_key": "digestS3Object",
    "digest_hash": "digestHashValue",
    "digest_signature": "digestSignature",
    "fingerprint": "publicKeyFingerprint",
}
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_MOST_BRACKETS: Final = 64
"""A head has one. Nested deeper, what could just be read could not be written again to verify its signature."""
_TIMES: Final = {"start": "digestStartTime", "end": "digestEndTime", "signed_at": "headTime"}


class MalformedHead(ValueError):
    """The bytes are no chain head of a version that is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainHead:
    """The newest published digest of a chain. Times are seconds since the epoch."""

    trail_arn: str
    account_id: str
    region: str
    chain_id: str
    """Names the chain within the trail: one logging session of one account and region."""
    sequence: int
    """Of the digest within its chain: it rises, and leaves numbers out where a digest was withdrawn unpublished."""
    digest_bucket: str
    digest_key: str
    digest_hash: str
    """SHA-256 of the digest's uncompressed bytes, lower-case hex."""
    digest_signature: str
    start: int
    end: int
    ended: bool
    """Whether it is the chain's last digest: logging was switched off."""
    signed_at: int
    fingerprint: str
    """Of the public key that verifies the head, and the digest."""
    signature: str = ""
    """Hex over `message()`; empty before it is signed."""
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Unknown fields, kept as they are, and signed."""

    def message(self) -> bytes:
        """What is signed (RSA PKCS#1 v1.5 with SHA-256, as digests are)."""
        return _FIRST_LINE + _canonical(self._fields())

    def signed(self, signature: str) -> ChainHead:
        """The head with its signature (hex)."""
        return replace(self, signature=signature)

    def to_bytes(self) -> bytes:
        """The JSON object. The same head gives the same bytes."""
        return _canonical({**self._fields(), "signature": self.signature})

    def _fields(self) -> dict[str, Any]:
        texts = {name: getattr(self, attribute) for attribute, name in _TEXTS.items()}
        times = {name: format_time(getattr(self, attribute)) for attribute, name in _TIMES.items()}
        return {
            **self.extra,
            "headVersion": HEAD_VERSION,
            **texts,
            **times,
            "sequence": self.sequence,
            "chainEnded": self.ended,
        }


def parse_head(data: bytes) -> ChainHead:
    """Reads a head. Raises MalformedHead, whatever the bytes. Its signature is not verified here."""
    if data.count(b"[") + data.count(b"{") > _MOST_BRACKETS:
        raise MalformedHead("more values within values than a head has")
    try:
        document = json.loads(data.decode("utf-8"))
    except ValueError as error:
        raise MalformedHead(f"not JSON: {type(error).__name__}") from None
    if not isinstance(document, dict):
        raise MalformedHead("not a JSON object")
    left = dict(document)
    version = left.pop("headVersion", None)
    if type(version) is not int or version != HEAD_VERSION:
        raise MalformedHead(f"not a chain head of version {HEAD_VERSION}")
    texts: dict[str, Any] = {attribute: _text(left, name) for attribute, name in _TEXTS.items()}
    times: dict[str, Any] = {attribute: _time(left, name) for attribute, name in _TIMES.items()}
    signature, sequence, ended = _text(left, "signature"), left.pop("sequence", None), left.pop("chainEnded", None)
    if type(sequence) is not int or sequence < 0 or type(ended) is not bool:
        raise MalformedHead("sequence is no number, or chainEnded is neither true nor false")
    if not _HASH.fullmatch(texts["digest_hash"]) or not all(
        _HEX.fullmatch(text) for text in (signature, texts["digest_signature"])
    ):
        raise MalformedHead("a hash or signature is not hex")
    return ChainHead(**texts, **times, sequence=sequence, ended=ended, signature=signature, extra=left)


def head_key(digest: DigestKey) -> str:
    """Where a digest's head lies in a bucket of heads: the digest's key with another folder, uncompressed."""
    key = str(digest)
    folder, _, name = key.rpartition(f"/{DIGEST_FOLDER}/")
    return f"{folder}/{HEAD_FOLDER}/" + name.replace(f"_{DIGEST_FOLDER}_", f"_{HEAD_FOLDER}_", 1).removesuffix(".gz")


def _canonical(fields: Mapping[str, Any]) -> bytes:
    return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()


def _text(left: dict[str, Any], name: str) -> str:
    value = left.pop(name, None)
    if not isinstance(value, str) or _SURROGATE.search(value):
        raise MalformedHead(f"{name} is not a text")
    return value


def _time(left: dict[str, Any], name: str) -> int:
    try:
        return parse_time(_text(left, name))
    except MalformedTime as error:
        raise MalformedHead(f"{name}: {error}") from None
