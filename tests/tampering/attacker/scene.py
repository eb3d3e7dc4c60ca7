"""The scene of a crime: a bucket's objects in memory, whose chains they are, and what the attacker got hold of."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

CLOCKS = 900
"""Seconds by which the clocks of a store and of a writer may differ: so long after a chain's start nothing is said."""


@dataclass(frozen=True)
class Stored:
    """An object: its bytes, its metadata, and when its store says that it was put (epoch seconds)."""

    body: bytes
    metadata: dict[str, str]
    modified: float


@dataclass(frozen=True)
class Chain:
    """A chain of digests as anybody sees it who lists the bucket. Digests are numbered from 1, the oldest."""

    name: str
    trail: str
    owner: str
    account: str
    region: str
    home: str
    digests: tuple[str, ...]
    """Keys, oldest first."""
    start: int
    end: int

    @property
    def arn(self) -> str:
        return f"arn:aws:cloudtrail:{self.home}:{self.owner}:trail/{self.trail}"

    @property
    def folder(self) -> str:
        """Of its digests."""
        return f"AWSLogs/{self.account}/CloudTrail-Digest/{self.region}/"

    def digest_key(self, end: int, ending: str = ".json.gz") -> str:
        """The key of a digest of this chain that ends then."""
        name = f"{self.account}_CloudTrail-Digest_{self.region}_{self.trail}_{self.home}"
        return f"{self.folder}{stamp(end, '%Y/%m/%d')}/{name}_{stamp(end, '%Y%m%dT%H%M%SZ')}{ending}"

    def log_key(self, seconds: int, unique: str, kind: str = "CloudTrail") -> str:
        """The key of a log file of this chain's account and region."""
        name = f"{self.account}_{kind}_{self.region}_{stamp(seconds, '%Y%m%dT%H%MZ')}_{unique}.json.gz"
        return f"AWSLogs/{self.account}/{kind}/{self.region}/{stamp(seconds, '%Y/%m/%d')}/{name}"


@dataclass
class Scene:
    """What an attacker sees and changes. `main` is the chain that is mostly attacked; the others lie beside it."""

    bucket: str
    objects: dict[str, Stored]
    main: Chain
    region: Chain
    """The same trail in another region."""
    trail: Chain
    """Another trail in the same account and region: its files lie among the main chain's."""
    account: Chain
    """A trail of another account, of the same name."""
    keys: dict[str, list[dict[str, Any]]]
    """What ListPublicKeys answers, by region."""
    heads: list[bytes]
    """The signed heads that somebody keeps in a second place, of all chains."""
    stolen: dict[str, rsa.RSAPrivateKey] = field(repr=False)
    """Private keys by fingerprint: only for those who stole them."""
    state: bytes = b""
    """The state file that an auditor's run kept before anything was touched."""

    @property
    def chains(self) -> tuple[Chain, ...]:
        return self.main, self.region, self.trail, self.account

    def copy(self) -> Scene:
        """Another scene to tamper with: objects are never changed in place."""
        keys = {region: [dict(key) for key in keys] for region, keys in self.keys.items()}
        return replace(self, objects=dict(self.objects), keys=keys, heads=list(self.heads))

    # --- reading ----------------------------------------------------------------------------------

    def content(self, key: str) -> bytes:
        """The uncompressed bytes of an object."""
        return gzip.decompress(self.objects[key].body)

    def document(self, key: str) -> dict[str, Any]:
        """The JSON in an object."""
        document: dict[str, Any] = json.loads(self.content(key))
        return document

    def log(self, digest: int, number: int = 1, chain: Chain | None = None) -> str:
        """The key of a log file that a digest lists; both are numbered from 1."""
        entries = self.document((chain or self.main).digests[digest - 1])["logFiles"]
        key: str = entries[number - 1]["s3Object"]
        return key

    def between(self, digest: int) -> float:
        """A moment in the window of a digest of the main chain: when the attacker came, and the chain went on."""
        document = self.document(self.main.digests[digest - 1])
        return (seconds(document["digestStartTime"]) + seconds(document["digestEndTime"])) / 2

    def unaccounted(self, *digests: str) -> set[str]:
        """Log files of the main chain that nobody accounts for once these digests of it are gone, as seen from the
        other trail, whose files lie in the same folder: those that lay there before its last digest began.
        """
        since = self.trail.start + CLOCKS
        until = seconds(self.document(self.trail.digests[-1])["digestStartTime"])
        named = {entry["s3Object"] for digest in digests for entry in self.document(digest)["logFiles"]}
        return {key for key in named if since <= self.objects[key].modified < until}

    # --- writing ----------------------------------------------------------------------------------

    def put(self, key: str, body: bytes, metadata: dict[str, str] | None = None, modified: float | None = None) -> None:
        """Puts an object; what was not there before is as old as the main chain's third digest."""
        before = self.objects.get(key)
        known = metadata if metadata is not None else before.metadata if before else {}
        at = modified if modified is not None else before.modified if before else self.between(3)
        self.objects[key] = Stored(body, dict(known), at)

    def pack(self, key: str, content: bytes) -> None:
        """Puts other content, compressed, into an object."""
        self.put(key, gzip.compress(content, mtime=0))

    def swap(self, one: str, other: str) -> None:
        """Each gets the other's bytes and metadata."""
        self.objects[one], self.objects[other] = self.objects[other], self.objects[one]

    def move(self, key: str, to: str) -> None:
        """To another name."""
        self.put(to, self.objects[key].body, self.objects.pop(key).metadata)

    def remove(self, *keys: str) -> None:
        for key in keys:
            del self.objects[key]

    def set_metadata(self, key: str, **metadata: str) -> None:
        """Changes metadata; `_` stands for `-` in names."""
        changed = {name.replace("_", "-"): text for name, text in metadata.items()}
        self.put(key, self.objects[key].body, self.objects[key].metadata | changed)

    # --- with a stolen signing key ------------------------------------------------------------------

    def sign(self, key: str, document: dict[str, Any], fingerprint: str | None = None) -> str:
        """Puts a digest with a signature that fits, by the key that it names or another; returns the signature."""
        document["digestPublicKeyFingerprint"] = fingerprint or document["digestPublicKeyFingerprint"]
        content = json.dumps(document, separators=(",", ":")).encode()
        private_key = self.stolen[document["digestPublicKeyFingerprint"]]
        signature = private_key.sign(self.message(content), padding.PKCS1v15(), hashes.SHA256()).hex()
        self.put(
            key,
            gzip.compress(content, mtime=0),
            {"signature": signature, "signature-algorithm": "SHA256withRSA"},
        )
        return signature

    def message(self, content: bytes) -> bytes:
        """What the signature of a digest with this content is over."""
        document = json.loads(content)
        place = f"{document['digestS3Bucket']}/{document['digestS3Object']}"
        before = document["previousDigestSignature"] or "null"
        return "\n".join([document["digestEndTime"], place, hashlib.sha256(content).hexdigest(), before]).encode()

    def forge(self, number: int, change: Callable[[dict[str, Any]], None]) -> None:
        """Changes a digest of the main chain, and signs it and all after it anew, so that links and signatures fit."""
        document = self.document(self.main.digests[number - 1])
        change(document)
        self.sign(self.main.digests[number - 1], document)
        self.relink(number + 1)

    def relink(self, number: int) -> None:
        """Signs the main chain anew from a digest on, on the digest before it as it lies there now."""
        for before, key in zip(self.main.digests[number - 2 :], self.main.digests[number - 1 :], strict=False):
            document = self.document(key)
            document["previousDigestHashValue"] = hashlib.sha256(self.content(before)).hexdigest()
            document["previousDigestSignature"] = self.objects[before].metadata["signature"]
            self.sign(key, document)


def chain_in(objects: Mapping[str, Stored], name: str, trail: str, owner: str, account: str, region: str) -> Chain:
    """The chain of a trail in an account and region, as the bucket's list shows it."""
    folder = f"AWSLogs/{account}/CloudTrail-Digest/{region}/"
    found = sorted(key for key in objects if key.startswith(folder) and f"_CloudTrail-Digest_{region}_{trail}_" in key)
    first, last = (json.loads(gzip.decompress(objects[key].body)) for key in (found[0], found[-1]))
    home = found[0].split("_")[-2]
    start, end = seconds(first["digestStartTime"]), seconds(last["digestEndTime"])
    return Chain(name, trail, owner, account, region, home, tuple(found), start, end)


def stamp(moment: float, form: str) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime(form)


def iso(moment: float) -> str:
    """A time as digests have it."""
    return stamp(moment, "%Y-%m-%dT%H:%M:%SZ")


def seconds(text: str) -> int:
    """Epoch seconds of a time in a digest."""
    return int(datetime.fromisoformat(text).timestamp())


def listed(private_key: rsa.RSAPrivateKey, der: bytes, like: dict[str, Any]) -> dict[str, Any]:
    """An entry of ListPublicKeys for a key of one's own, valid as long as another."""
    return like | {"Fingerprint": hashlib.md5(der).hexdigest(), "Value": base64.b64encode(der).decode()}
