"""Steps 7 and 8: a digest of what was delivered since the last one, on the head of its chain, signed.

step  what                                                              after a crash here
7     build the digest from delivered rows not yet in a digest; sign    nothing happened
8     one transaction: compare-and-swap the head, mark exactly the rows redo 9 with the same bytes

Several builders may run: the compare-and-swap lets one of them win. They go on while step 9 fails.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import structlog

from opentrail.evidence.digest import Digest, LogFileEntry, PreviousDigest, string_to_sign
from opentrail.evidence.digest_chain import next_end
from opentrail.evidence.object_keys import digest_key
from opentrail.evidence.times import format_time
from opentrail.trails.configuration import Configuration
from opentrail.trails.trail import Trail
from opentrail_backends.event_bus.port import EventBus
from opentrail_backends.key_management.port import KeyManagementError
from opentrail_backends.state.port import BuiltDigest, Chain, Chains, DeliveredFile, Ledger
from opentrail_delivery.chain_roster import (
    ChainKey,
    chain_key,
    new_chain,
    once_wanted_chains,
    place_of,
    wanted_chains,
)
from opentrail_delivery.configuration_feed import ConfigurationFeed
from opentrail_delivery.key_ring import KeyRing
from opentrail_delivery.progress import DeliveryProgress
from opentrail_delivery.settings import DeliverySettings

_log = structlog.get_logger("opentrail.delivery")

_BATCH = 500
"""Chains that are seen to in one round."""
_FAR = 2**40
"""A time (seconds) after all deliveries."""


@dataclass(frozen=True, slots=True)
class BuilderTools:
    """The ports and values that a builder needs."""

    chains: Chains
    ledger: Ledger
    feed: ConfigurationFeed
    event_bus: EventBus
    key_ring: KeyRing
    settings: DeliverySettings


class DigestBuilder:
    """Keeps every chain in step with the configuration and builds its digests when they are due."""

    def __init__(self, tools: BuilderTools) -> None:
        self._tools = tools
        self._trails: dict[tuple[str, str, str | None, str | None], Trail] = {}
        """The newest form of each trail for each of its targets: its key goes with its bucket."""
        self._looked_at = -1
        self._missed: dict[ChainKey, Trail] = {}
        """Chains that a past revision asked for and that were never started: made if a file needs them."""
        self._progress = DeliveryProgress(tools.ledger, tools.event_bus, tools.settings.group)
        self._followed: tuple[int, frozenset[str]] | None = None

    def run_once(self) -> int:
        """Follows the configuration, then builds what is due; returns how many digests were built.

        Raises StateError, KeyManagementError, EventBusError.
        """
        configuration = self._tools.feed.refresh()
        regions = frozenset(self._tools.event_bus.topics())
        now = self._tools.chains.now() // 1000
        seen = (configuration.revision, regions)
        if self._followed != seen:
            chains = self._tools.chains.all_chains()
            self._progress.look_again()
            self._look_back(chains, configuration, regions)
            self._start_chains(chains, configuration, regions, now)
            settled = self._start_missed(now)
            settled &= self._move_chains(chains, configuration, now)
            settled &= self._end_chains(chains, configuration, regions)
            self._followed = seen if settled else None
        built = 0
        for chain in self._tools.chains.due(now, _BATCH):
            try:
                built += self._build(chain, chain.next_end if not chain.ending else now, last=chain.ending)
            except KeyManagementError as error:  # one region's key: the other regions' chains go on
                _log.warning(
                    "a digest waits for its signing key", chain=chain.id, region=chain.region, error=str(error)
                )
        return built

    # --- which chains -----------------------------------------------------------------------------

    def _look_back(self, chains: Sequence[Chain], newest: Configuration, regions: frozenset[str]) -> None:
        """At the revisions since the last look: logging may have begun and ended between the two.

        The trails are remembered: the last digests of deleted ones need them.
        """
        if self._looked_at == newest.revision:
            return
        past = [known for known in self._tools.feed.history.known if known.revision > self._looked_at]
        for configuration in past:
            for trail in configuration.trails.values():
                target = (trail.incarnation, trail.s3_bucket_name, trail.s3_key_prefix, trail.organization_id)
                self._trails[target] = trail
        sessions: dict[tuple[str, str, str], int] = {}
        for chain in chains:
            line = (chain.incarnation, chain.account_id, chain.region)
            sessions[line] = max(sessions.get(line, 0), chain.logging_session)
        wanted = {key for key, _ in wanted_chains(newest, regions)}
        for key, trail in once_wanted_chains(past, regions):
            if key not in wanted and key[1] > sessions.get((key[0], key[2], key[3]), 0):
                self._missed[key] = trail
        self._looked_at = newest.revision

    def _start_chains(
        self, chains: Sequence[Chain], configuration: Configuration, regions: frozenset[str], now: int
    ) -> None:
        running = {chain_key(chain) for chain in chains if not chain.ended}
        wanted = wanted_chains(configuration, regions)
        self._tools.chains.ensure_chains(self._new(key, trail, now) for key, trail in wanted if key not in running)

    def _new(self, key: ChainKey, trail: Trail, now: int) -> Chain:
        """A member or a region that came later starts its chain then, at the most one digest back."""
        period = self._tools.settings.digest_seconds
        return new_chain(key, trail, max(trail.started_logging_at // 1000, now - period), period)

    def _start_missed(self, now: int) -> bool:
        """Once delivery has passed what may be for them: starts those that have files. Whether none is left."""
        started = False
        missed = {key: self._new(key, trail, now) for key, trail in self._missed.items()}
        for key, chain in missed.items():
            if self._progress.has_passed(chain):
                if self._tools.chains.undigested(chain, _FAR):
                    self._tools.chains.ensure_chains([chain])
                    started = True
                self._progress.forget(chain.id)
                del self._missed[key]
        return not (self._missed or started)

    def _move_chains(self, chains: Sequence[Chain], configuration: Configuration, now: int) -> bool:
        """A trail's bucket changed: a digest is cut for the old one at once, the next lies in the new one."""
        settled = True
        for chain in chains:
            trail = configuration.trails.get(chain.incarnation)
            if chain.ended or chain.ending or trail is None:
                continue
            place = place_of(trail, chain.account_id, chain.region)
            if place != chain.place:
                settled = False  # another builder may have moved the head: the next round sees
                if chain.last_end >= now or self._build(chain, now, last=False):
                    cut = replace(chain, sequence=chain.sequence + (chain.last_end < now))
                    target = (trail.s3_bucket_name, trail.s3_key_prefix, trail.organization_id)
                    self._tools.chains.move(cut, *target, place)
        return settled

    def _end_chains(self, chains: Sequence[Chain], configuration: Configuration, regions: frozenset[str]) -> bool:
        """Chains that nothing asks for any more end, once delivery has passed what the bus held by then."""
        wanted = {key for key, _ in wanted_chains(configuration, regions)}
        settled = True
        for chain in chains:
            if chain.ending and not chain.ended:
                settled = False  # if it is asked for again meanwhile, it starts anew after its last digest
            elif chain_key(chain) in wanted:
                self._progress.forget(chain.id)
            elif not chain.ended:
                settled = False
                if self._progress.has_passed(chain):
                    self._tools.chains.mark_ending(chain.id)
                    self._progress.forget(chain.id)
        return settled

    # --- steps 7 and 8 ----------------------------------------------------------------------------

    def _build(self, chain: Chain, end: int, *, last: bool) -> bool:
        """Steps 7 and 8 for one digest that ends at `end`. Whether our digest became the head."""
        if end <= chain.last_end:
            return False
        rows = self._tools.chains.undigested(chain, end)
        if last and len(self._tools.chains.undigested(chain, _FAR)) > len(rows):
            return False  # delivered in this very second: the last digest comes a second later
        digest = self._sign(chain, end, rows)
        # A digest that was cut early leaves the chain's rhythm as it is.
        due = chain.next_end if chain.next_end > end else next_end(end, self._tools.settings.digest_seconds)
        # A crash before the next line: nothing happened. After it: step 9 is redone with the bytes of the row.
        return self._tools.chains.append(chain, digest, [row.id for row in rows], due, last)

    def _sign(self, chain: Chain, end: int, rows: Sequence[DeliveredFile]) -> BuiltDigest:
        key = self._tools.key_ring.key_for(chain.region, end)
        trail = self._trails.get((chain.incarnation, chain.bucket, chain.key_prefix, chain.organization_id))
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
            signature=self._tools.key_ring.sign(key, signed),
            fingerprint=key.fingerprint,
            trail_arn=trail.arn if trail else "",
            kms_key_id=trail.kms_key_id if trail else None,
        )


def _entry(row: DeliveredFile) -> LogFileEntry:
    return LogFileEntry(
        s3_bucket=row.bucket,
        s3_object=row.object_key,
        hash_value=row.sha256,
        oldest_event_time=row.oldest_event_time,
        newest_event_time=row.newest_event_time,
    )


def _previous(chain: Chain) -> PreviousDigest | None:
    if chain.head_bucket is None or chain.head_key is None or chain.head_sha256 is None or chain.head_signature is None:
        return None
    return PreviousDigest(chain.head_bucket, chain.head_key, chain.head_sha256, chain.head_signature)
