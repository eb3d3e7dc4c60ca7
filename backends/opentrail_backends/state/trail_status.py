"""What delivery last did for a trail in a region (GetTrailStatus)."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, func, select

from opentrail_backends.state import tables
from opentrail_backends.state.parked_files import is_spooled

_chain = tables.chain
_file = tables.file


def trail_status(incarnation: str, region: str) -> Select[Any]:
    """One row: newest times, and what stands in the way now. Each part is a look into an index."""
    noted = tables.trail_delivery.c
    delivered = select(func.max(noted.delivered_at)).where(noted.incarnation == incarnation, noted.region == region)
    of_trail = (_chain.c.incarnation == incarnation, _chain.c.region == region)
    published = select(func.max(_chain.c.digest_published_at)).where(*of_trail)
    digest_error = select(func.max(_chain.c.digest_error)).where(*of_trail)
    failing = (
        _file.c.incarnation == incarnation,
        _file.c.region == region,
        _file.c.failing_since.is_not(None),
        is_spooled(_file),
    )
    since = select(func.min(_file.c.failing_since)).where(*failing)
    error = select(_file.c.error).where(*failing).order_by(_file.c.failing_since.desc(), _file.c.id.desc()).limit(1)
    told = tables.trail_notification.c
    of_told = (told.incarnation == incarnation, told.region == region)
    parts = {
        "delivered_at": delivered,
        "digest_delivered_at": published,
        "delivery_error": error,
        "digest_error": digest_error,
        "failing_since": since,
        "notified_at": select(told.notified_at).where(*of_told),
        "notification_error": select(told.error).where(*of_told),
        "notification_failing_since": select(told.failing_since).where(*of_told),
    }
    return select(*(part.scalar_subquery().label(name) for name, part in parts.items()))
