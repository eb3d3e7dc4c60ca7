"""The tables as this release uses them; `migrations/` makes them.

Names and keys are compared byte by byte on both databases (PostgreSQL: collation C), so that order and
equality do not depend on a locale. Times are milliseconds unless a comment says seconds.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
)

from opentrail_backends.state.api_tables import api_call, api_call_series, request_rate
from opentrail_backends.state.chain_tables import SESSION, chain, digest, place
from opentrail_backends.state.columns import Json, Name, RowId, metadata, only
from opentrail_backends.state.notification_tables import notification_turn, trail_notification

__all__ = [  # beside those that are made here
    "api_call",
    "api_call_series",
    "chain",
    "digest",
    "metadata",
    "notification_turn",
    "place",
    "request_rate",
    "trail_notification",
]

# What the indexes below hold is all that their queries ask for: SQLite, too, need not look at the rows.
_OF_SPOOLED = ("incarnation", "region", "failing_since", "owner", "state", "parked_bytes")


clock = Table(
    "clock",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),  # always 1
    Column("last", BigInteger, nullable=False),  # the highest time that any row records
)

# --- configuration --------------------------------------------------------------------------------

configuration_head = Table(
    "configuration_head",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),  # always 1
    Column("revision", BigInteger, nullable=False),
    Column("effective_at", BigInteger, nullable=False),
)

configuration_change = Table(
    "configuration_change",
    metadata,
    Column("revision", BigInteger, primary_key=True, autoincrement=False),
    Column("effective_at", BigInteger, nullable=False),
    Column("kind", Name, nullable=False),
    Column("entity_id", Name, nullable=False),
    Column("body", Json),  # NULL: deleted
)

token = Table(
    "token",
    metadata,
    Column("token_hash", LargeBinary, primary_key=True),
    Column("account_id", Name, nullable=False),
    Column("name", Name, nullable=False),
    Column("expires_at", BigInteger),
)

access_key = Table(
    "access_key",
    metadata,
    Column("access_key_id", Name, primary_key=True),
    Column("account_id", Name, nullable=False),
    Column("role", Name, nullable=False),
    Column("encrypted_secret", LargeBinary, nullable=False),
    Column("name", Name, nullable=False, server_default=""),  # an older release keeps none
)

# --- ledger ---------------------------------------------------------------------------------------

topic = Table(
    "topic",
    metadata,
    Column("region", Name, primary_key=True),
    Column("topic_id", Name, nullable=False),
    Column("partitions", Integer, nullable=False),
)

partition = Table(
    "partition",
    metadata,
    Column("region", Name, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("epoch", BigInteger, nullable=False),
    Column("token", Name, nullable=False),
    Column("last_intent", BigInteger, nullable=False),
    Column("next_offset", BigInteger, nullable=False),
    Column("last_delivered_at", BigInteger),
)

intent = Table(
    "intent",
    metadata,
    Column("region", Name, primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("first_offset", BigInteger, nullable=False),
    Column("end_offset", BigInteger, nullable=False),
    Column("body", Json, nullable=False),
    Column("closed", Boolean, nullable=False),
    ForeignKeyConstraint(["region", "partition"], ["partition.region", "partition.number"]),
)

# No foreign keys: a file outlives its intent, and its chain may be made after it. No row is looked for by its
# object key alone, and no key is unique here: a create-only put decides who has a key.
file = Table(
    "file",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("region", Name, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("intent", BigInteger, nullable=False),
    Column("position", Integer, nullable=False),  # its place in the intent
    Column("incarnation", Name, nullable=False),
    Column("logging_session", BigInteger, nullable=False),
    Column("account_id", Name, nullable=False),
    Column("part", Integer, nullable=False),
    Column("bucket", Name, nullable=False),
    Column("object_key", Name, nullable=False),
    Column("sha256", Name, nullable=False),
    Column("events", BigInteger, nullable=False),
    Column("oldest_event_time", BigInteger, nullable=False),  # seconds
    Column("newest_event_time", BigInteger, nullable=False),  # seconds
    Column("state", Name, nullable=False),
    Column("delivered_at", BigInteger),  # set if and only if the state is `delivered`
    Column("digest", BigInteger),  # the sequence of the digest that names the file; 0: no digest is to name it
    Column("trail_arn", Name, nullable=False, server_default=""),
    Column("kms_key_id", Name),
    Column("owner", Name, nullable=False, server_default=""),  # whose share of the spool it takes if it is parked
    Column("parked_at", BigInteger),  # kept after the delivery; of a lost file: when it was settled
    Column("parked_bytes", BigInteger),  # of its copy in the spool
    Column("failing_since", BigInteger),
    Column("error", Name),
    Column("unanswered_puts", Integer, nullable=False, server_default="1"),  # an older release counts none
    Column("sns_topic_arn", Name),  # to be told once the file is delivered; NULL: nobody is, or it was told
    Column("records_root", Name),  # of the tree over its records; NULL: an older release intended it, or none was asked
    Index("file_of_intent", "region", "partition", "intent", "position", unique=True),
    Index("file_undigested", *SESSION, "delivered_at", "digest", **only("digest IS NULL")),
    Index("file_parked", "id", **only("state = 'parked'")),
    # Whose share is used up, and what a trail has in the spool.
    Index("file_spooled", *_OF_SPOOLED, **only("state IN ('parked', 'expired')")),
    Index("file_untold", "incarnation", "id", **only("state = 'delivered' AND sns_topic_arn IS NOT NULL")),
    sqlite_autoincrement=True,  # an id that a slow builder still holds is never given again
)

client_numbers = Table(
    "client_numbers",
    metadata,
    Column("region", Name, primary_key=True),
    Column("account_id", Name, primary_key=True),
    Column("client_id", LargeBinary, primary_key=True),
    Column("newest", BigInteger, nullable=False),
    Column("holes", Json, nullable=False),  # [[first, last], …]
    Column("floor", BigInteger, nullable=False),
    Column("seen_at", BigInteger, nullable=False),
    Column("repeats", BigInteger, nullable=False, server_default="0"),
    Column("given_up", BigInteger, nullable=False, server_default="0"),
    Column("missing", BigInteger, nullable=False, server_default="0"),  # what the holes hold, for sums
)

# What operators gave up.
lost_offsets = Table(
    "lost_offsets",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("region", Name, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("topic_id", Name, nullable=False),
    Column("first_offset", BigInteger, nullable=False),
    Column("end_offset", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("accounts", Json, nullable=False),
    Column("recorded_at", BigInteger, nullable=False),
)

# --- releases that run side by side -----------------------------------------------------------------

worker = Table(
    "worker",
    metadata,
    Column("id", Name, primary_key=True),
    Column("seen_at", BigInteger, nullable=False),
    Column("formats", Json, nullable=False),  # the newest one that it knows, of each kind
)

format_ = Table(
    "format",
    metadata,
    Column("kind", Name, primary_key=True),
    Column("version", Integer, nullable=False),  # switched on; never lowered
)

# --- the newest delivery of each trail -----------------------------------------------------------------

# One row per partition, so that the windows of two partitions do not wait for each other.
trail_delivery = Table(
    "trail_delivery",
    metadata,
    Column("incarnation", Name, primary_key=True),
    Column("region", Name, primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("delivered_at", BigInteger, nullable=False),
)

# --- keys -----------------------------------------------------------------------------------------

public_key = Table(
    "public_key",
    metadata,
    Column("region", Name, primary_key=True),
    Column("valid_from", BigInteger, primary_key=True, autoincrement=False),  # seconds
    Column("valid_until", BigInteger, nullable=False),  # seconds
    Column("fingerprint", Name, nullable=False),
    Column("der", LargeBinary, nullable=False),
    Column("reference", Name, nullable=False),
)
