"""The end of a chain, and the heads and the state file that are kept elsewhere so that it is seen.

A head is a JSON object whose `signature` is over a first line and all its other fields, sorted, without spaces.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from tests.tampering.attacker.kind import STATE_FILE, Ask, Expected, Who, kind, lost, planted
from tests.tampering.attacker.scene import Scene, iso

NO_HEADS = Ask(heads=False)
FIRST_LINE = b"OpenTrail chain head 1\n"


@kind(Who.STORAGE)
def newest_digest_removed(scene: Scene) -> Expected:
    """The newest digest is deleted."""
    key = scene.main.digests[-1]
    scene.remove(key)
    return lost("not-found", key, of=scene.main) | {("newest-missing", key)}


@kind(Who.STORAGE)
def newest_digests_removed(scene: Scene) -> Expected:
    """The newest three digests are deleted."""
    keys = scene.main.digests[-3:]
    left = planted(*scene.unaccounted(*keys))
    scene.remove(*keys)
    return lost("not-found", *keys, of=scene.main) | {("newest-missing", keys[-1])} | left


@kind(Who.STORAGE)
def all_digests_removed(scene: Scene) -> Expected:
    """All digests are deleted, the log files are not."""
    keys = scene.main.digests
    left = planted(*scene.unaccounted(*keys))
    scene.remove(*keys)
    return {("nothing-found", scene.main.folder), ("newest-missing", keys[-1])} | _not_found(*keys) | left


@kind(Who.STORAGE, NO_HEADS)
def newest_digests_removed_without_heads(scene: Scene) -> Expected:
    """The newest three digests are deleted, and nobody kept heads: what is left does not cover the time."""
    keys = scene.main.digests[-3:]
    left = planted(*scene.unaccounted(*keys))
    scene.remove(*keys)
    return {("not-covered", scene.main.folder)} | left


@kind(Who.STORAGE, NO_HEADS)
def all_digests_removed_without_heads(scene: Scene) -> Expected:
    """All digests are deleted, and nobody kept heads."""
    left = planted(*scene.unaccounted(*scene.main.digests))
    scene.remove(*scene.main.digests)
    return {("nothing-found", scene.main.folder)} | left


@kind(Who.STORAGE, chains=("main", "region", "trail", "account"))
def bucket_emptied(scene: Scene) -> Expected:
    """Every object of every account is deleted."""
    scene.objects.clear()
    gone = set()
    for chain in scene.chains:
        gone |= {("nothing-found", chain.folder), ("newest-missing", chain.digests[-1])} | _not_found(*chain.digests)
    return gone


@kind(Who.HEADS)
def newest_digests_and_heads_removed(scene: Scene) -> Expected:
    """The newest three digests are deleted, and the heads that name them."""
    keys = scene.main.digests[-3:]
    left = planted(*scene.unaccounted(*keys))
    scene.remove(*keys)
    scene.heads = [head for head in scene.heads if json.loads(head)["digestS3Object"] not in keys]
    return {("not-covered", scene.main.folder)} | left


@kind(Who.HEADS)
def all_digests_and_heads_removed(scene: Scene) -> Expected:
    """All digests and all heads are deleted."""
    left = planted(*scene.unaccounted(*scene.main.digests))
    scene.remove(*scene.main.digests)
    scene.heads.clear()
    return {("nothing-found", scene.main.folder)} | left


@kind(Who.HEADS)
def heads_of_another_chain(scene: Scene) -> Expected:
    """The newest digest is deleted, and its chain's heads are replaced by those of another trail."""
    scene.remove(scene.main.digests[-1])
    scene.heads = [head for head in scene.heads if json.loads(head)["digestS3Object"] in scene.trail.digests]
    return {("not-covered", scene.main.folder)}


@kind(Who.HEADS)
def head_without_signature(scene: Scene) -> Expected:
    """The newest head has lost its signature: it is no head any more, and nobody says of which digest."""
    _change_newest_head(scene, lambda head: head.update(signature=""))
    return {("bad-head", scene.main.folder)}


@kind(Who.HEADS)
def head_with_the_digests_signature(scene: Scene) -> Expected:
    """The newest head has the signature of its digest, which is of the same key."""
    return _change_newest_head(scene, lambda head: head.update(signature=head["digestSignature"]))


@kind(Who.HEADS)
def head_of_another_hash(scene: Scene) -> Expected:
    """The newest head names another hash of its digest."""
    return _change_newest_head(scene, lambda head: head.update(digestHashValue="00" * 32))


@kind(Who.HEADS)
def head_of_another_digest(scene: Scene) -> Expected:
    """The newest head names the digest before."""
    key = scene.main.digests[-2]
    _change_newest_head(scene, lambda head: head.update(digestS3Object=key))
    return {("bad-head", key)}


@kind(Who.HEADS)
def head_with_another_field(scene: Scene) -> Expected:
    """The newest head has a field more, that its signature is not over."""
    return _change_newest_head(scene, lambda head: head.update(note="nothing to see here"))


@kind(Who.SIGNING_KEY)
def head_of_a_digest_that_never_was(scene: Scene) -> Expected:
    """A head, well signed, of a digest newer than all."""
    end = scene.main.end + 3600
    key = scene.main.digest_key(end)
    newest = _newest_head(scene)
    fields = {"digestS3Object": key, "digestStartTime": iso(scene.main.end), "digestEndTime": iso(end)}
    scene.heads.append(_signed(scene, newest | fields | {"sequence": newest["sequence"] + 1}))
    return {("not-found", key), ("newest-missing", key)}


@kind(Who.STORAGE, Ask(heads=False, state=True))
def newest_digest_removed_after_a_run(scene: Scene) -> Expected:
    """The newest digest is deleted, and nobody kept heads; but a run before had noted it in its state file."""
    key = scene.main.digests[-1]
    scene.remove(key)
    return lost("not-found", key, of=scene.main)


@kind(Who.STATE, Ask(state=True))
def state_spoiled(scene: Scene) -> Expected:
    """The state file is cut off: it is not used."""
    scene.state = scene.state[:-20]
    return {("bad-state", STATE_FILE)}


@kind(Who.STATE, Ask(state=True))
def state_of_another_digest(scene: Scene) -> Expected:
    """The state file names another hash for the newest digest: it is not used."""
    document = json.loads(scene.state)
    for chain in document["chains"]:
        if chain["digest"]["digestS3Object"] == scene.main.digests[-1]:
            chain["digest"]["digestHashValue"] = "00" * 32
    scene.state = json.dumps(document).encode()
    return {("bad-state", STATE_FILE)}


def _not_found(*digests: str) -> Expected:
    return {("not-found", key) for key in digests}


def _newest_head(scene: Scene) -> dict[str, Any]:
    (head,) = [head for head in map(json.loads, scene.heads) if head["digestS3Object"] == scene.main.digests[-1]]
    return dict(head)


def _change_newest_head(scene: Scene, change: Callable[[dict[str, Any]], None]) -> Expected:
    newest = _newest_head(scene)
    scene.heads = [head for head in scene.heads if json.loads(head) != newest]
    change(newest)
    scene.heads.append(json.dumps(newest).encode())
    return {("bad-head", scene.main.digests[-1])}


def _signed(scene: Scene, head: dict[str, Any]) -> bytes:
    fields = {name: value for name, value in head.items() if name != "signature"}
    message = FIRST_LINE + json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()
    signature = scene.stolen[head["publicKeyFingerprint"]].sign(message, padding.PKCS1v15(), hashes.SHA256())
    return json.dumps(fields | {"signature": signature.hex()}).encode()
