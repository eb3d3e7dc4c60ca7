"""Whether selectors want an event: decided once per selector class, per event only where an ARN decides.

Semantics (reference: CloudTrail §6.3): an event is wanted if any selector matches; a selector matches if all
its fields do; a field matches if one of its positive operators does, or it has none, and no negative one does.
An absent value matches no positive operator and passes every negative one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum

from opentrail.events.batch import EventAttributes, SelectorClass
from opentrail.trails.selectors import AdvancedEventSelector, FieldSelector


class Decision(Enum):
    """What selectors make of all events of a selector class."""

    NO = "no"
    YES = "yes"
    PER_EVENT = "per event"
    """It depends on the attributes of each event."""


Matches = Callable[[str | None], bool]
"""Whether a field selector holds for the value of its field."""

_MEMO_LIMIT = 10_000
"""Classes remembered per set of selectors; beyond that the memo begins anew."""


def _true(value: bool | None) -> str | None:
    return None if value is None else "true" if value else "false"


_CLASS_FIELDS: dict[str, Callable[[SelectorClass], str | None]] = {
    "eventCategory": lambda c: c.event_category,
    "eventSource": lambda c: c.event_source,
    "eventName": lambda c: c.event_name,
    "eventType": lambda c: c.event_type,
    "readOnly": lambda c: _true(c.read_only),
    "errorCode": lambda c: c.error_code,
    "vpcEndpointId": lambda c: c.vpc_endpoint_id,
    # CloudTrail writes the field only when it is true.
    "sessionCredentialFromConsole": lambda c: "true" if c.session_credential_from_console else None,
}


class _Rule:
    """One advanced selector, made ready to ask."""

    def __init__(self, selector: AdvancedEventSelector) -> None:
        matches = {field.field: _matcher(field) for field in selector.field_selectors}
        self._type = matches.pop("resources.type", None)
        self._arn = matches.pop("resources.ARN", None)
        self._identity = matches.pop("userIdentity.arn", None)
        self._class_fields = [(_CLASS_FIELDS[name], match) for name, match in matches.items()]
        self.asks_events = self._arn is not None or self._identity is not None

    def matches_class(self, selector_class: SelectorClass) -> bool:
        """Whether all that the class tells fits."""
        if not all(match(value_of(selector_class)) for value_of, match in self._class_fields):
            return False
        return self._type is None or any(map(self._type, selector_class.resource_types))

    def matches_event(self, event: EventAttributes) -> bool:
        """Whether an event of a matching class fits: one resource has both the type and the ARN asked for."""
        if self._identity is not None and not self._identity(event.user_identity_arn):
            return False
        if self._arn is None:
            return True
        arn_matches = self._arn
        type_matches = self._type or (lambda _: True)
        return any(type_matches(type_) and arn_matches(arn) for type_, arn in event.resources)


class Decider:
    """Decides for one set of selectors, remembering each selector class."""

    def __init__(self, selectors: Iterable[AdvancedEventSelector]) -> None:
        self._rules = [_Rule(selector) for selector in selectors]
        self._memo: dict[SelectorClass, tuple[Decision, list[_Rule]]] = {}

    def decide(self, selector_class: SelectorClass) -> Decision:
        """The decision for all events of a class."""
        return self._decided(selector_class)[0]

    def wants(self, selector_class: SelectorClass, attributes: EventAttributes) -> bool:
        """Whether one event of a class is wanted."""
        decision, rules = self._decided(selector_class)
        if decision is not Decision.PER_EVENT:
            return decision is Decision.YES
        return any(rule.matches_event(attributes) for rule in rules)

    def _decided(self, selector_class: SelectorClass) -> tuple[Decision, list[_Rule]]:
        known = self._memo.get(selector_class)
        if known is None:
            if len(self._memo) >= _MEMO_LIMIT:
                self._memo.clear()
            known = self._memo[selector_class] = self._decide(selector_class)
        return known

    def _decide(self, selector_class: SelectorClass) -> tuple[Decision, list[_Rule]]:
        rules = [rule for rule in self._rules if rule.matches_class(selector_class)]
        if not rules:
            return Decision.NO, []
        if all(rule.asks_events for rule in rules):
            return Decision.PER_EVENT, rules
        return Decision.YES, []


def _matcher(selector: FieldSelector) -> Matches:
    """The field selector as a function of the field's value."""
    equals, not_equals = frozenset(selector.equals), frozenset(selector.not_equals)
    starts, ends = selector.starts_with, selector.ends_with
    not_starts, not_ends = selector.not_starts_with, selector.not_ends_with
    has_positive = bool(equals or starts or ends)

    def matches(value: str | None) -> bool:
        if value is None:
            return not has_positive
        if has_positive and not (value in equals or value.startswith(starts) or value.endswith(ends)):
            return False
        return not (value in not_equals or value.startswith(not_starts) or value.endswith(not_ends))

    return matches
