"""Digests: removed, exchanged, copied, added; without their signing keys, so write access to the bucket."""

from __future__ import annotations

import gzip
import hashlib
import json
import re

from tests.tampering.attacker.kind import Ask, Expected, Who, kind, lost
from tests.tampering.attacker.scene import Scene, iso, seconds, stamp

DAY = 86_400


@kind(Who.STORAGE)
def digest_removed(scene: Scene) -> Expected:
    """A digest in the middle of the chain is deleted."""
    key = scene.main.digests[3]
    scene.remove(key)
    return lost("not-found", key, of=scene.main)


@kind(Who.STORAGE)
def digests_removed_in_a_row(scene: Scene) -> Expected:
    """Three digests one after the other are deleted."""
    keys = scene.main.digests[2:5]
    scene.remove(*keys)
    return lost("not-found", *keys, of=scene.main)


@kind(Who.STORAGE)
def first_digest_removed(scene: Scene) -> Expected:
    """The starting digest is deleted."""
    key = scene.main.digests[0]
    scene.remove(key)
    return lost("not-found", key, of=scene.main)


@kind(Who.STORAGE, chains=("main", "trail"))
def digest_of_the_other_trail_removed(scene: Scene) -> Expected:
    """A digest of another trail is deleted; its log files, which lie among the others', are not planted."""
    key = scene.trail.digests[3]
    scene.remove(key)
    return lost("not-found", key, of=scene.trail)


@kind(Who.STORAGE)
def digests_swapped(scene: Scene) -> Expected:
    """Two digests exchange their names."""
    keys = scene.main.digests[2:4]
    scene.swap(*keys)
    return lost("moved", *keys, of=scene.main)


@kind(Who.STORAGE, chains=("main", "region"))
def digests_swapped_between_regions(scene: Scene) -> Expected:
    """A digest and one of the same trail in another region exchange their names."""
    one, other = scene.main.digests[3], scene.region.digests[3]
    scene.swap(one, other)
    return lost("moved", one, of=scene.main) | lost("moved", other, of=scene.region)


@kind(Who.STORAGE)
def digest_renamed(scene: Scene) -> Expected:
    """A digest lies under the name of a second before."""
    key = scene.main.digests[3]
    to = scene.main.digest_key(seconds(scene.document(key)["digestEndTime"]) - 1)
    scene.move(key, to)
    return lost("not-found", key, of=scene.main) | {("moved", to)}


@kind(Who.STORAGE)
def older_digest_as_the_newest(scene: Scene) -> Expected:
    """A copy of an older digest under a name newer than all."""
    to = scene.main.digest_key(scene.main.end + 1)
    scene.put(to, scene.objects[scene.main.digests[2]].body, scene.objects[scene.main.digests[2]].metadata)
    return {("moved", to)}


@kind(Who.STORAGE)
def older_digest_replayed(scene: Scene) -> Expected:
    """An older digest in the place of a newer one."""
    key = scene.main.digests[4]
    scene.objects[key] = scene.objects[scene.main.digests[2]]
    return lost("moved", key, of=scene.main)


@kind(Who.STORAGE, chains=("main", "account"))
def digest_copied_to_another_account(scene: Scene) -> Expected:
    """A copy of a digest in another account's folder, under a name of that account's trail."""
    before = scene.objects[scene.main.digests[3]]
    to = scene.account.digest_key(scene.account.end - 1)
    scene.put(to, before.body, before.metadata)
    return {("moved", to)}


@kind(Who.STORAGE, chains=("main", "trail"))
def digest_copied_to_another_trail(scene: Scene) -> Expected:
    """A copy of a digest under the name of another trail of the same account and region."""
    before = scene.objects[scene.main.digests[3]]
    to = scene.trail.digest_key(scene.trail.end - 1)
    scene.put(to, before.body, before.metadata)
    return {("moved", to)}


@kind(Who.STORAGE, Ask(days_before=1))
def digest_copied_to_another_day(scene: Scene) -> Expected:
    """A copy of a digest in the folder of the day before, under its own name."""
    key = scene.main.digests[3]
    end = seconds(scene.document(key)["digestEndTime"])
    to = key.replace(stamp(end, "/%Y/%m/%d/"), stamp(end - DAY, "/%Y/%m/%d/"))
    scene.put(to, scene.objects[key].body, scene.objects[key].metadata)
    return {("malformed", to)}


@kind(Who.STORAGE)
def digest_planted_unsigned(scene: Scene) -> Expected:
    """A digest of one's own making between two others, without a signature."""
    return {("bad-signature", _plant(scene, {}))}


@kind(Who.STORAGE)
def digest_planted_with_a_signature(scene: Scene) -> Expected:
    """A digest of one's own making between two others, with the signature of one of them."""
    return {("bad-signature", _plant(scene, scene.objects[scene.main.digests[3]].metadata))}


@kind(Who.STORAGE)
def digest_planted_as_the_newest(scene: Scene) -> Expected:
    """A digest of one's own making after all others, with the signature of the last."""
    last = scene.main.digests[-1]
    return {("bad-signature", _plant(scene, scene.objects[last].metadata, after=len(scene.main.digests)))}


@kind(Who.STORAGE)
def backfill_look_alike(scene: Scene) -> Expected:
    """A copy of a digest under the name of a backfill digest, with the metadata that those have."""
    to = _backfill_name(scene)
    before = scene.objects[scene.main.digests[3]]
    generated = {"backfill-generation-timestamp": f"{iso(scene.main.end)[:-1]}.000Z"}
    scene.put(to, before.body, before.metadata | generated)
    return {("moved", to)}


@kind(Who.STORAGE)
def backfill_look_alike_without_time(scene: Scene) -> Expected:
    """A copy of a digest under the name of a backfill digest, with the digest's own metadata."""
    to = _backfill_name(scene)
    before = scene.objects[scene.main.digests[3]]
    scene.put(to, before.body, before.metadata)
    return {("malformed", to)}


@kind(Who.STORAGE)
def stray_among_digests(scene: Scene) -> Expected:
    """An object among the digests whose name begins and ends like the trail's, but is no digest's."""
    key = re.sub(r"_([^_]+)$", r"_copy of_\1", scene.main.digest_key(scene.main.end + 1))
    scene.put(key, b"anything")
    return {("malformed", key)}


@kind(Who.STORAGE)
def stray_that_stops_the_list(scene: Scene) -> Expected:
    """An object before the first digest, its name ends in a time of the far future: the AWS CLI stops listing there."""
    before = scene.main.digest_key(scene.main.start - 60, "~_99991231T235959Z.json.gz")
    key = before.replace("00Z~_", "~_")
    scene.put(key, b"anything")
    return {("malformed", key)}


def _plant(scene: Scene, metadata: dict[str, str], after: int = 4) -> str:
    before = scene.main.digests[after - 1]
    document = scene.document(before)
    end = seconds(document["digestEndTime"]) + 1
    key = scene.main.digest_key(end)
    document |= {
        "digestStartTime": document["digestEndTime"],
        "digestEndTime": iso(end),
        "digestS3Object": key,
        "previousDigestS3Object": before,
        "previousDigestHashValue": hashlib.sha256(scene.content(before)).hexdigest(),
        "previousDigestSignature": scene.objects[before].metadata["signature"],
        "logFiles": [],
    }
    scene.put(key, gzip.compress(_json(document)), metadata)
    return key


def _backfill_name(scene: Scene) -> str:
    end = seconds(scene.document(scene.main.digests[3])["digestEndTime"])
    return scene.main.digest_key(end, "_backfill.json.gz")


def _json(document: dict[str, object]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()
