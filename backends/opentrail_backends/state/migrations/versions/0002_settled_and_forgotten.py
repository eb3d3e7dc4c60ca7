"""What parked files, withdrawn digests, settlements, formats and forgetting need (`tables.py`).

New columns have a default that fits what the release before writes meanwhile: a put that it does not count has
perhaps not been answered.
"""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _name(column: str, **options: Any) -> sa.Column[str]:
    return sa.Column(column, NAME, **{"nullable": False, **options})


def _number(column: str, **options: Any) -> sa.Column[int]:
    return sa.Column(column, sa.BigInteger(), **{"nullable": False, **options})


def _small(column: str, **options: Any) -> sa.Column[int]:
    return sa.Column(column, sa.Integer(), **{"nullable": False, **options})


def _partial(where: str) -> dict[str, Any]:
    return {"sqlite_where": sa.text(where), "postgresql_where": sa.text(where)}


def upgrade() -> None:
    """Adds columns, tables and indexes."""
    _files()
    _digests()
    _tables()
    for name in ("repeats", "given_up", "missing"):
        op.add_column("client_numbers", _number(name, server_default="0"))
    _leave_out_files_of_trails_without_validation()


def _files() -> None:
    for column in (
        _name("trail_arn", server_default=""),
        _name("kms_key_id", nullable=True),
        _name("owner", server_default=""),
        _number("parked_at", nullable=True),
        _number("parked_bytes", nullable=True),
        _number("failing_since", nullable=True),
        _name("error", nullable=True),
        _small("unanswered_puts", server_default="1"),
    ):
        op.add_column("file", column)
    # Of a file that is parked already nobody knows since when, nor what it takes.
    op.execute(sa.text("UPDATE file SET parked_at = (SELECT last FROM clock) WHERE state = 'parked'"))
    op.drop_index("file_undigested", "file")
    op.create_index(
        "file_undigested",
        "file",
        ["incarnation", "logging_session", "account_id", "region", "delivered_at", "digest"],
        **_partial("digest IS NULL"),
    )
    op.create_index(
        "file_spooled",
        "file",
        ["incarnation", "region", "failing_since", "owner", "state", "parked_bytes"],
        **_partial("state IN ('parked', 'expired')"),
    )


def _digests() -> None:
    for column in (
        _name("place", nullable=True),
        sa.Column("starting", sa.Boolean()),
        sa.Column("files", sa.Text()),
        _small("unanswered_puts", server_default="1"),
    ):
        op.add_column("digest", column)
    op.drop_index("digest_unpublished", "digest")
    op.create_index(
        "digest_unpublished",
        "digest",
        ["chain_id", "sequence", "bucket", "trail_arn", "published_at"],
        **_partial("published_at IS NULL"),
    )
    op.create_index("digest_published", "digest", ["published_at"], **_partial("published_at IS NOT NULL"))
    op.add_column("chain", _name("digest_error", nullable=True))
    op.create_index("chain_of_place", "chain", ["place"])


def _tables() -> None:
    op.create_table(
        "lost_offsets",
        sa.Column("id", ROW_ID, primary_key=True),
        _name("region"),
        _small("partition"),
        _name("topic_id"),
        _number("first_offset"),
        _number("end_offset"),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("accounts", sa.Text(), nullable=False),
        _number("recorded_at"),
    )
    op.create_table(
        "worker",
        _name("id"),
        _number("seen_at"),
        sa.Column("formats", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table("format", _name("kind"), _small("version"), sa.PrimaryKeyConstraint("kind"))


def _leave_out_files_of_trails_without_validation() -> None:
    """Files that no digest was ever to name: else they would look as if their chain were missing."""
    connection = op.get_bind()
    validating = {
        incarnation
        for incarnation, body in connection.execute(
            sa.text("SELECT entity_id, body FROM configuration_change WHERE kind = 'trail' AND body IS NOT NULL")
        )
        if json.loads(body).get("log_file_validation_enabled")
    }
    known = connection.execute(sa.text("SELECT DISTINCT entity_id FROM configuration_change WHERE kind = 'trail'"))
    for incarnation in sorted({row.entity_id for row in known} - validating):
        connection.execute(
            sa.text("UPDATE file SET digest = 0 WHERE incarnation = :incarnation AND digest IS NULL"),
            {"incarnation": incarnation},
        )
