"""Lays made objects where a validator finds them: a plain directory, a kept one (encrypted or not), an S3 server."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests.evidence_maker.maker import MadeObject, Place


def lay_plain(objects: Mapping[Place, MadeObject], root: Path, *, with_metadata: bool = True) -> None:
    """Files as `aws s3 sync` leaves them, with what it loses in a file beside each."""
    for (bucket, key), made in objects.items():
        file = root / bucket / key
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(made.body)
        if with_metadata:
            file.with_name(file.name + ".metadata.json").write_text(json.dumps(made.metadata))


def lay_kept(objects: Mapping[Place, MadeObject], root: Path, storage_key: bytes | None = None) -> None:
    """Files as the project's local object store keeps them."""
    for (bucket, key), made in objects.items():
        file = root / bucket / key
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(kept(bucket, key, made, storage_key))


def kept(bucket: str, key: str, made: MadeObject, storage_key: bytes | None = None) -> bytes:
    header: dict[str, Any] = {
        "bucket": bucket,
        "key": key,
        "metadata": made.metadata,
        "content_type": "application/json",
        "content_encoding": "gzip",
        "encryption": None,
    }
    if storage_key is None:
        return _header(header) + made.body
    data_key, nonce, wrapping_nonce = os.urandom(32), os.urandom(12), os.urandom(12)
    named = {"aws:s3:arn": f"arn:aws:s3:::{bucket}/{key}"}
    context = json.dumps(named, separators=(",", ":"), ensure_ascii=False).encode()
    wrapped = wrapping_nonce + AESGCM(storage_key).encrypt(wrapping_nonce, data_key, context)
    header["encryption"] = {
        "algorithm": "AES-256-GCM",
        "key_id": "local",
        "wrapped_key": base64.b64encode(wrapped).decode(),
        "nonce": base64.b64encode(nonce).decode(),
    }
    return _header(header) + AESGCM(data_key).encrypt(nonce, made.body, _header(header))


def lay_in_s3(objects: Mapping[Place, MadeObject], client: Any) -> None:
    for (bucket, key), made in objects.items():
        client.put_object(
            Bucket=bucket,
            Key=key,
            Body=made.body,
            Metadata=made.metadata,
            ContentType="application/json",
            ContentEncoding="gzip",
        )


def _header(header: dict[str, Any]) -> bytes:
    return b"OPENTRAIL-OBJECT 1\n" + json.dumps(header).encode() + b"\n"
