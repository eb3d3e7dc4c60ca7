"""What a stolen signing key is good for, with write access to the bucket: forged digests whose signatures fit."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from tests.tampering.attacker.kind import Ask, Expected, Who, kind, lost, planted
from tests.tampering.attacker.records_tree import root_of
from tests.tampering.attacker.scene import Scene, iso, seconds

NO_HEADS = Ask(heads=False)
"""What is still seen if nobody kept heads: of a chain that was signed anew from the forgery on."""


@kind(Who.SIGNING_KEY)
def digest_signed_anew(scene: Scene) -> Expected:
    """A log file is changed, its hash in the digest too, and the digest is signed anew; the next one is as it was."""
    key = scene.main.digests[3]
    document = scene.document(key)
    _change_log(scene, document, lambda record: record.update(eventName="Forged"))
    scene.sign(key, document)
    return lost("chain-broken", key, of=scene.main)


@kind(Who.SIGNING_KEY)
def chain_signed_anew(scene: Scene) -> Expected:
    """The same, and all digests after it are signed anew. The heads that were kept are of the old chain."""
    scene.forge(4, lambda document: _change_log(scene, document, lambda record: record.update(eventName="Forged")))
    return lost("chain-broken", *scene.main.digests[3:], of=scene.main)


@kind(Who.SIGNING_KEY)
def newest_digest_signed_anew(scene: Scene) -> Expected:
    """The newest digest, on which nothing builds, is signed anew without a log file. Only the head knows."""
    scene.forge(len(scene.main.digests), lambda document: document["logFiles"].pop(0))
    return lost("chain-broken", scene.main.digests[-1], of=scene.main)


@kind(Who.SIGNING_KEY)
def fork(scene: Scene) -> Expected:
    """A second digest, well signed, follows one that has a successor already."""
    before = scene.main.digests[3]
    document = scene.document(scene.main.digests[4])
    end = seconds(document["digestEndTime"]) - 1
    key = scene.main.digest_key(end)
    document |= {"digestEndTime": iso(end), "digestS3Object": key, "logFiles": []}
    assert document["previousDigestS3Object"] == before
    scene.sign(key, document)
    return {("fork", key)}


@kind(Who.SIGNING_KEY, NO_HEADS)
def log_left_out_of_signed_chain(scene: Scene) -> Expected:
    """A digest is signed anew without a log file, and all after it; the log file is still there."""
    key = scene.log(4)
    scene.forge(4, lambda document: document["logFiles"].pop(0))
    return {("planted", key)}


@kind(Who.SIGNING_KEY, NO_HEADS)
def digest_claims_another_account(scene: Scene) -> Expected:
    """The newest digest says that it is about another account."""
    scene.forge(len(scene.main.digests), lambda document: document.update(awsAccountId=scene.account.account))
    return lost("wrong-claim", scene.main.digests[-1], of=scene.main)


@kind(Who.SIGNING_KEY, NO_HEADS)
def digest_links_to_another_region(scene: Scene) -> Expected:
    """A digest is linked to one of the same trail in another region, instead of to its own predecessor."""
    other = scene.region.digests[2]
    _link(scene, 4, other)
    return {("unknown-key", other)}


@kind(Who.SIGNING_KEY, NO_HEADS)
def digest_links_to_another_trail(scene: Scene) -> Expected:
    """A digest is linked to one of another trail of the account and region, instead of to its own predecessor."""
    other = scene.trail.digests[2]
    _link(scene, 4, other)
    forked = lost("fork", *scene.main.digests[:3], of=scene.main)
    return forked | {("wrong-claim", key) for key in scene.trail.digests[:3]}


@kind(Who.SIGNING_KEY, NO_HEADS)
def digest_of_an_expired_key(scene: Scene) -> Expected:
    """The newest digest is signed with the chain's first key, whose time is over."""
    newest = scene.main.digests[-1]
    old = scene.document(scene.main.digests[0])["digestPublicKeyFingerprint"]
    document = scene.document(newest)
    assert old != document["digestPublicKeyFingerprint"], "the key was not changed in the chain's time"
    scene.sign(newest, document, old)
    return lost("key-outside-validity", newest, of=scene.main)


@kind(Who.SIGNING_KEY)
def signature_with_sha1(scene: Scene) -> Expected:
    """The signature is the key's, but over the SHA-1 of the message: two messages of one SHA-1 can be made."""
    key = scene.main.digests[3]
    private_key = scene.stolen[scene.document(key)["digestPublicKeyFingerprint"]]
    signature = private_key.sign(scene.message(scene.content(key)), padding.PKCS1v15(), hashes.SHA1())
    scene.set_metadata(key, signature=signature.hex())
    return lost("bad-signature", key, of=scene.main)


@kind(Who.SIGNING_KEY)
def signature_with_another_padding(scene: Scene) -> Expected:
    """The signature is the key's over the message, but with PSS padding."""
    key = scene.main.digests[3]
    private_key = scene.stolen[scene.document(key)["digestPublicKeyFingerprint"]]
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)
    signature = private_key.sign(scene.message(scene.content(key)), pss, hashes.SHA256())
    scene.set_metadata(key, signature=signature.hex())
    return lost("bad-signature", key, of=scene.main)


@kind(Who.SIGNING_KEY, NO_HEADS)
def starting_digest_hides_the_older(scene: Scene) -> Expected:
    """A digest becomes a starting one, all after it are signed anew, and the older digests are deleted."""
    names = [name for name in scene.document(scene.main.digests[3]) if name.startswith("previousDigest")]
    left = planted(*scene.unaccounted(*scene.main.digests[:3]))
    scene.forge(4, lambda document: document.update(dict.fromkeys(names)))
    scene.remove(*scene.main.digests[:3])
    return {("not-covered", scene.main.folder)} | left


@kind(Who.SIGNING_KEY, NO_HEADS)
def linked_digests_with_a_gap(scene: Scene) -> Expected:
    """A digest begins a second after the one that it is linked to; all after it are signed anew."""

    def later(document: dict[str, Any]) -> None:
        document["digestStartTime"] = iso(seconds(document["digestStartTime"]) + 1)

    scene.forge(4, later)
    return {("hour-without-digest", scene.main.folder), ("not-covered", scene.main.folder)}


@kind(Who.SIGNING_KEY, NO_HEADS)
def hour_twice(scene: Scene) -> Expected:
    """A digest is about the time of the one before it, too; all after it are signed anew."""
    start = scene.document(scene.main.digests[2])["digestStartTime"]
    scene.forge(4, lambda document: document.update(digestStartTime=start))
    return {("hour-without-digest", scene.main.folder)}


@kind(Who.SIGNING_KEY, NO_HEADS)
def record_of_another_account(scene: Scene) -> Expected:
    """An event of another account in a log file; its hash and its Merkle root fit, and all is well signed."""
    return _forged_record(scene, lambda record: record.update(recipientAccountId=scene.account.account))


@kind(Who.SIGNING_KEY, NO_HEADS)
def record_of_another_region(scene: Scene) -> Expected:
    """An event of another region in a log file; everything else fits."""
    return _forged_record(scene, lambda record: record.update(awsRegion="ap-south-1", eventSource="ec2.amazonaws.com"))


@kind(Who.SIGNING_KEY, NO_HEADS)
def record_of_another_time(scene: Scene) -> Expected:
    """An event that happened a year before the times that the digest records; everything else fits."""
    return _forged_record(scene, lambda record: record.update(eventTime=iso(scene.main.start - 365 * 86_400)))


@kind(Who.SIGNING_KEY, NO_HEADS)
def wrong_merkle_root(scene: Scene) -> Expected:
    """The digest has another Merkle root for a log file; the hash fits."""
    key = scene.log(4)
    scene.forge(4, lambda document: document["logFiles"][0].update(recordsMerkleRoot="00" * 32))
    return {("root-mismatch", key)}


@kind(Who.SIGNING_KEY, NO_HEADS)
def wrong_record_count(scene: Scene) -> Expected:
    """The digest has another number of records for a log file; hash and root fit."""
    key = scene.log(4)
    count = len(scene.document(key)["Records"])
    scene.forge(4, lambda document: document["logFiles"][0].update(recordCount=count + 1))
    return {("root-mismatch", key)}


@kind(Who.SIGNING_KEY, NO_HEADS)
def digest_names_another_place(scene: Scene) -> Expected:
    """The newest digest says that it lies in another bucket."""
    scene.forge(len(scene.main.digests), lambda document: document.update(digestS3Bucket="elsewhere"))
    return lost("moved", scene.main.digests[-1], of=scene.main)


def _link(scene: Scene, number: int, other: str) -> None:
    """Links a digest of the main chain to another one, and signs all after it anew."""

    def link(document: dict[str, Any]) -> None:
        document["previousDigestS3Object"] = other
        document["previousDigestHashValue"] = hashlib.sha256(scene.content(other)).hexdigest()
        document["previousDigestSignature"] = scene.objects[other].metadata["signature"]

    scene.forge(number, link)


def _forged_record(scene: Scene, change: Any) -> Expected:
    key = scene.log(4)
    scene.forge(4, lambda document: _change_log(scene, document, change))
    return {("misplaced-record", key)}


def _change_log(scene: Scene, document: dict[str, Any], change: Any) -> None:
    """Changes the first record of a digest's first log file, and all that the digest says of the file but its times."""
    entry = document["logFiles"][0]
    content = json.loads(scene.content(entry["s3Object"]))
    change(content["Records"][0])
    records = [json.dumps(record, separators=(",", ":")).encode() for record in content["Records"]]
    data = b'{"Records":[' + b",".join(records) + b"]}"
    scene.pack(entry["s3Object"], data)
    entry["hashValue"] = hashlib.sha256(data).hexdigest()
    if "recordsMerkleRoot" in entry:
        entry["recordsMerkleRoot"] = root_of(records).hex()
