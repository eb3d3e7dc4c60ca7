"""The public halves of the keys that sign digests."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from opentrail.trails.refused import Refused
from opentrail_backends.state.port import PublicKey
from opentrail_control_plane import paging
from opentrail_control_plane.operations.context import Context, Reply

KEYS_PER_PAGE = 100


def list_public_keys(context: Context, members: dict[str, Any]) -> Reply:
    """ListPublicKeys: the region's keys of a time range, by their validity; without a range, the key of now.

    Raises Refused: InvalidTimeRangeException, InvalidTokenException.
    """
    start, end = (_seconds(members.get(name), context.now) for name in ("StartTime", "EndTime"))
    if start > end:
        raise Refused("InvalidTimeRangeException", "The start time must not be later than the end time.")
    query = {"operation": "ListPublicKeys", "account": context.account_id, "region": context.region}
    query |= {name: str(members.get(name)) for name in ("StartTime", "EndTime")}
    keys = sorted(context.state.public_keys.between(context.region, start, end), key=_place)
    if members.get("NextToken"):
        place = paging.opened(context.ports.token_key, query, members["NextToken"])
        if place is None:
            raise Refused("InvalidTokenException", "The token is not one of this query.")
        keys = [key for key in keys if _place(key) > tuple(place)]
    page = keys[:KEYS_PER_PAGE]
    more = len(keys) > len(page)
    return Reply(
        {
            "PublicKeyList": [_public_key(key) for key in page],
            "NextToken": paging.seal(context.ports.token_key, query, _place(page[-1])) if more else None,
        }
    )


def _place(key: PublicKey) -> tuple[int, str]:
    return key.valid_from, key.fingerprint


def _seconds(time: datetime | None, default: int) -> int:
    return default if time is None else int(time.timestamp())


def _public_key(key: PublicKey) -> dict[str, Any]:
    return {
        "Value": key.der,
        "ValidityStartTime": datetime.fromtimestamp(key.valid_from, UTC),
        "ValidityEndTime": datetime.fromtimestamp(key.valid_until, UTC),
        "Fingerprint": key.fingerprint,
    }
