"""Puts a tampered scene where the evidence really lies, and puts everything back: an S3 server, a local directory."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests.tampering.attacker.scene import Stored

MAGIC = b"OPENTRAIL-OBJECT 1\n"
NONCE = 12
Objects = Mapping[str, Stored]


class S3Place:
    """A bucket of MinIO. It takes the time of an object from a header, as whoever owns its disks could set it."""

    def __init__(self, client: Any, bucket: str) -> None:
        self.client = client
        self.bucket = bucket

    def objects(self) -> dict[str, Stored]:
        """Everything that lies there."""
        found = {}
        for page in self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket):
            for listed in page.get("Contents", ()):
                got = self.client.get_object(Bucket=self.bucket, Key=listed["Key"])
                stored = Stored(got["Body"].read(), got["Metadata"], listed["LastModified"].timestamp())
                found[listed["Key"]] = stored
        return found

    def change(self, before: Objects, after: Objects) -> None:
        """Makes what lies there as `before` into `after`."""
        for key in before.keys() - after.keys():
            self.client.delete_object(Bucket=self.bucket, Key=key)
        for key, stored in after.items():
            if before.get(key) != stored:
                self._put(key, stored)

    def _put(self, key: str, stored: Stored) -> None:
        modified = datetime.fromtimestamp(stored.modified, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

        def set_time(params: dict[str, Any], **_: Any) -> None:
            params["headers"]["X-Minio-Source-Mtime"] = modified

        self.client.meta.events.register("before-call.s3.PutObject", set_time)
        try:
            self.client.put_object(
                Bucket=self.bucket,
                Key=key,
                Body=stored.body,
                Metadata=stored.metadata,
                ContentType="application/json",
                ContentEncoding="gzip",
            )
        finally:
            self.client.meta.events.unregister("before-call.s3.PutObject", set_time)


class LocalPlace:
    """A bucket in a local directory: envelopes, each encrypted under a key that is wrapped under the storage key.

    Whoever writes other content needs the storage key, so it counts as stolen here.
    """

    def __init__(self, root: Path, bucket: str, storage_key: bytes) -> None:
        self.root = root
        self.bucket = bucket
        self._storage_key = AESGCM(storage_key)

    def path(self, key: str) -> Path:
        return self.root / self.bucket / key

    def objects(self) -> dict[str, Stored]:
        """Everything that lies there, opened."""
        top = self.root / self.bucket
        files = {path.relative_to(top).as_posix(): path for path in sorted(top.rglob("*")) if path.is_file()}
        return {key: self._open(path) for key, path in files.items()}

    def change(self, before: Objects, after: Objects) -> None:
        """Makes what lies there as `before` into `after`."""
        for key in before.keys() - after.keys():
            self.path(key).unlink()
        for key, stored in after.items():
            if before.get(key) != stored:
                self.write(key, self.seal(key, stored), stored.modified)

    def restore_files(self, objects: Objects, files: Mapping[str, bytes]) -> None:
        """Makes the files what they were, whatever lies there now."""
        top = self.root / self.bucket
        for path in sorted(top.rglob("*"), reverse=True):
            key = path.relative_to(top).as_posix()
            if key in files and (path.is_symlink() or not path.is_file()):
                path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
            elif key not in files and not path.is_dir():
                path.unlink()
        for key, data in files.items():
            if not self.path(key).exists() or self.path(key).read_bytes() != data:
                self.write(key, data, objects[key].modified)

    def files(self) -> dict[str, bytes]:
        """All files, as they are."""
        top = self.root / self.bucket
        return {path.relative_to(top).as_posix(): path.read_bytes() for path in top.rglob("*") if path.is_file()}

    def change_file(self, key: str, change: Callable[[bytes], bytes]) -> None:
        """Changes the bytes of a file as they are."""
        path = self.path(key)
        self.write(key, change(path.read_bytes()), path.stat().st_mtime)

    def write(self, key: str, data: bytes, modified: float) -> None:
        """A file of these bytes; it is replaced, as none can be written to."""
        path = self.path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_bytes(data)
        os.utime(path, (modified, modified))

    def seal(self, key: str, stored: Stored) -> bytes:
        """An envelope that opens with the storage key."""
        data_key, nonce, wrapping_nonce = os.urandom(32), os.urandom(NONCE), os.urandom(NONCE)
        context = {"aws:s3:arn": f"arn:aws:s3:::{self.bucket}/{key}"}
        wrapped = wrapping_nonce + self._storage_key.encrypt(wrapping_nonce, data_key, _canonical(context))
        encryption = {
            "algorithm": "AES-256-GCM",
            "key_id": None,
            "wrapped_key": base64.b64encode(wrapped).decode(),
            "nonce": base64.b64encode(nonce).decode(),
            "context": context,
        }
        header = envelope_header(self.bucket, key, stored.metadata, encryption)
        return header + AESGCM(data_key).encrypt(nonce, stored.body, header)

    def _open(self, path: Path) -> Stored:
        header, body = split_envelope(path.read_bytes())
        fields = json.loads(header[len(MAGIC) :])
        wrapped = base64.b64decode(fields["encryption"]["wrapped_key"])
        context = _canonical(fields["encryption"]["context"])
        data_key = self._storage_key.decrypt(wrapped[:NONCE], wrapped[NONCE:], context)
        nonce = base64.b64decode(fields["encryption"]["nonce"])
        return Stored(AESGCM(data_key).decrypt(nonce, body, header), fields["metadata"], path.stat().st_mtime)


def envelope_header(bucket: str, key: str, metadata: dict[str, str], encryption: Any) -> bytes:
    """The two lines before an object's bytes."""
    fields = {
        "bucket": bucket,
        "key": key,
        "metadata": metadata,
        "content_type": "application/json",
        "content_encoding": "gzip",
        "encryption": encryption,
    }
    return MAGIC + json.dumps(fields).encode() + b"\n"


def split_envelope(data: bytes) -> tuple[bytes, bytes]:
    """The two lines, and the rest."""
    end = data.index(b"\n", len(MAGIC)) + 1
    return data[:end], data[end:]


def _canonical(context: dict[str, str]) -> bytes:
    return json.dumps(context, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
