"""What event selectors look at, taken out of a record once."""

from __future__ import annotations

from typing import NamedTuple


class SelectorClass(NamedTuple):
    """The values of a record that event selectors look at and that many records share (CloudTrail: event selectors).

    A member is None where the record lacks it. `error_code` and `vpc_endpoint_id` are kept for network
    activity events only, since only their selectors may name them.
    """

    event_category: str
    event_source: str
    event_name: str
    event_type: str
    read_only: bool | None
    resource_types: tuple[str, ...]
    """Distinct types of the record's `resources`, sorted."""
    session_credential_from_console: bool = False
    written_by_cloudtrail: bool = False
    """CloudTrail's own write (`userIdentity.invokedBy`), left out by trails with RecursiveLogging off."""
    error_code: str | None = None
    vpc_endpoint_id: str | None = None


class EventAttributes(NamedTuple):
    """What a selector may ask of one event beyond its class."""

    resources: tuple[tuple[str | None, str | None], ...]
    """(type, ARN) of each of the record's resources."""
    user_identity_arn: str | None
