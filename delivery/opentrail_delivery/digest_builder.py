"""Which chains there are, and their digests when they are due (steps 7 and 8, in `digest_steps.py`).

Several builders may run: the compare-and-swap of a chain's head lets one of them win. They go on while step 9 fails.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import structlog

from opentrail.trails.configuration import Configuration, ConfigurationHistory, Kind
from opentrail.trails.trail import Trail
from opentrail_backends.event_bus.port import EventBus
from opentrail_backends.key_management.port import KeyManagementError
from opentrail_backends.state.port import ApiCalls, Chain, Chains, Ledger, Orphans
from opentrail_delivery.chain_roster import (
    ChainKey,
    chain_key,
    chain_of_orphans,
    new_chain,
    place_of,
    wanted_chains,
)
from opentrail_delivery.configuration_feed import ConfigurationFeed
from opentrail_delivery.digest_steps import DigestSteps
from opentrail_delivery.key_ring import KeyRing
from opentrail_delivery.progress import DeliveryProgress
from opentrail_delivery.settings import DeliverySettings
from opentrail_delivery.trail_forms import TrailForms

_log = structlog.get_logger("opentrail.delivery")

_BATCH = 500
"""Chains that are seen to in one round."""
_FOLLOW_SECONDS = 600
"""All chains are looked at so often though nothing has changed: whoever had to end one may have died before it."""
_ORPHANS_SECONDS = 60


@dataclass(frozen=True, slots=True)
class BuilderTools:
    """The ports and values that a builder needs."""

    chains: Chains
    calls: ApiCalls
    ledger: Ledger
    feed: ConfigurationFeed
    event_bus: EventBus
    key_ring: KeyRing
    settings: DeliverySettings


class DigestBuilder:
    """Keeps every chain in step with the configuration and builds its digests when they are due."""

    def __init__(self, tools: BuilderTools) -> None:
        self._tools = tools
        self._period = tools.settings.digest_seconds
        self._steps = DigestSteps(tools.chains, tools.key_ring, TrailForms(tools.feed), self._period)
        self._progress = DeliveryProgress(tools.ledger, tools.event_bus, tools.settings.group)
        self._followed: tuple[int, frozenset[str]] | None = None
        self._follow_at = 0
        self._orphans_at = 0
        self._goes_first: dict[str, str] = {}
        """Of each place with chains that end: the id of the one whose last digest comes before others begin there."""
        self._waiting = 0
        """Due chains that the last round left alone."""
        self._without_key: set[str] = set()
        """Regions whose key did not sign in this round."""

    def run_once(self) -> int:
        """Follows the configuration, then builds what is due; returns how many digests were built.

        Raises StateError, EventBusError.
        """
        built_before = self._steps.built
        self._without_key.clear()
        milliseconds = self._tools.chains.now()
        self._follow(milliseconds // 1000)
        self._adopt_orphans(milliseconds)
        self._build_due(milliseconds // 1000)
        return self._steps.built - built_before

    # --- which chains -----------------------------------------------------------------------------

    def _follow(self, now: int) -> None:
        """After a change, until all chains are as it wants them; and once in a while."""
        if self._followed == self._newest() and now < self._follow_at:
            return
        # The chains before the configuration: whoever moved or ended one knew nothing that is not known here then.
        chains = self._tools.chains.all_chains()
        seen = self._newest()
        configuration, regions = self._tools.feed.history.newest, seen[1]
        wanted = dict(wanted_chains(configuration, regions))
        self._progress.look_again()
        started = self._start_chains(chains, wanted, configuration.revision, now)
        ending = [chain for chain in chains if not chain.ended and chain_key(chain) not in wanted]
        self._goes_first = _first_of_places(ending, configuration, self._tools.feed.history)
        settled = self._move_chains(chains, configuration, now)
        settled &= self._end_chains(ending)
        settled &= not any(chain.ending and not chain.ended for chain in chains)  # wanted again: starts anew after it
        settled &= not started  # another builder may have started some that end before these since the chains were read
        self._followed = seen if settled else None
        self._follow_at = now + min(_FOLLOW_SECONDS, self._period)

    def _newest(self) -> tuple[int, frozenset[str]]:
        return self._tools.feed.refresh().revision, frozenset(self._tools.event_bus.topics())

    def _start_chains(self, chains: Sequence[Chain], wanted: dict[ChainKey, Trail], revision: int, now: int) -> bool:
        """A member or a region that came later starts its chain then, at the most one digest back.

        Whoever knows an older configuration than the store starts nothing: a trail may be gone by now, and its chain
        would go by turns with that of the trail that took its name.
        """
        running = {chain_key(chain) for chain in chains if not chain.ended}
        starting = [
            new_chain(key, trail, max(trail.started_logging_at // 1000, now - self._period), self._period)
            for key, trail in wanted.items()
            if key not in running
        ]
        if starting:
            self._tools.chains.ensure_chains(starting, revision)
        return bool(starting)

    def _move_chains(self, chains: Sequence[Chain], configuration: Configuration, now: int) -> bool:
        """A trail's bucket changed: a digest is cut for the old one at once, the next lies in the new one."""
        settled = True
        for chain in chains:
            trail = configuration.trails.get(chain.incarnation)
            if trail is None or chain.ended or chain.ending:
                continue
            if place_of(trail, chain.account_id, chain.region) != chain.place:
                settled = False  # another builder may have moved the head: the next round sees
                if not self._has_to_wait(chain):
                    self._move(chain, trail, now)
        return settled

    def _move(self, chain: Chain, trail: Trail, now: int) -> None:
        chain = self._signing(chain, partial(self._steps.catch_up, chain, now)) or chain
        if chain.next_end <= now:
            return
        cut = chain
        if chain.last_end < now:
            built = self._signing(chain, partial(self._steps.build, chain, now, last=False))
            if built is None:
                return
            cut = built
        # A crash here: the next round cuts another digest for the old place.
        target = (trail.s3_bucket_name, trail.s3_key_prefix, trail.organization_id)
        self._tools.chains.move(cut, *target, place_of(trail, chain.account_id, chain.region))

    def _end_chains(self, ending: Sequence[Chain]) -> bool:
        """Chains that nothing asks for any more end, once delivery has passed what the bus held by then.

        By then it held the call that ended them, too, and those before it, which belong to the trail as it was. They
        are asked for after the configuration was read, which showed the call's change, and before the bus's end is.
        """
        self._progress.keep(chain.id for chain in ending)
        to_come = self._tools.calls.oldest_pending() if ending else {}
        for chain in ending:
            oldest = to_come.get((chain.account_id, chain.region))
            is_complete = oldest is None or oldest >= self._ended_at(chain)
            if not chain.ending and is_complete and self._progress.has_passed(chain):
                self._tools.chains.mark_ending(chain.id)
        return not ending

    def _ended_at(self, chain: Chain) -> int:
        """The newest change (ms) that could be the one after which nothing asks for a chain: of trail or members."""
        history = self._tools.feed.history
        of_members = history.changed_at(Kind.ORGANIZATION, chain.organization_id) if chain.organization_id else 0
        return max(history.changed_at(Kind.TRAIL, chain.incarnation), of_members)

    def _adopt_orphans(self, milliseconds: int) -> None:
        """Files of a session that was over before anyone looked, or after its chain had ended: they get a chain.

        It ends in the ordinary way.
        """
        if milliseconds < self._orphans_at:
            return
        found = self._tools.chains.orphans(_BATCH)
        chains = [chain for orphans in found if (chain := self._chain_of(orphans, milliseconds // 1000)) is not None]
        if chains:
            self._tools.chains.ensure_chains(chains)
            self._followed = None
        # If there are more than one answer holds, the next round asks for them.
        self._orphans_at = milliseconds + min(_ORPHANS_SECONDS * 1000, self._period * 250) * (len(chains) < _BATCH)

    def _chain_of(self, orphans: Orphans, now: int) -> Chain | None:
        """From the row alone; a row that an older release wrote needs what is known of the trail."""
        if not orphans.trail_arn:
            form = next(self._tools.feed.history.forms_of(orphans.incarnation), None)
            orphans = replace(orphans, trail_arn=form.arn if form else "")
        try:
            return chain_of_orphans(orphans, now, self._period)
        except ValueError as error:
            _log.error("delivered files come into no digest: their trail is not known", error=str(error))
            return None

    # --- what is due ------------------------------------------------------------------------------

    def _build_due(self, now: int) -> None:
        left_alone = 0
        # What the last round left alone is among what is due: it takes no other's place.
        for chain in self._tools.chains.due(now, _BATCH + self._waiting):
            if self._has_to_wait(chain):
                left_alone += 1
            else:
                self._signing(chain, partial(self._steps.catch_up, chain, now))
        self._waiting = left_alone

    def _has_to_wait(self, chain: Chain) -> bool:
        """For its region's key; or a chain that begins, for the last digest of those before it in its place.

        A validator that comes to a starting digest goes on with the newest one before it: it would not see what two
        chains write into one place by turns.
        """
        begins_too_early = chain.head_key is None and self._goes_first.get(chain.place, chain.id) != chain.id
        return begins_too_early or chain.region in self._without_key

    def _signing(self, chain: Chain, step: Callable[[], Chain | None]) -> Chain | None:
        """One region's key: the other regions' chains go on, this one's wait for the next round."""
        if chain.region in self._without_key:
            return None
        try:
            return step()
        except KeyManagementError as error:
            _log.warning("a digest waits for its signing key", chain=chain.id, region=chain.region, error=str(error))
            self._without_key.add(chain.region)
            return None


def _first_of_places(
    ending: Sequence[Chain], configuration: Configuration, history: ConfigurationHistory
) -> dict[str, str]:
    """Of chains that nothing asks for any more: by place the one that goes first, also in places they move to.

    One that has digests already goes on; else the session that was asked for first. That order is the same for all
    revisions: a builder that still wants the newest of them has the others go first, too.
    """

    def turn(chain: Chain) -> tuple[bool, int, int, str]:
        return (
            chain.head_key is None,
            history.first_revision_of(chain.incarnation),
            chain.logging_session,
            chain.id,
        )

    first: dict[str, str] = {}
    for chain in sorted(ending, key=turn):
        first.setdefault(chain.place, chain.id)
        trail = configuration.trails.get(chain.incarnation)
        if trail is not None:
            first.setdefault(place_of(trail, chain.account_id, chain.region), chain.id)
    return first
