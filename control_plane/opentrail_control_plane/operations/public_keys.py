"""The public halves of the keys that sign digests."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from opentrail_backends.state.port import PublicKey
from opentrail_control_plane.errors import ApiError
from opentrail_control_plane.operations.context import Context


def list_public_keys(context: Context, members: dict[str, Any]) -> dict[str, Any]:
    """ListPublicKeys: the region's keys of a time range; without one, the key of now. All on one page."""
    if members.get("NextToken"):
        raise ApiError("InvalidTokenException", "This list has one page; there is no token to go on with.")
    start, end = (_seconds(members.get(name), context.now) for name in ("StartTime", "EndTime"))
    if start > end:
        raise ApiError("InvalidTimeRangeException", "The start time must not be later than the end time.")
    keys = context.state.public_keys.between(context.region, start, end)
    return {"PublicKeyList": [_public_key(key) for key in keys]}


def _seconds(time: datetime | None, default: int) -> int:
    return default if time is None else int(time.timestamp())


def _public_key(key: PublicKey) -> dict[str, Any]:
    return {
        "Value": key.der,
        "ValidityStartTime": datetime.fromtimestamp(key.valid_from, UTC),
        "ValidityEndTime": datetime.fromtimestamp(key.valid_until, UTC),
        "Fingerprint": key.fingerprint,
    }
