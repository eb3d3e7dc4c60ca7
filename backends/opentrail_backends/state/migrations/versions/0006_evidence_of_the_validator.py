"""What proofs of single records and signed heads of chains need (`tables.py`).

A chain's newest published digest of before gets its head as soon as a process of this release looks. The release before
goes on: it intends files without a root, and publishes digests without a head; the next digest's makes up for it.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def _number(column: str) -> sa.Column[int]:
    return sa.Column(column, sa.BigInteger(), nullable=False, server_default="0")


def _partial(where: str) -> dict[str, Any]:
    return {"sqlite_where": sa.text(where), "postgresql_where": sa.text(where)}


def upgrade() -> None:
    """Adds columns and indexes; notes which digest of each chain was published last, and which ended it."""
    op.add_column("file", sa.Column("records_root", NAME))
    op.add_column("digest", sa.Column("ended", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.execute(
        sa.text(
            "UPDATE digest SET ended = true WHERE EXISTS (SELECT 1 FROM chain "
            "WHERE chain.id = digest.chain_id AND chain.ended AND chain.sequence = digest.sequence)"
        )
    )
    for column in (
        _number("published_sequence"),
        sa.Column("signed_head", sa.LargeBinary()),
        _number("signed_head_sequence"),
        _number("signed_head_put"),
    ):
        op.add_column("chain", column)
    op.execute(
        sa.text(
            "UPDATE chain SET published_sequence = coalesce((SELECT max(digest.sequence) FROM digest "
            "WHERE digest.chain_id = chain.id AND digest.published_at IS NOT NULL), 0)"
        )
    )
    op.create_index("chain_unsigned", "chain", ["id"], **_partial("published_sequence > signed_head_sequence"))
    op.create_index("chain_head_to_put", "chain", ["id"], **_partial("signed_head_sequence > signed_head_put"))
