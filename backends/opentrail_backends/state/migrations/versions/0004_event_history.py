"""What event history needs before its first event: the tables of a week come with it (`event_history_tables.py`)."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Adds two tables."""
    op.create_table(
        "history_position",
        sa.Column("region", NAME, nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("topic_id", NAME, nullable=False),
        sa.Column("next_offset", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("region", "partition", "topic_id"),
    )
    op.create_table(
        "history_week",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("blocks", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
    )
