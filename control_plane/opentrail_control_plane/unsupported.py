"""The operations that CloudTrail has and OpenTrail has not, and what OpenTrail has instead."""

from __future__ import annotations

from opentrail_control_plane.errors import ApiError

_LAKE = (
    "OpenTrail has no event data stores: a trail's log files in its bucket can be read by Athena or any other query "
    "engine, and LookupEvents searches the management events of 90 days."
)
_QUERIES = (
    "OpenTrail runs no queries: ask Athena or any other query engine over a trail's log files, or LookupEvents about "
    "the management events of 90 days."
)
_DASHBOARDS = "OpenTrail has no dashboards: its services export metrics for Prometheus, which Grafana and others show."
_IMPORTS = "OpenTrail imports nothing by this API: `opentrail ingest` sends the records of existing log files."
_INSIGHTS = "OpenTrail keeps no Insights data for this operation: LookupEvents finds Insights events."
_ORGANIZATIONS = "OpenTrail's organizations are declared in a file and changed with `opentrail apply`."
_OTHERWISE = "OpenTrail does not have it."

_INSTEAD = (
    ("Dashboard", _DASHBOARDS),
    ("Import", _IMPORTS),
    ("Quer", _QUERIES),
    ("Insights", _INSIGHTS),
    ("EventDataStore", _LAKE),
    ("Federation", _LAKE),
)
"""By a part of the operation's name; the first that fits counts."""


def unsupported(service: str, operation: str) -> ApiError:
    """The answer to an operation that is in the model and not here. Its input has been validated."""
    if service == "organizations":
        instead = _ORGANIZATIONS
    else:
        instead = next((text for part, text in _INSTEAD if part in operation), _OTHERWISE)
    return ApiError("UnsupportedOperationException", f"{operation} is not supported. {instead}")
