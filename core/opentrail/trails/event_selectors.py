"""Event selectors: which events a trail wants. Basic selectors are compiled to advanced ones."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EventSelectors:
    """A trail's whole set of selectors, basic or advanced. (Placeholder of the shape; see the owner's work.)"""
