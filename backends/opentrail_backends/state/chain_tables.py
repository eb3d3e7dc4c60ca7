"""The tables of digest chains: places, chains and their digests."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    UniqueConstraint,
    false,
)

from opentrail_backends.state.columns import Json, Name, metadata, only

SESSION = ("incarnation", "logging_session", "account_id", "region")
"""Whose a chain and a file are."""
_OF_WAITING = ("chain_id", "sequence", "bucket", "trail_arn", "published_at")

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
    Column("digest_error", Name),  # of the newest put that failed, until a digest is published
    Column("published_sequence", BigInteger, nullable=False, server_default="0"),  # of the newest published digest
    Column("signed_head", LargeBinary),  # the statement that the digest below was put
    Column("signed_head_sequence", BigInteger, nullable=False, server_default="0"),
    Column("signed_head_put", BigInteger, nullable=False, server_default="0"),  # the one that the second place has
    UniqueConstraint(*SESSION, name="chain_identity"),
    Index("chain_due", "ended", "next_end"),
    Index("chain_of_place", "place"),
    Index("chain_unsigned", "id", **only("published_sequence > signed_head_sequence")),
    Index("chain_head_to_put", "id", **only("signed_head_sequence > signed_head_put")),
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
    Column("place", Name),  # where it lies: the chain may have moved since; NULL: an older release built it
    Column("starting", Boolean),  # whether it links to no digest before it; NULL: an older release built it
    Column("files", Json),  # ids of the files that it names, for the withdrawal; forgotten once published
    Column("unanswered_puts", Integer, nullable=False, server_default="1"),  # an older release counts none
    Column("ended", Boolean, nullable=False, server_default=false()),  # whether it is its chain's last one
    Index("digest_unpublished", *_OF_WAITING, **only("published_at IS NULL")),
    Index("digest_published", "published_at", **only("published_at IS NOT NULL")),
)
