"""The tables as this release uses them; `migrations/` makes them.

Names and keys are compared byte by byte on both databases (PostgreSQL: collation C), so that order and
equality do not depend on a locale. Times are milliseconds unless a comment says seconds.
"""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Dialect,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)


class Json(TypeDecorator[Any]):
    """A JSON value kept as text: it comes back as it was, also where jsonb would refuse or change it."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:  # noqa: ARG002
        """None is SQL's NULL. NaN and infinity are refused."""
        return None if value is None else json.dumps(value, allow_nan=False, separators=(",", ":"))

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:  # noqa: ARG002
        """The value that was kept."""
        return None if value is None else json.loads(value)


Name = Text().with_variant(Text(collation="C"), "postgresql")
RowId = BigInteger().with_variant(Integer(), "sqlite")  # SQLite counts up only an INTEGER PRIMARY KEY

metadata = MetaData()

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
    Column("digest", BigInteger),  # the sequence of the digest that names the file
    Index("file_of_intent", "region", "partition", "intent", "position", unique=True),
    Index(
        "file_undigested",
        "incarnation",
        "logging_session",
        "account_id",
        "region",
        "delivered_at",
        sqlite_where=text("digest IS NULL"),
        postgresql_where=text("digest IS NULL"),
    ),
    Index(
        "file_parked",
        "id",
        sqlite_where=text("state = 'parked'"),
        postgresql_where=text("state = 'parked'"),
    ),
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
)

# One row per partition, so that the windows of two partitions do not wait for each other.
trail_delivery = Table(
    "trail_delivery",
    metadata,
    Column("incarnation", Name, primary_key=True),
    Column("region", Name, primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("delivered_at", BigInteger, nullable=False),
)

# --- chains ---------------------------------------------------------------------------------------

place = Table(
    "place",
    metadata,
    Column("place", Name, primary_key=True),
    Column("last_stamp", BigInteger, nullable=False),  # seconds: the newest digestEndTime used here, or 0
)

chain = Table(
    "chain",
    metadata,
    Column("id", Name, primary_key=True),
    Column("incarnation", Name, nullable=False),
    Column("logging_session", BigInteger, nullable=False),
    Column("account_id", Name, nullable=False),
    Column("region", Name, nullable=False),
    Column("trail_name", Name, nullable=False),
    Column("home_region", Name, nullable=False),
    Column("bucket", Name, nullable=False),
    Column("key_prefix", Name),
    Column("organization_id", Name),
    Column("place", Name, ForeignKey("place.place"), nullable=False),
    Column("last_end", BigInteger, nullable=False),  # seconds
    Column("next_end", BigInteger, nullable=False),  # seconds
    Column("sequence", BigInteger, nullable=False),
    Column("head_bucket", Name),
    Column("head_key", Name),
    Column("head_sha256", Name),
    Column("head_signature", Name),
    Column("ending", Boolean, nullable=False),
    Column("ended", Boolean, nullable=False),
    Column("digest_published_at", BigInteger),
    UniqueConstraint("incarnation", "logging_session", "account_id", "region", name="chain_identity"),
    Index("chain_due", "ended", "next_end"),
)

digest = Table(
    "digest",
    metadata,
    Column("chain_id", Name, ForeignKey("chain.id"), primary_key=True),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("bucket", Name, nullable=False),
    Column("object_key", Name, nullable=False),
    Column("start", BigInteger, nullable=False),  # seconds
    Column("end", BigInteger, nullable=False),  # seconds
    Column("body", LargeBinary),  # forgotten once published
    Column("sha256", Name, nullable=False),
    Column("signature", Name, nullable=False),
    Column("fingerprint", Name, nullable=False),
    Column("trail_arn", Name, nullable=False),
    Column("kms_key_id", Name),
    Column("published_at", BigInteger),
    Index(
        "digest_unpublished",
        "chain_id",
        "sequence",
        sqlite_where=text("published_at IS NULL"),
        postgresql_where=text("published_at IS NULL"),
    ),
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
