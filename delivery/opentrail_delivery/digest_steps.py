"""Steps 7 and 8 for one chain: the next digest on its head, signed, and what it names marked.

step  what                                                              after a crash here
7     build the digest from delivered rows not yet in a digest; sign    nothing happened
8     one transaction: compare-and-swap the head, mark exactly the rows redo 9 with the same bytes
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from opentrail.evidence.digest import Digest, LogFileEntry, PreviousDigest, string_to_sign
from opentrail.evidence.digest_chain import next_end
from opentrail.evidence.object_keys import digest_key
from opentrail.evidence.times import format_time
from opentrail_backends.state.port import BuiltDigest, Chain, Chains, DeliveredFile
from opentrail_delivery.key_ring import KeyRing
from opentrail_delivery.trail_forms import TrailForms

_AT_ONCE = 24
"""Digests of one chain that are built at once if many are due: the other chains are not held up for longer."""
_FAR = 2**40
"""A time (seconds) after all deliveries."""


class DigestSteps:
    """Builds digests. `built` counts those that became heads. Methods raise StateError, KeyManagementError."""

    def __init__(self, chains: Chains, key_ring: KeyRing, forms: TrailForms, period: int) -> None:
        self._chains = chains
        self._key_ring = key_ring
        self._forms = forms
        self._period = period
        self.built = 0

    def catch_up(self, chain: Chain, now: int) -> Chain:
        """One digest for each period that has passed, then the last one of a chain that ends.

        Returns the chain as it is then: it may be behind still, or somebody else may have moved it meanwhile.
        """
        for _ in range(_AT_ONCE):
            last = chain.ending and chain.next_end >= now
            if chain.ended or not (last or chain.next_end <= now):
                break
            after = self.build(chain, now if last else chain.next_end, last=last)
            if after is None:
                break
            chain = after
        return chain

    def build(self, chain: Chain, end: int, *, last: bool) -> Chain | None:
        """One digest that ends at `end`; the chain after it. None: not now, or somebody else was first."""
        if end <= chain.last_end:
            return None
        rows = self._chains.undigested(chain, _FAR if last else end)
        if any(row.delivered_at >= end * 1000 for row in rows):
            return None  # delivered in this very second: the last digest comes a second later
        digest = self._sign(chain, end, rows, last=last)
        # A digest that was cut early leaves the chain's rhythm as it is.
        due = chain.next_end if chain.next_end > end else next_end(end, self._period)
        # A crash before the next line: nothing happened. After it: step 9 is redone with the bytes of the row.
        if not self._chains.append(chain, digest, [row.id for row in rows], due, last):
            return None
        self.built += 1
        return replace(
            chain,
            sequence=digest.sequence,
            last_end=end,
            next_end=due,
            head_bucket=digest.bucket,
            head_key=digest.object_key,
            head_sha256=digest.sha256,
            head_signature=digest.signature,
            ended=last,
        )

    def _sign(self, chain: Chain, end: int, rows: Sequence[DeliveredFile], *, last: bool) -> BuiltDigest:
        key = self._key_ring.key_for(chain.region, end)
        form = self._forms.of(chain)
        place = digest_key(
            account_id=chain.account_id,
            region=chain.region,
            trail_name=chain.trail_name,
            home_region=chain.home_region,
            end_seconds=end,
            prefix=chain.key_prefix,
            organization_id=chain.organization_id,
        )
        body = Digest(
            account_id=chain.account_id,
            start=chain.last_end,
            end=end,
            s3_bucket=chain.bucket,
            s3_object=place,
            fingerprint=key.fingerprint,
            log_files=tuple(_entry(row) for row in rows),
            previous=_previous(chain),
        ).to_bytes()
        sha256 = hashlib.sha256(body).hexdigest()
        signed = string_to_sign(format_time(end), chain.bucket, place, sha256, chain.head_signature)
        return BuiltDigest(
            chain_id=chain.id,
            sequence=chain.sequence + 1,
            bucket=chain.bucket,
            object_key=place,
            start=chain.last_end,
            end=end,
            body=body,
            sha256=sha256,
            signature=self._key_ring.sign(key, signed),
            fingerprint=key.fingerprint,
            trail_arn=form.arn,
            kms_key_id=form.kms_key_id,
            ended=last,
        )


def _entry(row: DeliveredFile) -> LogFileEntry:
    return LogFileEntry(
        s3_bucket=row.bucket,
        s3_object=row.object_key,
        hash_value=row.sha256,
        oldest_event_time=row.oldest_event_time,
        newest_event_time=row.newest_event_time,
        record_count=row.events,
        records_root=row.records_root,
    )


def _previous(chain: Chain) -> PreviousDigest | None:
    if chain.head_bucket is None or chain.head_key is None or chain.head_sha256 is None or chain.head_signature is None:
        return None
    return PreviousDigest(chain.head_bucket, chain.head_key, chain.head_sha256, chain.head_signature)
