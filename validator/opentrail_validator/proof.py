"""Checks the proof of one event, without the other records, the bucket or the network. Pure: bytes in, values out.

What is proven if nothing is wrong: this record was, byte for byte, one of the records of a log file that a digest
names, and the owner of the key signed that digest. `NOT_PROVEN` has what that does not say.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from opentrail.evidence.digest import Digest, LogFileEntry, MalformedDigest, parse_digest, string_to_sign
from opentrail.evidence.object_keys import DigestKey, LogFileKey, MalformedKey, parse_key
from opentrail.evidence.records_tree import MalformedPath, leaf_hash, root_of_path
from opentrail.evidence.signature import BadSignature, MalformedKeyError, fingerprint, verify
from opentrail.evidence.times import format_time
from opentrail_validator.findings import Kind, Verdict
from opentrail_validator.gzip_member import MAX_DIGEST_BYTES, inflate
from opentrail_validator.proof_file import Event, MalformedProof, OtherProofVersion, Proof, parse_proof, read_event
from opentrail_validator.readers.port import PublicKey


class Outcome(StrEnum):
    """The closed list of what a check of a proof comes to; `FACTS` says what each means."""

    PROVEN = "proven"
    PROVEN_BY_ITS_OWN_KEY = "proven-by-its-own-key"
    OTHER_VERSION = "other-version"
    MALFORMED = "malformed"
    MALFORMED_DIGEST = "malformed-digest"
    NOT_LISTED = "not-listed"
    NO_ROOT = "no-root"
    NOT_IN_TREE = "not-in-tree"
    WRONG_CLAIM = "wrong-claim"
    UNKNOWN_KEY = "unknown-key"
    MALFORMED_KEY = "malformed-key"
    KEY_OUTSIDE_VALIDITY = "key-outside-validity"
    BAD_SIGNATURE = "bad-signature"


class Facts(NamedTuple):
    """What is fixed about an outcome."""

    verdict: Verdict
    meaning: str


FACTS: Final[Mapping[Outcome, Facts]] = {
    Outcome.PROVEN: Facts(Verdict.VALID, "the record was in the log file, and a key that you trust signed its digest"),
    Outcome.PROVEN_BY_ITS_OWN_KEY: Facts(
        Verdict.UNCHECKED,
        "everything fits, but the public key comes from the proof itself: whoever made the proof may have made the key",
    ),
    Outcome.OTHER_VERSION: Facts(Verdict.UNCHECKED, "a proof of a version that this program does not know"),
    Outcome.MALFORMED: Facts(Verdict.INVALID, "not a proof file, or a field is missing, of the wrong form, or unknown"),
    Outcome.MALFORMED_DIGEST: Facts(Verdict.INVALID, "the digest in it is not one gzip member with a digest file"),
    Outcome.NOT_LISTED: Facts(Verdict.INVALID, "the digest does not name the log file"),
    Outcome.NO_ROOT: Facts(
        Verdict.INVALID, "the digest names the log file, but has no Merkle root over its records, or no count of them"
    ),
    Outcome.NOT_IN_TREE: Facts(
        Verdict.INVALID, "the record, at this place, is not in the tree over the log file's records"
    ),
    Outcome.WRONG_CLAIM: Facts(
        Verdict.INVALID, "digest, log file and record are not all of one account, or not of one region"
    ),
    Outcome.UNKNOWN_KEY: Facts(Verdict.INVALID, "none of your public keys has the fingerprint that the digest names"),
    Outcome.MALFORMED_KEY: Facts(
        Verdict.INVALID,
        "the public key is no PKCS#1 RSA key of 2048 bits or more, or not the one that its fingerprint names",
    ),
    Outcome.KEY_OUTSIDE_VALIDITY: Facts(Verdict.INVALID, "the key was not valid at the digest's end"),
    Outcome.BAD_SIGNATURE: Facts(Verdict.INVALID, "the signature is not the key's over this digest"),
}

NOT_PROVEN: Final = (
    "that what the record says is true: it is what was sent to the trail and logged",
    "that it is the only event of its kind, or that no other event was left out",
    "that the log file and the digest are still in the bucket, and the digest in its chain: validate-logs checks that",
)
"""What no proof of one event can show."""


class Fault(NamedTuple):
    """One thing that is wrong."""

    outcome: Outcome
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What a proof is about: what it proves, if nothing is wrong."""

    event: Event
    digest: Digest
    digest_hash: str
    """SHA-256 of the digest's uncompressed bytes, lower-case hex."""
    entry: LogFileEntry | None
    """The log file as the digest names it."""
    key: PublicKey
    """The one that the signature was checked with."""
    key_is_trusted: bool
    """Whether the verifier supplied it; else it is the proof's own."""


@dataclass(frozen=True, slots=True)
class ProofResult:
    """What became of the check. `proof` is None if the file is malformed, `claims` if its digest is."""

    faults: tuple[Fault, ...]
    """All that is wrong, always in the same order."""
    proof: Proof | None = None
    claims: Claims | None = None

    @property
    def outcome(self) -> Outcome:
        """The first thing that is wrong, or in which way it is proven."""
        if self.faults:
            return self.faults[0].outcome
        trusted = self.claims is not None and self.claims.key_is_trusted
        return Outcome.PROVEN if trusted else Outcome.PROVEN_BY_ITS_OWN_KEY

    @property
    def verdict(self) -> Verdict:
        """VALID: proven. INVALID: not. UNCHECKED: nobody whom the verifier trusts has signed, or it cannot be read."""
        return FACTS[self.outcome].verdict


def check_proof(data: bytes, keys: Mapping[str, PublicKey] | None) -> ProofResult:
    """Checks a proof file. `keys`: the public keys that are trusted, by fingerprint.

    None: there are none to trust, so the proof's own is tried; then it is never PROVEN, at best PROVEN_BY_ITS_OWN_KEY.
    """
    try:
        proof = parse_proof(data)
    except OtherProofVersion as error:
        return ProofResult((Fault(Outcome.OTHER_VERSION, str(error)),))
    except MalformedProof as error:
        return ProofResult((Fault(Outcome.MALFORMED, str(error)),))
    inflated = inflate(proof.digest_file, MAX_DIGEST_BYTES)
    if inflated.kind is not Kind.VALID:
        return ProofResult((Fault(Outcome.MALFORMED_DIGEST, inflated.detail),), proof)
    try:
        digest = parse_digest(inflated.data)
    except MalformedDigest as error:
        return ProofResult((Fault(Outcome.MALFORMED_DIGEST, str(error)),), proof)
    event = read_event(proof.record)
    entries = [entry for entry in digest.log_files if (entry.s3_bucket, entry.s3_object) == proof.log_file]
    trusted = None if keys is None else keys.get(digest.fingerprint)
    key = trusted or proof.public_key
    faults = [*_tree_faults(proof, entries), *_claim_faults(proof, digest, event)]
    if keys is not None and trusted is None:
        faults.append(Fault(Outcome.UNKNOWN_KEY, digest.fingerprint))
    if proof.public_key.der != key.der:
        faults.append(Fault(Outcome.MALFORMED_KEY, "the key in the proof is not the one that its digest names"))
    faults += _signature_faults(inflated.data, digest, proof.signature, key)
    claims = Claims(
        event=event,
        digest=digest,
        digest_hash=hashlib.sha256(inflated.data).hexdigest(),
        entry=entries[0] if entries else None,
        key=key,
        key_is_trusted=trusted is not None,
    )
    return ProofResult(tuple(faults), proof, claims)


def _signature_faults(data: bytes, digest: Digest, signature: str, key: PublicKey) -> Iterator[Fault]:
    """Whether `key` signed a digest, and was valid at its end. `data`: its uncompressed bytes; `signature` in hex."""
    if fingerprint(key.der) != digest.fingerprint:
        yield Fault(Outcome.MALFORMED_KEY, f"it is not the key {digest.fingerprint}")
        return
    sha256 = hashlib.sha256(data).hexdigest()
    end = format_time(digest.end)
    message = string_to_sign(end, digest.s3_bucket, digest.s3_object, sha256, digest.previous_signature)
    try:
        verify(key.der, signature, message)
    except MalformedKeyError as error:
        yield Fault(Outcome.MALFORMED_KEY, str(error))
        return
    except BadSignature as error:
        yield Fault(Outcome.BAD_SIGNATURE, str(error))
        return
    if not key.may_sign(digest.end):
        yield Fault(Outcome.KEY_OUTSIDE_VALIDITY, f"the digest ends {end}")


def _tree_faults(proof: Proof, entries: Sequence[LogFileEntry]) -> Iterator[Fault]:
    """Whether the digest names the log file with a tree that has the record."""
    if not entries:
        yield Fault(Outcome.NOT_LISTED, f"s3://{proof.log_file.bucket}/{proof.log_file.key}")
        return
    entry = entries[0]
    if len(entries) > 1:
        yield Fault(Outcome.NOT_LISTED, "the digest names the log file more than once")
    elif entry.record_count is None or entry.records_root is None:
        yield Fault(Outcome.NO_ROOT)
    elif entry.record_count != proof.count:
        yield Fault(Outcome.NOT_IN_TREE, f"the digest counts {entry.record_count} records, the proof {proof.count}")
    else:
        try:
            root = root_of_path(leaf_hash(proof.record), proof.index, proof.count, proof.path)
        except MalformedPath as error:
            yield Fault(Outcome.NOT_IN_TREE, str(error))
            return
        if root.hex() != entry.records_root:
            yield Fault(Outcome.NOT_IN_TREE, "the way up leads to another root")


def _claim_faults(proof: Proof, digest: Digest, event: Event) -> Iterator[Fault]:
    """Whether all is of one account and region, as the names say."""
    try:
        digest_key, log_key = parse_key(digest.s3_object), parse_key(proof.log_file.key)
    except MalformedKey as error:
        yield Fault(Outcome.WRONG_CLAIM, str(error))
        return
    if not isinstance(digest_key, DigestKey) or not isinstance(log_key, LogFileKey):
        yield Fault(Outcome.WRONG_CLAIM, "a digest lies under a log file's name, or a log file under a digest's")
        return
    if not digest_key.account_id == log_key.account_id == digest.account_id:
        accounts = f"{digest_key.account_id}, {digest.account_id} and {log_key.account_id}"
        yield Fault(Outcome.WRONG_CLAIM, f"the digest's name, the digest and the log file name accounts {accounts}")
    if digest_key.region != log_key.region:
        yield Fault(Outcome.WRONG_CLAIM, f"a digest of {digest_key.region}, a log file of {log_key.region}")
    if event.recipientAccountId is not None and event.recipientAccountId != log_key.account_id:
        yield Fault(Outcome.WRONG_CLAIM, f"the record is for account {event.recipientAccountId!r:.40}")
