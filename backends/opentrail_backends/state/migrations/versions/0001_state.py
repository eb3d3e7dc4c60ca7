"""The first schema: configuration, ledger, digest chains, signing keys. `tables.py` says what the columns mean."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _name(column: str, **options: Any) -> sa.Column[str]:
    return sa.Column(column, NAME, **{"nullable": False, **options})


def _number(column: str, **options: Any) -> sa.Column[int]:
    return sa.Column(column, sa.BigInteger(), **{"nullable": False, **options})


def _small(column: str) -> sa.Column[int]:
    return sa.Column(column, sa.Integer(), nullable=False)


def _partial(where: str) -> dict[str, Any]:
    return {"sqlite_where": sa.text(where), "postgresql_where": sa.text(where)}


def upgrade() -> None:
    """Makes all tables."""
    _configuration()
    _ledger()
    _chains()
    op.create_table(
        "public_key",
        _name("region"),
        _number("valid_from"),
        _number("valid_until"),
        _name("fingerprint"),
        sa.Column("der", sa.LargeBinary(), nullable=False),
        _name("reference"),
        sa.PrimaryKeyConstraint("region", "valid_from"),
    )


def _configuration() -> None:
    clock = op.create_table("clock", _small("id"), _number("last"), sa.PrimaryKeyConstraint("id"))
    op.bulk_insert(clock, [{"id": 1, "last": 0}])
    head = op.create_table(
        "configuration_head",
        _small("id"),
        _number("revision"),
        _number("effective_at"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.bulk_insert(head, [{"id": 1, "revision": 0, "effective_at": 0}])
    op.create_table(
        "configuration_change",
        _number("revision"),
        _number("effective_at"),
        _name("kind"),
        _name("entity_id"),
        sa.Column("body", sa.Text()),
        sa.PrimaryKeyConstraint("revision"),
    )
    op.create_table(
        "token",
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        _name("account_id"),
        _name("name"),
        _number("expires_at", nullable=True),
        sa.PrimaryKeyConstraint("token_hash"),
    )
    op.create_table(
        "access_key",
        _name("access_key_id"),
        _name("account_id"),
        _name("role"),
        sa.Column("encrypted_secret", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("access_key_id"),
    )


def _ledger() -> None:
    op.create_table(
        "client_numbers",
        _name("region"),
        _name("account_id"),
        sa.Column("client_id", sa.LargeBinary(), nullable=False),
        _number("newest"),
        sa.Column("holes", sa.Text(), nullable=False),
        _number("floor"),
        _number("seen_at"),
        sa.PrimaryKeyConstraint("region", "account_id", "client_id"),
    )
    op.create_table(
        "topic", _name("region"), _name("topic_id"), _small("partitions"), sa.PrimaryKeyConstraint("region")
    )
    op.create_table(
        "partition",
        _name("region"),
        _small("number"),
        _number("epoch"),
        _name("token"),
        _number("last_intent"),
        _number("next_offset"),
        _number("last_delivered_at", nullable=True),
        sa.PrimaryKeyConstraint("region", "number"),
    )
    op.create_table(
        "intent",
        _name("region"),
        _small("partition"),
        _number("number"),
        _number("first_offset"),
        _number("end_offset"),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("closed", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("region", "partition", "number"),
        sa.ForeignKeyConstraint(["region", "partition"], ["partition.region", "partition.number"]),
    )
    op.create_table(
        "file",
        sa.Column("id", ROW_ID, primary_key=True),
        _name("region"),
        _small("partition"),
        _number("intent"),
        _small("position"),
        _name("incarnation"),
        _number("logging_session"),
        _name("account_id"),
        _small("part"),
        _name("bucket"),
        _name("object_key"),
        _name("sha256"),
        _number("events"),
        _number("oldest_event_time"),
        _number("newest_event_time"),
        _name("state"),
        _number("delivered_at", nullable=True),
        _number("digest", nullable=True),
        sqlite_autoincrement=True,
    )
    op.create_index("file_of_intent", "file", ["region", "partition", "intent", "position"], unique=True)
    op.create_index(
        "file_undigested",
        "file",
        ["incarnation", "logging_session", "account_id", "region", "delivered_at"],
        **_partial("digest IS NULL"),
    )
    op.create_index("file_parked", "file", ["id"], **_partial("state = 'parked'"))
    op.create_table(
        "trail_delivery",
        _name("incarnation"),
        _name("region"),
        _small("partition"),
        _number("delivered_at"),
        sa.PrimaryKeyConstraint("incarnation", "region", "partition"),
    )


def _chains() -> None:
    op.create_table("place", _name("place"), _number("last_stamp"), sa.PrimaryKeyConstraint("place"))
    op.create_table(
        "chain",
        _name("id"),
        _name("incarnation"),
        _number("logging_session"),
        _name("account_id"),
        _name("region"),
        _name("trail_name"),
        _name("home_region"),
        _name("bucket"),
        _name("key_prefix", nullable=True),
        _name("organization_id", nullable=True),
        _name("place"),
        _number("last_end"),
        _number("next_end"),
        _number("sequence"),
        _name("head_bucket", nullable=True),
        _name("head_key", nullable=True),
        _name("head_sha256", nullable=True),
        _name("head_signature", nullable=True),
        sa.Column("ending", sa.Boolean(), nullable=False),
        sa.Column("ended", sa.Boolean(), nullable=False),
        _number("digest_published_at", nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.ForeignKeyConstraint(["place"], ["place.place"]),
        sa.UniqueConstraint("incarnation", "logging_session", "account_id", "region", name="chain_identity"),
    )
    op.create_index("chain_due", "chain", ["ended", "next_end"])
    op.create_table(
        "digest",
        _name("chain_id"),
        _number("sequence"),
        _name("bucket"),
        _name("object_key"),
        _number("start"),
        _number("end"),
        sa.Column("body", sa.LargeBinary()),
        _name("sha256"),
        _name("signature"),
        _name("fingerprint"),
        _name("trail_arn"),
        _name("kms_key_id", nullable=True),
        _number("published_at", nullable=True),
        sa.PrimaryKeyConstraint("chain_id", "sequence"),
        sa.ForeignKeyConstraint(["chain_id"], ["chain.id"]),
    )
    op.create_index("digest_unpublished", "digest", ["chain_id", "sequence"], **_partial("published_at IS NULL"))
