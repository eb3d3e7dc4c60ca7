"""What a declaration changes in a configuration: nothing that is so already, and trails as CloudTrail changes them.

Pure functions: the newest configuration and the time go in, changes come out. Every mistake is told at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from opentrail.trails.configuration import (
    Account,
    Configuration,
    Kind,
    Organization,
    account_body,
    organization_body,
    trail_body,
)
from opentrail.trails.event_selectors import EventSelectors, InvalidEventSelectors
from opentrail.trails.limits import TRAILS_PER_REGION, crowded_regions
from opentrail.trails.logging_sessions import with_session
from opentrail.trails.names import InvalidName, check_bucket_name, check_prefix, check_trail_name
from opentrail.trails.trail import Trail
from opentrail_backends.state.port import NewChange
from opentrail_cli.declared import (
    Declaration,
    DeclaredAccessKey,
    DeclaredOrganization,
    DeclaredToken,
    DeclaredTrail,
    Places,
)
from opentrail_cli.errors import Mistakes

T = TypeVar("T", Account, Organization, Trail)

_TrailKey = tuple[str, str, str]
"""(account, home region, name): under it a trail is the same one."""


def changes_of(
    declaration: Declaration,
    configuration: Configuration,
    *,
    now: int,
    new_incarnation: Callable[[], str],
    prune: bool = False,
    places: Places | None = None,
) -> list[NewChange]:
    """The changes that make the configuration what the declaration says; none if it is so already.

    Args:
        declaration: what is wanted.
        configuration: the newest one.
        now: the state store's clock, milliseconds.
        new_incarnation: gives a UUID for each trail that is made.
        prune: whether trails that the declaration does not name are removed.
        places: where the declaration's tables are in its file.

    Raises:
        Mistakes: something cannot be; nothing is changed then.
    """
    wanted = _Wanted(declaration, configuration, now, new_incarnation, places or Places())
    removed = wanted.unnamed_trails() if prune else {}
    ordinary = {} if prune else wanted.ordinary_trails()
    left = (trail for trail in wanted.all_trails() if trail.incarnation not in removed)
    wanted.check_limits([ordinary.get(trail.incarnation, trail) for trail in left])
    if wanted.mistakes:
        raise Mistakes("The declaration cannot be applied:", wanted.mistakes)
    return [
        *_changed(Kind.ACCOUNT, configuration.accounts, wanted.accounts, account_body),
        *_changed(Kind.ORGANIZATION, configuration.organizations, wanted.organizations, organization_body),
        *(NewChange(Kind.TRAIL, incarnation, None) for incarnation in removed),
        *_changed(Kind.TRAIL, configuration.trails, {**wanted.trails, **ordinary}, trail_body),
    ]


class _Wanted:
    """What the declaration wants, as entities by id, and the mistakes found on the way."""

    def __init__(
        self,
        declaration: Declaration,
        configuration: Configuration,
        now: int,
        new_incarnation: Callable[[], str],
        places: Places,
    ) -> None:
        self.mistakes: list[str] = []
        self._places = places
        self._before = configuration
        self.accounts = {a.id: Account(**a.model_dump()) for a in declaration.accounts}
        self._known_accounts = self.accounts.keys() | configuration.accounts.keys()
        self.organizations = {
            o.id: _organization(o, configuration.organizations.get(o.id)) for o in declaration.organizations
        }
        self._known_organizations = {**configuration.organizations, **self.organizations}
        self._check_accounts(declaration)
        self._check_organizations(declaration)
        existing = {_key(trail): trail for trail in configuration.trails.values()}
        self.trails: dict[str, Trail] = {}
        for index, declared in enumerate(declaration.trails):
            selectors = self._check_trail(index, declared)
            before = existing.get((declared.account_id, declared.home_region, declared.name))
            trail = _trail(declared, selectors, before, now, new_incarnation)
            self.trails[trail.incarnation] = trail
        self._check_repeated("trails", [(t.account_id, t.home_region, t.name) for t in declaration.trails])

    def all_trails(self) -> Sequence[Trail]:
        """Those that exist and those that are wanted."""
        return list({**self._before.trails, **self.trails}.values())

    def unnamed_trails(self) -> Mapping[str, Trail]:
        """Trails that exist and that the declaration does not name."""
        return {i: trail for i, trail in self._before.trails.items() if i not in self.trails}

    def ordinary_trails(self) -> Mapping[str, Trail]:
        """Unnamed trails of an organization whose owner does not manage it any more: they are the owner's own now."""
        return {
            incarnation: replace(trail, organization_id=None)
            for incarnation, trail in self.unnamed_trails().items()
            if trail.organization_id in self.organizations
            and self.organizations[trail.organization_id].management_account_id != trail.account_id
        }

    def check_limits(self, trails: Sequence[Trail]) -> None:
        """At most five trails in a region of an account (CloudTrail's quota)."""
        wanted = Configuration(
            trails={trail.incarnation: trail for trail in trails}, organizations=self._known_organizations
        )
        members = (organization.member_account_ids for organization in self._known_organizations.values())
        accounts = {trail.account_id for trail in trails}.union(*members)
        # Where none of an account's trails is at home it has no more of them than where one is.
        for crowded in sorted(crowded_regions(wanted, accounts, regions=())):
            self.mistakes.append(
                f"trails: account {crowded.account_id} would have {crowded.trails} trails in {crowded.region}; "
                f"there may be {TRAILS_PER_REGION}, those of its organization included"
            )

    def _check_accounts(self, declaration: Declaration) -> None:
        self._check_repeated("accounts", [account.id for account in declaration.accounts])
        of_accounts: Mapping[str, Sequence[DeclaredToken | DeclaredAccessKey]] = {
            "tokens": declaration.tokens,
            "access_keys": declaration.access_keys,
        }
        for kind, credentials in of_accounts.items():
            self._check_repeated(kind, [(one.account_id, one.name) for one in credentials])
            for index, one in enumerate(credentials):
                self._check_known(kind, index, "account_id", one.account_id)

    def _check_organizations(self, declaration: Declaration) -> None:
        self._check_repeated("organizations", [organization.id for organization in declaration.organizations])
        for index, declared in enumerate(declaration.organizations):
            organization = self.organizations[declared.id]
            for account_id in sorted(organization.member_account_ids):
                self._check_known("organizations", index, "member_account_ids", account_id)
                others = [
                    other.id
                    for other in self._known_organizations.values()
                    if other.id != declared.id and account_id in other.member_account_ids
                ]
                if others:
                    self._add("organizations", index, "member_account_ids", f"{account_id} is in {others[0]} already")
            outsiders = sorted(organization.delegated_administrators - organization.member_account_ids)
            if outsiders:
                self._add("organizations", index, "delegated_administrators", f"{outsiders[0]} is not a member")
            if organization.management_account_id in organization.delegated_administrators:
                message = f"{organization.management_account_id} is the management account"
                self._add("organizations", index, "delegated_administrators", message)

    def _check_trail(self, index: int, declared: DeclaredTrail) -> EventSelectors:
        self._check_known("trails", index, "account_id", declared.account_id)
        for field, check in (("name", check_trail_name), ("s3_bucket_name", check_bucket_name)):
            self._check_name(index, field, getattr(declared, field), check)
        if declared.s3_key_prefix is not None:
            self._check_name(index, "s3_key_prefix", declared.s3_key_prefix, check_prefix)
        for field, form in (("kms_key_id", "arn:aws:kms:…:key/…"), ("sns_topic_arn", "arn:aws:sns:…")):
            value = getattr(declared, field)
            if value is not None and not value.startswith("arn:"):
                self._add("trails", index, field, f"must be a full ARN ({form})")
        if declared.is_multi_region_trail and not declared.include_global_service_events:
            field = "include_global_service_events"
            self._add("trails", index, field, "Multi-Region trail must include global service events.")
        if (declared.cloud_watch_logs_log_group_arn is None) != (declared.cloud_watch_logs_role_arn is None):
            self._add("trails", index, "cloud_watch_logs_role_arn", "log group and role are given together")
        self._check_owner(index, declared)
        try:
            return EventSelectors.from_api(declared.event_selectors, declared.advanced_event_selectors)
        except InvalidEventSelectors as error:
            field = "event_selectors" if declared.advanced_event_selectors is None else "advanced_event_selectors"
            self._add("trails", index, field, str(error))
            return EventSelectors()

    def _check_owner(self, index: int, declared: DeclaredTrail) -> None:
        if declared.organization_id is None:
            return
        organization = self._known_organizations.get(declared.organization_id)
        if organization is None:
            self._add("trails", index, "organization_id", f"there is no organization {declared.organization_id}")
        elif organization.management_account_id != declared.account_id:
            owner = organization.management_account_id
            self._add("trails", index, "account_id", f"an organization trail belongs to the management account {owner}")

    def _check_known(self, kind: str, index: int, field: str, account_id: str) -> None:
        if account_id not in self._known_accounts:
            self._add(kind, index, field, f"there is no account {account_id}; declare it under [[accounts]]")

    def _check_name(self, index: int, field: str, value: str, check: Callable[[str], None]) -> None:
        try:
            check(value)
        except InvalidName as error:
            self._add("trails", index, field, str(error))

    def _check_repeated(self, kind: str, keys: Sequence[object]) -> None:
        for index, key in enumerate(keys):
            if key in keys[:index]:
                self._add(kind, index, "", f"is declared twice (see {kind}[{keys.index(key)}])")

    def _add(self, kind: str, index: int, field: str, message: str) -> None:
        self.mistakes.append(f"{self._places.of(kind, index, field)}: {message}")


def _organization(declared: DeclaredOrganization, before: Organization | None) -> Organization:
    members = frozenset({*declared.member_account_ids, declared.management_account_id})
    administrators = declared.delegated_administrators
    if administrators is None:  # who is no member any more, or manages it now, is no administrator either
        may_be = members - {declared.management_account_id}
        administrators = sorted(may_be & before.delegated_administrators) if before is not None else []
    return Organization(
        id=declared.id,
        management_account_id=declared.management_account_id,
        member_account_ids=members,
        delegated_administrators=frozenset(administrators),
    )


def _trail(
    declared: DeclaredTrail,
    selectors: EventSelectors,
    before: Trail | None,
    now: int,
    new_incarnation: Callable[[], str],
) -> Trail:
    """The trail as it is to be. What the API alone sets (tags, Insights) stays as it is."""
    members = declared.model_dump(exclude={"start_logging", "event_selectors", "advanced_event_selectors"})
    members.update(is_logging=declared.start_logging, event_selectors=selectors)
    if before is None:
        return with_session(Trail(incarnation=new_incarnation(), **members), None, now)
    return with_session(replace(before, **members), before, now)


def _key(trail: Trail) -> _TrailKey:
    return trail.account_id, trail.home_region, trail.name


def _changed(
    kind: Kind, before: Mapping[str, T], wanted: Mapping[str, T], body_of: Callable[[T], Mapping[str, object]]
) -> Iterator[NewChange]:
    for id_, entity in wanted.items():
        if before.get(id_) != entity:
            yield NewChange(kind, id_, body_of(entity))
