"""Digests: changed and cut, without their signing keys: it takes no more than write access to the bucket."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json

from tests.tampering.attacker.kind import HARMLESS, Expected, Who, kind, lost
from tests.tampering.attacker.log_files import bomb
from tests.tampering.attacker.scene import Scene


@kind(Who.STORAGE)
def digest_byte_flipped(scene: Scene) -> Expected:
    """One bit of a digest's first byte."""
    key = scene.main.digests[3]
    body = bytearray(scene.objects[key].body)
    body[0] ^= 1
    scene.put(key, bytes(body))
    return lost("malformed", key, of=scene.main)


@kind(Who.STORAGE)
def log_changed_with_its_hash(scene: Scene) -> Expected:
    """A log file is changed, and so is its hash in the digest."""
    digest, log = scene.main.digests[3], scene.log(4)
    old = scene.content(log)
    new = old.replace(b'"eventName":"', b'"eventName":"X', 1)
    scene.pack(log, new)
    old_hash, new_hash = (hashlib.sha256(content).hexdigest().encode() for content in (old, new))
    scene.pack(digest, scene.content(digest).replace(old_hash, new_hash))
    return lost("bad-signature", digest, of=scene.main)


@kind(Who.STORAGE)
def digest_log_left_out(scene: Scene) -> Expected:
    """A log file and its line in the digest are removed."""
    digest, log = scene.main.digests[3], scene.log(4)
    document = scene.document(digest)
    document["logFiles"] = document["logFiles"][1:]
    scene.pack(digest, _json(document))
    scene.remove(log)
    return lost("bad-signature", digest, of=scene.main)


@kind(Who.STORAGE)
def digest_whitespace_changed(scene: Scene) -> Expected:
    """The same JSON with other spaces."""
    key = scene.main.digests[3]
    scene.pack(key, json.dumps(scene.document(key), indent=2).encode())
    return lost("bad-signature", key, of=scene.main)


@kind(Who.STORAGE)
def digest_key_twice(scene: Scene) -> Expected:
    """A second `logFiles`, empty, before the real one: some readers take the first."""
    key = scene.main.digests[3]
    scene.pack(key, scene.content(key).replace(b"{", b'{"logFiles":[],', 1))
    return lost("bad-signature", key, of=scene.main)


@kind(Who.STORAGE)
def digest_hash_in_capitals(scene: Scene) -> Expected:
    """The hash of a log file is the same, in upper case."""
    key = scene.main.digests[3]
    hash_value = scene.document(key)["logFiles"][0]["hashValue"].encode()
    scene.pack(key, scene.content(key).replace(hash_value, hash_value.upper()))
    return lost("bad-signature", key, of=scene.main)


@kind(Who.STORAGE)
def digest_of_unknown_algorithm(scene: Scene) -> Expected:
    """The digest says that it is signed by another algorithm."""
    key = scene.main.digests[3]
    scene.pack(key, scene.content(key).replace(b"SHA256withRSA", b"MD2withRSA"))
    return lost("bad-signature", key, of=scene.main)


@kind(Who.STORAGE)
def metadata_of_unknown_algorithm(scene: Scene) -> Expected:
    """The metadata say that it is signed by another algorithm."""
    key = scene.main.digests[3]
    scene.set_metadata(key, signature_algorithm="MD2withRSA")
    return lost("bad-signature", key, of=scene.main)


@kind(Who.STORAGE)
def signature_stripped(scene: Scene) -> Expected:
    """The digest is put anew without metadata."""
    key = scene.main.digests[3]
    scene.put(key, scene.objects[key].body, {})
    return lost("bad-signature", key, of=scene.main)


@kind(Who.STORAGE)
def signature_cut(scene: Scene) -> Expected:
    """The signature lacks its last byte."""
    key = scene.main.digests[3]
    scene.set_metadata(key, signature=scene.objects[key].metadata["signature"][:-2])
    return lost("bad-signature", key, of=scene.main)


@kind(Who.STORAGE)
def signature_of_another(scene: Scene) -> Expected:
    """The signature of another digest."""
    key = scene.main.digests[3]
    scene.set_metadata(key, signature=scene.objects[scene.main.digests[2]].metadata["signature"])
    return lost("bad-signature", key, of=scene.main)


@kind(Who.STORAGE)
def signature_not_hex(scene: Scene) -> Expected:
    """The signature in base64 instead of hex."""
    key = scene.main.digests[3]
    binary = bytes.fromhex(scene.objects[key].metadata["signature"])
    scene.set_metadata(key, signature=base64.b64encode(binary).decode())
    return lost("bad-signature", key, of=scene.main)


@kind(Who.STORAGE)
def digest_of_a_key_of_ones_own(scene: Scene) -> Expected:
    """A digest names a key that the trail never had."""
    key = scene.main.digests[3]
    document = scene.document(key)
    scene.pack(key, _json(document | {"digestPublicKeyFingerprint": hashlib.md5(b"mine").hexdigest()}))
    return lost("unknown-key", key, of=scene.main)


@kind(Who.STORAGE)
def digest_cut_in_half(scene: Scene) -> Expected:
    """The second half of the bytes is gone."""
    key = scene.main.digests[3]
    body = scene.objects[key].body
    scene.put(key, body[: len(body) // 2])
    return lost("truncated", key, of=scene.main)


@kind(Who.STORAGE)
def digest_emptied(scene: Scene) -> Expected:
    """An object of no bytes, with the digest's metadata."""
    key = scene.main.digests[3]
    scene.put(key, b"")
    return lost("truncated", key, of=scene.main)


@kind(Who.STORAGE)
def digest_bytes_appended(scene: Scene) -> Expected:
    """Bytes after the gzip member."""
    key = scene.main.digests[3]
    scene.put(key, scene.objects[key].body + b"more")
    return lost("trailing-data", key, of=scene.main)


@kind(Who.STORAGE)
def digest_second_member(scene: Scene) -> Expected:
    """Another gzip member."""
    key = scene.main.digests[3]
    scene.put(key, scene.objects[key].body + gzip.compress(b"{}"))
    return lost("several-members", key, of=scene.main)


@kind(Who.STORAGE)
def digest_bomb(scene: Scene) -> Expected:
    """A few hundred kilobytes that inflate to more than half a gigabyte."""
    key = scene.main.digests[3]
    scene.put(key, bomb(5 << 27))
    return lost("decompression-bomb", key, of=scene.main)


@kind(Who.STORAGE, among=HARMLESS)
def digest_recompressed(scene: Scene) -> Expected:
    """The same content, compressed anew."""
    key = scene.main.digests[3]
    scene.put(key, gzip.compress(scene.content(key), compresslevel=1, mtime=1))
    return set()


@kind(Who.STORAGE, among=HARMLESS)
def signature_in_capitals(scene: Scene) -> Expected:
    """The same signature, in upper-case hex."""
    key = scene.main.digests[3]
    scene.set_metadata(key, signature=scene.objects[key].metadata["signature"].upper())
    return set()


def _json(document: dict[str, object]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()
