"""PutEventSelectors: which selectors a request gives a trail (reference: CloudTrail §6)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from opentrail.trails.event_selectors import EventSelectors, InvalidEventSelectors
from opentrail.trails.trail import Trail


def with_event_selectors(trail: Trail, members: Mapping[str, Any]) -> Trail:
    """The trail with the request's selectors, basic or advanced, in place of all that it had.

    Raises:
        Refused: InvalidEventSelectorsException, also for both kinds at once and for none.
    """
    basic, advanced = members.get("EventSelectors"), members.get("AdvancedEventSelectors")
    if basic is None and advanced is None:
        raise InvalidEventSelectors("Specify EventSelectors or AdvancedEventSelectors.")
    return replace(trail, event_selectors=EventSelectors.from_api(basic, advanced))
