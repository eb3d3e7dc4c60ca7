"""The bytes of one object in a local directory.

    line 1   OPENTRAIL-OBJECT 1
    line 2   one JSON object: bucket, key, metadata, content_type, content_encoding, encryption
    rest     the body; encrypted: AES-256-GCM ciphertext and tag, associated data = lines 1 and 2 as stored

`encryption` is null, or an object with `algorithm` ("AES-256-GCM"), `key_id` (as asked for by the put, or null),
`wrapped_key` and `nonce` (base64), and `context`: what the data key was wrapped with. See docs/object-store.md.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from opentrail_backends.key_management.port import KeyManagement
from opentrail_backends.object_store.port import PutOptions

_MAGIC = b"OPENTRAIL-OBJECT 1\n"
_MAX_HEADER = 64 * 1024
_NONCE_BYTES = 12
_TAG_BYTES = 16
_ALGORITHM = "AES-256-GCM"


class DamagedObject(Exception):
    """A file that is not what was put: no valid header, another object's, or it does not decrypt."""


@dataclass(frozen=True, slots=True)
class Encryption:
    """How the body is encrypted."""

    wrapped_key: bytes
    nonce: bytes
    context: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Header:
    """The first two lines, exactly (`raw`), and what they say."""

    raw: bytes
    bucket: str
    key: str
    metadata: Mapping[str, str]
    encryption: Encryption | None

    def body_size(self, file_size: int) -> int:
        """The plain body's length in bytes, for a file of this size."""
        return file_size - len(self.raw) - (_TAG_BYTES if self.encryption else 0)


def encode_object(
    bucket: str, key: str, body: bytes, options: PutOptions, keys: KeyManagement | None
) -> tuple[bytes, bytes]:
    """The object as (header, body as stored). Without key management it is not encrypted.

    Raises KeyManagementError.
    """
    if keys is None:
        return _encode_header(bucket, key, options, None), body
    context = {**options.encryption_context, "aws:s3:arn": f"arn:aws:s3:::{bucket}/{key}"}
    data_key = keys.generate_data_key(context)
    nonce = os.urandom(_NONCE_BYTES)
    encryption = {
        "algorithm": _ALGORITHM,
        "key_id": options.kms_key_id,
        "wrapped_key": base64.b64encode(data_key.wrapped).decode(),
        "nonce": base64.b64encode(nonce).decode(),
        "context": context,
    }
    header = _encode_header(bucket, key, options, encryption)
    return header, AESGCM(data_key.plaintext).encrypt(nonce, body, header)


def _encode_header(bucket: str, key: str, options: PutOptions, encryption: dict[str, Any] | None) -> bytes:
    fields = {
        "bucket": bucket,
        "key": key,
        "metadata": dict(options.metadata),
        "content_type": options.content_type,
        "content_encoding": options.content_encoding,
        "encryption": encryption,
    }
    return _MAGIC + json.dumps(fields).encode() + b"\n"


def read_header(file: BinaryIO) -> Header:
    """Reads the two lines and leaves the file at the body. Raises DamagedObject."""
    magic = file.readline(len(_MAGIC))
    if magic != _MAGIC:
        raise DamagedObject("its first line is not that of an object")
    line = file.readline(_MAX_HEADER)
    try:
        fields = json.loads(line)
        return Header(
            raw=magic + line,
            bucket=_text(fields["bucket"]),
            key=_text(fields["key"]),
            metadata=_texts(fields["metadata"]),
            encryption=_encryption(fields["encryption"]),
        )
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DamagedObject(f"its second line is no header of an object ({error!r})") from None


def _encryption(fields: Any) -> Encryption | None:
    if fields is None:
        return None
    if fields["algorithm"] != _ALGORITHM:
        raise ValueError("unknown algorithm")
    nonce = _bytes(fields["nonce"])
    if len(nonce) != _NONCE_BYTES:
        raise ValueError("the nonce is not 12 bytes long")
    return Encryption(_bytes(fields["wrapped_key"]), nonce, _texts(fields["context"]))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("not a string")
    return value


def _texts(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        raise TypeError("not an object")
    return {name: _text(text) for name, text in value.items()}


def _bytes(value: Any) -> bytes:
    try:
        return base64.b64decode(_text(value), validate=True)
    except binascii.Error as error:
        raise ValueError("not base64") from error


def decode_body(header: Header, stored: bytes, keys: KeyManagement | None) -> bytes:
    """The plain body. Raises DamagedObject; KeyManagementError where the key cannot be had."""
    if header.encryption is None:
        return stored
    if keys is None:
        raise DamagedObject("it is encrypted, and this store was opened without keys")
    data_key = keys.decrypt_data_key(header.encryption.wrapped_key, header.encryption.context)
    try:
        return AESGCM(data_key).decrypt(header.encryption.nonce, stored, header.raw)
    except (InvalidTag, ValueError):
        raise DamagedObject("its bytes do not decrypt: it was changed") from None
