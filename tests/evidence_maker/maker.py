"""Makes signed evidence as CloudTrail delivers it, straight from the documented formats.

It shares no code with the project: what both agree on is agreed on twice.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

ACCOUNT = "111122223333"
START = datetime(2026, 3, 1, 10, 7, 31, tzinfo=UTC)
HOUR = 3600

Place = tuple[str, str]
"""Bucket and key."""


@dataclass(frozen=True)
class MadeObject:
    body: bytes
    metadata: dict[str, str]


@cache
def private_key(number: int) -> rsa.RSAPrivateKey:
    """A key pair; another number gives another pair."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def public_der(key: rsa.RSAPrivateKey) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.PKCS1)


def listed_key(key: rsa.RSAPrivateKey, der: bytes | None = None) -> dict[str, Any]:
    """An entry of ListPublicKeys; `der` puts other bytes under the key's fingerprint."""
    return {
        "Fingerprint": hashlib.md5(public_der(key)).hexdigest(),
        "Value": base64.b64encode(der or public_der(key)).decode(),
        "ValidityStartTime": int(START.timestamp()) - 30 * 86400,
        "ValidityEndTime": int(START.timestamp()) + 30 * 86400,
    }


def stamp(seconds: int, form: str) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime(form)


def iso(seconds: int) -> str:
    return stamp(seconds, "%Y-%m-%dT%H:%M:%SZ")


def sign(message: bytes, number: int) -> str:
    return private_key(number).sign(message, padding.PKCS1v15(), hashes.SHA256()).hex()


@dataclass
class Chain:
    """Adds digests and log files to `objects`, each digest linked to the last."""

    objects: dict[Place, MadeObject] = field(default_factory=dict)
    bucket: str = "trail-logs"
    prefix: str = ""
    organization: str = ""
    account: str = ACCOUNT
    region: str = "eu-west-1"
    trail: str = "audit"
    home: str = "eu-west-1"
    now: int = int(START.timestamp())
    key_number: int = 0
    backfill: bool = False
    digests: list[Place] = field(default_factory=list)
    logs: list[Place] = field(default_factory=list)
    previous: dict[str, str] | None = None

    @property
    def arn(self) -> str:
        return f"arn:aws:cloudtrail:{self.home}:{ACCOUNT}:trail/{self.trail}"

    def hours(self, count: int, logs: int = 2) -> Chain:
        for _ in range(count):
            self.hour(logs)
        return self

    def hour(self, logs: int = 2, **changes: Any) -> Place:
        """One more digest with this many log files; `changes` replaces fields before it is signed."""
        start, self.now = self.now, self.now + HOUR
        files = [self._log_file(start + 300 * n, n) for n in range(logs)]
        digest = self._digest(start, self.now, files) | changes
        return self.put_digest(digest)

    def put_digest(self, digest: dict[str, Any]) -> Place:
        """Signs a digest and puts it where it says; the next one links to it."""
        data = json.dumps(digest).encode()
        place = (digest["digestS3Bucket"], digest["digestS3Object"])
        digest_hash = hashlib.sha256(data).hexdigest()
        lines = [digest["digestEndTime"], "/".join(place), digest_hash, digest["previousDigestSignature"] or "null"]
        signature = sign("\n".join(lines).encode(), self.key_number)
        metadata = {"signature": signature, "signature-algorithm": "SHA256withRSA"}
        if self.backfill:
            metadata["backfill-generation-timestamp"] = stamp(self.now + 86400, "%Y-%m-%dT%H:%M:%S.000Z")
        self.objects[place] = MadeObject(gzip.compress(data, mtime=0), metadata)
        self.previous = {
            "previousDigestS3Bucket": place[0],
            "previousDigestS3Object": place[1],
            "previousDigestHashValue": digest_hash,
            "previousDigestHashAlgorithm": "SHA-256",
            "previousDigestSignature": signature,
        }
        self.digests.append(place)
        return place

    def restart(self, pause: int = 5 * HOUR) -> Chain:
        """Logging was off for a while: the next digest is a starting one."""
        self.now += pause
        self.previous = None
        return self

    def _folder(self, kind: str, seconds: int) -> str:
        parts = [self.prefix, "AWSLogs", self.organization, self.account, kind, self.region, stamp(seconds, "%Y/%m/%d")]
        return "/".join(part for part in parts if part)

    def _log_file(self, delivered: int, number: int) -> dict[str, Any]:
        times = [delivered - 200, delivered - 100]
        records = [
            {
                "eventVersion": "1.11",
                "eventTime": iso(time),
                "eventID": f"{delivered}-{number}-{time}",
                "eventName": "Get",
            }
            for time in times
        ]
        data = json.dumps({"Records": records}).encode()
        unique = base64.b32encode(hashlib.sha256(data).digest())[:16].decode()
        name = f"{self.account}_CloudTrail_{self.region}_{stamp(delivered, '%Y%m%dT%H%MZ')}_{unique}.json.gz"
        place = (self.bucket, f"{self._folder('CloudTrail', delivered)}/{name}")
        self.objects[place] = MadeObject(gzip.compress(data, mtime=0), {})
        self.logs.append(place)
        return {
            "s3Bucket": place[0],
            "s3Object": place[1],
            "hashValue": hashlib.sha256(data).hexdigest(),
            "hashAlgorithm": "SHA-256",
            "newestEventTime": iso(times[1]),
            "oldestEventTime": iso(times[0]),
        }

    def _digest(self, start: int, end: int, files: list[dict[str, Any]]) -> dict[str, Any]:
        kind = "CloudTrail-Digest"
        ending = f"{stamp(end, '%Y%m%dT%H%M%SZ')}{'_backfill' if self.backfill else ''}.json.gz"
        name = f"{self.account}_{kind}_{self.region}_{self.trail}_{self.home}_{ending}"
        nothing = dict.fromkeys(
            (
                "previousDigestS3Bucket",
                "previousDigestS3Object",
                "previousDigestHashValue",
                "previousDigestHashAlgorithm",
                "previousDigestSignature",
            )
        )
        return {
            "awsAccountId": self.account,
            "digestStartTime": iso(start),
            "digestEndTime": iso(end),
            "digestS3Bucket": self.bucket,
            "digestS3Object": f"{self._folder(kind, end)}/{name}",
            "digestPublicKeyFingerprint": hashlib.md5(public_der(private_key(self.key_number))).hexdigest(),
            "digestSignatureAlgorithm": "SHA256withRSA",
            "newestEventTime": max((file["newestEventTime"] for file in files), default=None),
            "oldestEventTime": min((file["oldestEventTime"] for file in files), default=None),
            **(self.previous or nothing),
            "logFiles": files,
        }


def flip(objects: dict[Place, MadeObject], place: Place, position: int, mask: int = 1) -> None:
    """Changes one byte of an object's stored bytes."""
    body = bytearray(objects[place].body)
    body[position] ^= mask
    objects[place] = MadeObject(bytes(body), objects[place].metadata)


def change_content(objects: dict[Place, MadeObject], place: Place, old: bytes, new: bytes) -> None:
    """Changes the uncompressed bytes of an object, and compresses them again."""
    data = gzip.decompress(objects[place].body)
    assert old in data
    objects[place] = MadeObject(gzip.compress(data.replace(old, new, 1), mtime=0), objects[place].metadata)
