"""Which chains the validator watches: those of every trail that the state store's configuration knows.

A trail that was deleted is known for some weeks after that (setting `kept_seconds`); so long its chains are watched.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from opentrail.trails.configuration import Change, Configuration, Kind
from opentrail.trails.trail import Trail
from opentrail_backends.state.port import StateError, StateStore
from opentrail_delivery.chain_roster import wanted_chains
from opentrail_validator.question import Span
from opentrail_validator.service.port import CatalogueUnavailable, WatchedChain
from opentrail_validator.trail_place import TrailPlace

FOR_EVER = 1 << 40
"""A time (seconds) after all others."""


class _ChainKey(NamedTuple):
    incarnation: str
    account_id: str
    region: str


class _Logging(NamedTuple):
    """A logging session, still under way while `end` is `FOR_EVER`."""

    session: int
    start: int
    end: int = FOR_EVER


class LoggingTimes:
    """When there was logging with validation, of each trail, account and region, from the configuration's changes."""

    def __init__(self, regions: Collection[str]) -> None:
        self._regions = regions
        self._configuration = Configuration()
        self._sessions: dict[_ChainKey, list[_Logging]] = {}
        self._forms: dict[str, Trail] = {}
        self._known: set[tuple[str, int]] = set()
        """Logging sessions of trails that began before the change that is looked at."""

    @property
    def revision(self) -> int:
        """Of the newest change that is known."""
        return self._configuration.revision

    def extend(self, changes: Iterable[Change]) -> None:
        """Adds newer changes, in their order. Raises ValueError on one that cannot be read."""
        for change in changes:
            self._configuration = self._configuration.after(change)
            if change.kind in {Kind.TRAIL, Kind.ORGANIZATION}:
                self._forms.update(self._configuration.trails)
                self._follow(change.effective_at // 1000)

    def _follow(self, changed_at: int) -> None:
        wanted = {
            _ChainKey(incarnation, account_id, region): (session, trail)
            for (incarnation, session, account_id, region), trail in wanted_chains(self._configuration, self._regions)
        }
        for key, sessions in self._sessions.items():
            last = sessions[-1]
            if last.end == FOR_EVER and (key not in wanted or wanted[key][0] != last.session):
                sessions[-1] = last._replace(end=changed_at)
        for key, (session, trail) in wanted.items():
            sessions = self._sessions.setdefault(key, [])
            if not sessions or sessions[-1].end != FOR_EVER:
                # A member that came later begins then.
                is_later = (key.incarnation, session) in self._known
                sessions.append(_Logging(session, changed_at if is_later else trail.started_logging_at // 1000))
        self._known |= {(key.incarnation, session) for key, (session, _) in wanted.items()}

    def chains(self) -> list[WatchedChain]:
        """A chain for each place that digests may lie in; trails of one name, one after the other, may share it."""
        sessions_at: dict[tuple[str, TrailPlace], list[_Logging]] = {}
        for key, sessions in self._sessions.items():
            trail = self._forms[key.incarnation]
            sessions_at.setdefault((trail.arn, _place(trail, key)), []).extend(sessions)
        chains = [
            WatchedChain(
                trail_arn=arn,
                place=place,
                since=min(session.start for session in sessions),
                pauses=_pauses(sessions),
            )
            for (arn, place), sessions in sessions_at.items()
        ]
        return sorted(chains, key=lambda chain: chain.id)


class StateCatalogue:
    """Asks the state store for newer changes each time. Safe for use by several threads."""

    def __init__(self, state: StateStore, regions: Collection[str]) -> None:
        self._state = state
        self._lock = threading.Lock()
        self._times = LoggingTimes(regions)

    def chains(self) -> Sequence[WatchedChain]:
        """All chains that are to be watched. Raises CatalogueUnavailable."""
        with self._lock:
            try:
                self._times.extend(self._state.configuration.changes_after(self._times.revision))
            except (StateError, ValueError) as error:
                raise CatalogueUnavailable(str(error)) from error
            return self._times.chains()


def _place(trail: Trail, key: _ChainKey) -> TrailPlace:
    return TrailPlace(
        bucket=trail.s3_bucket_name,
        prefix=trail.s3_key_prefix,
        organization_id=trail.organization_id,
        account_id=key.account_id,
        region=key.region,
        trail_name=trail.name,
        home_region=trail.home_region,
    )


def _pauses(sessions: Sequence[_Logging]) -> tuple[Span, ...]:
    """The times between sessions, those without length too, and the one after the last."""
    pauses = []
    ordered = sorted(sessions, key=lambda session: session.start)
    reached = ordered[0].end
    for session in ordered[1:]:
        if session.start >= reached:
            pauses.append(Span(reached, session.start))
        reached = max(reached, session.end)
    if reached < FOR_EVER:
        pauses.append(Span(reached, FOR_EVER))
    return tuple(pauses)
