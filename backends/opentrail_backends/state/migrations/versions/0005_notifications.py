"""What notifications need (`notification_tables.py`): which files are to be told, whose turn it is, what became of it.

Files of before are told to nobody. The release before goes on: it writes no topic with a file, and what it delivers of
an intent that has topics is told by this one.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def _partial(where: str) -> dict[str, Any]:
    return {"sqlite_where": sa.text(where), "postgresql_where": sa.text(where)}


def upgrade() -> None:
    """Adds a column, an index and two tables."""
    op.add_column("file", sa.Column("sns_topic_arn", NAME))
    op.create_index(
        "file_untold", "file", ["incarnation", "id"], **_partial("state = 'delivered' AND sns_topic_arn IS NOT NULL")
    )
    op.create_table(
        "trail_notification",
        sa.Column("incarnation", NAME, nullable=False),
        sa.Column("region", NAME, nullable=False),
        sa.Column("notified_at", sa.BigInteger()),
        sa.Column("error", NAME),
        sa.Column("failing_since", sa.BigInteger()),
        sa.PrimaryKeyConstraint("incarnation", "region"),
    )
    op.create_table(
        "notification_turn",
        sa.Column("incarnation", NAME, nullable=False),
        sa.Column("token", NAME, nullable=False),
        sa.Column("held_until", sa.BigInteger(), nullable=False),
        sa.Column("failing_since", sa.BigInteger()),
        sa.PrimaryKeyConstraint("incarnation"),
    )
