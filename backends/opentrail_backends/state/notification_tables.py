"""The tables of notifications. Which files are to be told is a column of `file`: `sns_topic_arn`."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Table

from opentrail_backends.state.columns import Name, metadata

# What became of telling a trail's topic of the files of a region (GetTrailStatus).
trail_notification = Table(
    "trail_notification",
    metadata,
    Column("incarnation", Name, primary_key=True),
    Column("region", Name, primary_key=True),
    Column("notified_at", BigInteger),
    Column("error", Name),  # of the newest try that failed, until one succeeds
    Column("failing_since", BigInteger),
)

# Who tells a trail's topic at the moment, or until when nobody does because it failed.
notification_turn = Table(
    "notification_turn",
    metadata,
    Column("incarnation", Name, primary_key=True),
    Column("token", Name, nullable=False),
    Column("held_until", BigInteger, nullable=False),
    Column("failing_since", BigInteger),
)
