"""`opentrail settle` after a restore: digests that were put after the backup become part of their chains again.

A digest lies in the bucket, is signed with a key of ours, and links to the head that the ledger knows: then the head
moves on to it, link by link. What does not fit is named and left alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from opentrail.evidence.digest import SIGNATURE_METADATA, Digest, MalformedDigest, parse_digest, string_to_sign
from opentrail.evidence.digest_chain import next_end
from opentrail.evidence.log_file import MalformedLogFile, read_log_file
from opentrail.evidence.object_keys import DigestKey, MalformedKey, digest_folder, parse_key
from opentrail.evidence.signature import BadSignature, MalformedKeyError, verify
from opentrail.evidence.times import format_time
from opentrail_backends.object_store.port import BucketNotFound, ObjectNotFound, ObjectStore, ObjectTooLarge
from opentrail_backends.state.port import BuiltDigest, Chain, Chains, PublicKeys
from opentrail_backends.state.port.inspection import Inspection

_MOST = 10_000


@dataclass(frozen=True, slots=True)
class FoundDigest:
    """A digest in a bucket that one of our keys signed."""

    bucket: str
    key: DigestKey
    body: bytes
    digest: Digest
    signature: str

    @property
    def names(self) -> Mapping[tuple[str, str], str]:
        """The hashes of the files that it names, by bucket and object key."""
        return {(entry.s3_bucket, entry.s3_object): entry.hash_value for entry in self.digest.log_files}


@dataclass(frozen=True, slots=True)
class StrangeDigest:
    """A digest that belongs to no chain that the ledger knows, or is not ours."""

    bucket: str
    object_key: str
    reason: str


@dataclass(frozen=True, slots=True)
class ChainTools:
    """What looking for digests needs."""

    store: ObjectStore
    chains: Chains
    public_keys: PublicKeys
    inspection: Inspection
    digest_seconds: int


def digests_since(
    tools: ChainTools, chain: Chain, since: int, strange: list[StrangeDigest] | None = None
) -> Iterator[FoundDigest]:
    """The digests in a chain's place that end after `since` (seconds), by their ends. Raises ObjectStoreError.

    Those that are not ours are added to `strange`.
    """
    keys = [key for key in _digests_beside(tools, chain, since) if _is_of(key, chain)]
    for key in sorted(keys, key=lambda key: key.end_seconds):
        found = _read(tools, chain, key)
        if isinstance(found, FoundDigest):
            yield found
        elif found is not None and strange is not None:
            strange.append(found)


def of_no_chain(tools: ChainTools, chains: Sequence[Chain]) -> list[StrangeDigest]:
    """Digests beside those of these chains, newer than them, of trails that have no chain. Raises ObjectStoreError."""
    beside: dict[tuple[str, str], Chain] = {}
    for chain in sorted(chains, key=lambda chain: -chain.last_end):  # the oldest one is kept
        beside[chain.bucket, _folder_of(chain)] = chain
    found = [
        (chain, key)
        for chain in beside.values()
        for key in _digests_beside(tools, chain, chain.last_end)
        if not any(_is_beside(one, chain) and _is_of(key, one) for one in chains)
    ]
    known = tools.chains.all_chains() if found else ()  # as it is after the buckets were read
    reason = "its trail has no chain: it was made after the backup"
    return [
        StrangeDigest(chain.bucket, str(key), reason)
        for chain, key in found
        if not any(_is_beside(one, chain) and _is_of(key, one) for one in known)
    ]


def _digests_beside(tools: ChainTools, chain: Chain, since: int) -> Iterator[DigestKey]:
    """The digests of a chain's bucket, account and region that end after `since`, of whatever trail."""
    folder = _folder_of(chain)
    try:
        for info in tools.store.list(chain.bucket, folder, folder + _day_before(since)):
            key = _digest_key(info.key)
            if key is not None and key.end_seconds > since:
                yield key
    except BucketNotFound:
        return


def _folder_of(chain: Chain) -> str:
    return digest_folder(
        account_id=chain.account_id,
        region=chain.region,
        prefix=chain.key_prefix,
        organization_id=chain.organization_id,
    )


def _is_beside(one: Chain, other: Chain) -> bool:
    return (one.bucket, _folder_of(one)) == (other.bucket, _folder_of(other))


def waiting_digests(tools: ChainTools) -> Mapping[str, list[BuiltDigest]]:
    """The digests that are built and not known to be put, by chain. Raises StateError."""
    waiting: dict[str, list[BuiltDigest]] = {}
    for digest in tools.chains.unpublished(_MOST):
        waiting.setdefault(digest.chain_id, []).append(digest)
    return waiting


def adopt(
    tools: ChainTools,
    chain: Chain,
    waiting: Sequence[BuiltDigest],
    strange: list[StrangeDigest],
    trail_arn: str,
    *,
    accept: bool,
) -> int:
    """Moves a chain's head on to the digests that follow it in the bucket; returns how many there are.

    What a builder of the restored ledger has built since, and could not put because these lie there, is withdrawn.
    Safe while builders run: what they put meanwhile is passed over. Raises ObjectStoreError, StateError. A crash in
    between: the next run goes on from the head that was reached.
    """
    own = {digest.signature for digest in waiting}
    since = min([chain.last_end, *(digest.start for digest in waiting)])
    found = [one for one in digests_since(tools, chain, since, strange) if one.signature not in own]
    if found and waiting and found[0].digest.end <= chain.last_end:
        if not accept:
            return len(found)
        as_before = own == {digest.signature for digest in waiting_digests(tools).get(chain.id, ())}
        if not (as_before and tools.chains.withdraw(chain.id)):
            place = StrangeDigest(
                found[0].bucket, str(found[0].key), "a digest that was built since waits in its place"
            )
            strange.append(place)
            return 0
        tools.inspection.lower_stamp(chain.place, found[0].digest.end - 1)
        chain = _as_it_is(tools, chain)
    adopted = 0
    for one in found:
        why = _misfit(chain, one)
        if why is None and (not accept or _append(tools, chain, one, trail_arn)):
            chain = _moved_on(chain, one, tools.digest_seconds)
            adopted += 1
            continue
        chain = _as_it_is(tools, chain) if accept or not adopted else chain
        if chain.last_end < one.digest.end:
            strange.append(StrangeDigest(one.bucket, str(one.key), why or "the chain's head moved meanwhile"))
    return adopted


def _append(tools: ChainTools, chain: Chain, found: FoundDigest, trail_arn: str) -> bool:
    built = _built(chain, found, trail_arn)
    known = {(row.bucket, row.object_key): row for row in tools.chains.undigested(chain, built.end)}
    named = [
        known[place].id for place, sha256 in found.names.items() if place in known and known[place].sha256 == sha256
    ]
    if not tools.chains.append(chain, built, named, next_end(built.end, tools.digest_seconds), ended=False):
        return False
    # Without its head: delivery signs it, of the last one that is adopted.
    tools.chains.mark_published(chain.id, built.sequence, built.signature)
    return True


def _moved_on(chain: Chain, found: FoundDigest, digest_seconds: int) -> Chain:
    built = _built(chain, found, "")
    return replace(
        chain,
        sequence=built.sequence,
        last_end=built.end,
        next_end=next_end(built.end, digest_seconds),
        head_bucket=built.bucket,
        head_key=built.object_key,
        head_sha256=built.sha256,
        head_signature=built.signature,
    )


def _as_it_is(tools: ChainTools, chain: Chain) -> Chain:
    return next((one for one in tools.chains.all_chains() if one.id == chain.id), chain)


def chains_of(tools: ChainTools, regions: Sequence[str] | None) -> list[Chain]:
    """All chains that have not ended, of these regions."""
    return [
        chain for chain in tools.chains.all_chains() if not chain.ended and (regions is None or chain.region in regions)
    ]


def _digest_key(key: str) -> DigestKey | None:
    try:
        parsed = parse_key(key)
    except MalformedKey:
        return None
    return parsed if isinstance(parsed, DigestKey) and not parsed.backfill else None


def _is_of(key: DigestKey, chain: Chain) -> bool:
    return (key.trail_name, key.home_region, key.prefix, key.organization_id) == (
        chain.trail_name,
        chain.home_region,
        chain.key_prefix,
        chain.organization_id,
    )


def _day_before(seconds: int) -> str:
    """The folder of a day, which sorts before all digests of that day."""
    return datetime.fromtimestamp(max(seconds, 0), UTC).strftime("%Y/%m/%d")


def _read(tools: ChainTools, chain: Chain, key: DigestKey) -> FoundDigest | StrangeDigest | None:
    place = str(key)
    try:
        stored = tools.store.get(chain.bucket, place)
    except ObjectNotFound:
        return None
    except ObjectTooLarge as error:
        return StrangeDigest(chain.bucket, place, f"it is no digest: {error}")
    signature = stored.metadata.get(SIGNATURE_METADATA, "")
    try:
        body = read_log_file(stored.body)
        digest = parse_digest(body)
    except (MalformedLogFile, MalformedDigest) as error:
        return StrangeDigest(chain.bucket, place, f"it is no digest: {error}")
    if (digest.s3_bucket, digest.s3_object) != (chain.bucket, place) or digest.end != key.end_seconds:
        return StrangeDigest(chain.bucket, place, "it says that it lies elsewhere")
    message = string_to_sign(
        format_time(digest.end), chain.bucket, place, hashlib.sha256(body).hexdigest(), digest.previous_signature
    )
    for public_key in tools.public_keys.between(chain.region, digest.end, digest.end):
        if public_key.fingerprint == digest.fingerprint:
            try:
                verify(public_key.der, signature, message)
            except (BadSignature, MalformedKeyError):
                continue
            return FoundDigest(chain.bucket, key, body, digest, signature)
    return StrangeDigest(
        chain.bucket, place, "no key that the ledger knows has signed it: it is planted, or its key was lost with it"
    )


def _misfit(chain: Chain, found: FoundDigest) -> str | None:
    """Why a digest does not follow the chain's head."""
    previous = found.digest.previous
    head = (chain.head_bucket, chain.head_key, chain.head_sha256, chain.head_signature)
    if previous is None:
        follows = chain.head_signature is None and found.digest.start == chain.last_end
    else:
        follows = head == (previous.s3_bucket, previous.s3_object, previous.hash_value, previous.signature)
    if not follows:
        return "it follows no digest that the ledger knows: its chain began, moved or was restamped after the backup"
    return None


def _built(chain: Chain, found: FoundDigest, trail_arn: str) -> BuiltDigest:
    return BuiltDigest(
        chain_id=chain.id,
        sequence=chain.sequence + 1,
        bucket=found.bucket,
        object_key=str(found.key),
        start=found.digest.start,
        end=found.digest.end,
        body=found.body,
        sha256=hashlib.sha256(found.body).hexdigest(),
        signature=found.signature,
        fingerprint=found.digest.fingerprint,
        trail_arn=trail_arn,
    )
