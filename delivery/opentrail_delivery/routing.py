"""Which trails want the events of an account, decided once per selector class (design, steps 2 and 2.6)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from opentrail.events.batch import EventGroup, SelectorClass, attributes_of, select
from opentrail.trails.configuration import Configuration
from opentrail.trails.event_selectors import Decision, wants
from opentrail.trails.routing import trail_decision
from opentrail.trails.trail import Trail


class Target(NamedTuple):
    """Where a trail's log files go: what their keys and their encryption depend on."""

    incarnation: str
    logging_session: int
    bucket: str
    prefix: str | None
    organization_id: str | None
    kms_key_id: str | None
    trail_arn: str
    owner: str
    """The account or organization of the trail: whose share of the spool its parked files take."""
    is_digested: bool
    """Whether log file validation is on: digests are to name its files."""

    def order(self) -> tuple[tuple[bool, str | int], ...]:
        """Sorts targets; a window may hold two of one trail that differ in what may be None."""
        return tuple((value is not None, "" if value is None else value) for value in self)


def target_of(trail: Trail) -> Target:
    """The target of a trail's files at this revision."""
    return Target(
        trail.incarnation,
        trail.logging_session,
        trail.s3_bucket_name,
        trail.s3_key_prefix,
        trail.organization_id,
        trail.kms_key_id,
        trail.arn,
        trail.organization_id or trail.account_id,
        trail.log_file_validation_enabled,
    )


_Route = tuple[tuple[Target, ...], tuple[tuple[Target, Trail], ...]]


class Router:
    """Routes the groups of one account and region under one configuration."""

    def __init__(self, configuration: Configuration, account_id: str, region: str) -> None:
        self._region = region
        self._trails = [(target_of(trail), trail) for trail in configuration.trails_for(account_id, region)]
        self._routes: dict[SelectorClass, _Route] = {}

    def route(self, group: EventGroup) -> Iterator[tuple[tuple[Target, ...], EventGroup]]:
        """Parts of a group with the targets that want them; what nobody wants is left out."""
        route = self._routes.get(group.selector_class)
        if route is None:
            route = self._routes[group.selector_class] = self._decide(group.selector_class)
        whole, by_event = route
        if not by_event:
            if whole:
                yield whole, group
            return
        indexes: dict[tuple[Target, ...], list[int]] = {}
        for index, attributes in enumerate(attributes_of(group)):
            extra = [
                target for target, trail in by_event if wants(trail.event_selectors, group.selector_class, attributes)
            ]
            wanted_by = tuple(sorted({*whole, *extra}))
            if wanted_by:
                indexes.setdefault(wanted_by, []).append(index)
        for targets, chosen in indexes.items():
            yield targets, (group if len(chosen) == group.count else select(group, chosen))

    def takes_whole(self, selector_class: SelectorClass) -> bool:
        """Whether the groups of a class that was routed go whole to the same targets, whatever is in them."""
        return not self._routes[selector_class][1]

    def _decide(self, selector_class: SelectorClass) -> _Route:
        whole: list[Target] = []
        by_event: list[tuple[Target, Trail]] = []
        for target, trail in self._trails:
            decision = trail_decision(trail, self._region, selector_class)
            if decision is Decision.YES:
                whole.append(target)
            elif decision is Decision.PER_EVENT:
                by_event.append((target, trail))
        return tuple(sorted(whole)), tuple(by_event)
