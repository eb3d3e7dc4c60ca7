"""Event selectors: which events a trail wants. Basic selectors are compiled to advanced ones.

What each field and operator means is told in `docs/event-selectors.md`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any

import msgspec

from opentrail.events.batch import EventAttributes, SelectorClass
from opentrail.trails.decision import Decider, Decision
from opentrail.trails.selector_rules import InvalidEventSelectors, check_advanced, check_basic
from opentrail.trails.selectors import (
    AdvancedEventSelector,
    BasicEventSelector,
    DataResource,
    FieldSelector,
    as_api,
    compile_basic,
)

__all__ = [
    "AdvancedEventSelector",
    "BasicEventSelector",
    "DataResource",
    "Decider",
    "Decision",
    "EventSelectors",
    "FieldSelector",
    "InvalidEventSelectors",
    "compile_basic",
    "decide",
    "wants",
]


@dataclass(frozen=True)  # without slots: `decider` is kept in the instance
class EventSelectors:
    """A trail's whole set of selectors, basic or advanced, never both. By default all management events."""

    basic: tuple[BasicEventSelector, ...] = ()
    advanced: tuple[AdvancedEventSelector, ...] = ()

    def __post_init__(self) -> None:
        if self.basic and self.advanced:
            raise InvalidEventSelectors("A trail has event selectors or advanced event selectors, not both.")
        if not self.basic and not self.advanced:
            object.__setattr__(self, "basic", (BasicEventSelector(),))

    @classmethod
    def from_api(
        cls,
        event_selectors: Sequence[Any] | None = None,
        advanced_event_selectors: Sequence[Any] | None = None,
    ) -> EventSelectors:
        """The selectors of a PutEventSelectors request, which replace those the trail had.

        Neither argument: the default of a new trail. Raises InvalidEventSelectors.
        """
        if event_selectors and advanced_event_selectors:
            raise InvalidEventSelectors("Specify either EventSelectors or AdvancedEventSelectors, not both.")
        try:
            basic = msgspec.convert(event_selectors, tuple[BasicEventSelector, ...] | None)
            advanced = msgspec.convert(advanced_event_selectors, tuple[AdvancedEventSelector, ...] | None)
        except msgspec.ValidationError as error:
            raise InvalidEventSelectors(f"The event selectors are not valid: {error}") from error
        if advanced:
            check_advanced(advanced)
            return cls(advanced=advanced)
        if basic is None and advanced is None:
            return cls()
        # An empty list is refused rather than taken for "nothing": a trail is not silenced by mistake.
        check_basic(basic or ())
        return cls(basic=basic or ())

    def to_api(self) -> dict[str, Any]:
        """The member of a GetEventSelectors answer: `EventSelectors` or `AdvancedEventSelectors`."""
        if self.advanced:
            return {"AdvancedEventSelectors": as_api(self.advanced)}
        return {"EventSelectors": as_api(self.basic)}

    @property
    def compiled(self) -> tuple[AdvancedEventSelector, ...]:
        """The advanced selectors that say the same."""
        return self.advanced or tuple(chain.from_iterable(map(compile_basic, self.basic)))

    @cached_property
    def decider(self) -> Decider:
        """Decides for these selectors; it remembers, so it is made once."""
        return Decider(self.compiled)


def decide(selectors: EventSelectors, selector_class: SelectorClass) -> Decision:
    """What the selectors make of all events of a class."""
    return selectors.decider.decide(selector_class)


def wants(selectors: EventSelectors, selector_class: SelectorClass, attributes: EventAttributes) -> bool:
    """Whether the selectors want one event of a class."""
    return selectors.decider.wants(selector_class, attributes)
