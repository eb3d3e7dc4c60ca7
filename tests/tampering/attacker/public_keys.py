"""Who answers ListPublicKeys may answer anything: alone, or together with who writes into the bucket.

An auditor who pinned the keys does not ask.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from functools import cache
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.tampering.attacker.kind import REFUSED, Ask, Expected, Who, kind, lost, planted
from tests.tampering.attacker.scene import Scene, listed

PKCS1, SPKI = serialization.PublicFormat.PKCS1, serialization.PublicFormat.SubjectPublicKeyInfo
YEAR = 365 * 86_400


EVERYWHERE = ("main", "trail", "account")
"""The chains that are signed with the keys of the region."""


@kind(Who.API, chains=EVERYWHERE)
def other_key_under_the_fingerprint(scene: Scene) -> Expected:
    """Each fingerprint has a key of the attacker's."""
    value = base64.b64encode(_der(_mine(2048))).decode()
    return _answer(scene, "malformed-key", lambda _: {"Value": value})


@kind(Who.API, chains=EVERYWHERE)
def keys_in_another_form(scene: Scene) -> Expected:
    """The right keys as SubjectPublicKeyInfo instead of PKCS#1."""

    def change(key: dict[str, Any]) -> dict[str, Any]:
        loaded = serialization.load_der_public_key(base64.b64decode(key["Value"]))
        return {"Value": base64.b64encode(loaded.public_bytes(serialization.Encoding.DER, SPKI)).decode()}

    return _answer(scene, "malformed-key", change)


@kind(Who.API, chains=EVERYWHERE)
def no_keys(scene: Scene) -> Expected:
    """There are no keys: so nothing can be validated, and nobody may call it valid."""
    scene.keys[scene.main.region] = []
    return {REFUSED}


@kind(Who.API, chains=EVERYWHERE)
def keys_of_another_region(scene: Scene) -> Expected:
    """The keys are good ones, but of another region."""
    scene.keys[scene.main.region] = scene.keys[scene.region.region]
    return _all_lost(scene, "unknown-key")


@kind(Who.API, chains=EVERYWHERE)
def keys_of_another_time(scene: Scene) -> Expected:
    """The right keys are said to be valid from next year on."""
    moved = {"ValidityStartTime": scene.main.end + YEAR, "ValidityEndTime": scene.main.end + 2 * YEAR}
    return _answer(scene, "key-outside-validity", lambda _: moved)


@kind(Who.API)
def weak_key(scene: Scene) -> Expected:
    """The whole chain is signed anew with a key of 1024 bits, which the API lists too: one that can be factored."""
    left = planted(*scene.unaccounted(*scene.main.digests))
    _sign_all_with(scene, _mine(1024))
    return lost("malformed-key", *scene.main.digests, of=scene.main) | left


@kind(Who.API)
def key_of_ones_own(scene: Scene) -> Expected:
    """The whole chain is signed anew with the attacker's key, which the API lists beside the right ones."""
    _sign_all_with(scene, _mine(2048))
    return lost("chain-broken", *scene.main.digests, of=scene.main)


@kind(Who.API, Ask(pinned=True, heads=False))
def key_of_ones_own_pinned(scene: Scene) -> Expected:
    """The same, and there are no heads, but the auditor pinned the keys."""
    left = planted(*scene.unaccounted(*scene.main.digests))
    _sign_all_with(scene, _mine(2048))
    return lost("unknown-key", *scene.main.digests, of=scene.main) | left


def _answer(scene: Scene, finding: str, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Expected:
    region = scene.main.region
    scene.keys[region] = [key | change(key) for key in scene.keys[region]]
    return _all_lost(scene, finding)


def _all_lost(scene: Scene, finding: str) -> Expected:
    """Nothing that is signed with the keys of the region is proven any more, heads neither."""
    chains = scene.main, scene.trail, scene.account
    heads = {("bad-head", key) for chain in chains for key in chain.digests}
    return heads.union(*(lost(finding, *chain.digests, of=chain) for chain in chains))


def _sign_all_with(scene: Scene, private_key: rsa.RSAPrivateKey) -> None:
    region = scene.main.region
    entry = listed(private_key, _der(private_key), scene.keys[region][0])
    entry |= {"ValidityStartTime": scene.main.start - YEAR, "ValidityEndTime": scene.main.end + YEAR}
    scene.keys[region] = [*scene.keys[region], entry]
    scene.stolen = {entry["Fingerprint"]: private_key}
    for key in scene.main.digests:
        scene.sign(key, scene.document(key), entry["Fingerprint"])
    scene.relink(2)


@cache
def _mine(bits: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def _der(private_key: rsa.RSAPrivateKey) -> bytes:
    return private_key.public_key().public_bytes(serialization.Encoding.DER, PKCS1)
