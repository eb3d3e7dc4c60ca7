"""What the API needs: its calls on their way to the bus, rates of requests, names of access keys (`tables.py`).

The release before goes on: it writes access keys without a name, and none of the new tables.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _name(column: str, **options: Any) -> sa.Column[str]:
    return sa.Column(column, NAME, **{"nullable": False, **options})


def _number(column: str, **options: Any) -> sa.Column[int]:
    return sa.Column(column, sa.BigInteger(), **{"nullable": False, **options})


def _bytes(column: str) -> sa.Column[bytes]:
    return sa.Column(column, sa.LargeBinary(), nullable=False)


def _partial(where: str) -> dict[str, Any]:
    return {"sqlite_where": sa.text(where), "postgresql_where": sa.text(where)}


def upgrade() -> None:
    """Adds a column, tables and indexes."""
    op.add_column("access_key", _name("name", server_default=""))
    op.create_table(
        "api_call",
        sa.Column("id", ROW_ID, primary_key=True),
        _name("account_id"),
        _name("region"),
        _bytes("client_id"),
        _number("number"),
        _number("judged_at"),
        _bytes("record"),
        _number("claimed_until", nullable=True),
        sqlite_autoincrement=True,
    )
    op.create_index("api_call_judged", "api_call", ["account_id", "region", "judged_at"])
    op.create_index(
        "api_call_claimed",
        "api_call",
        ["account_id", "region", "claimed_until"],
        **_partial("claimed_until IS NOT NULL"),
    )
    op.create_table(
        "api_call_series",
        _name("account_id"),
        _name("region"),
        _bytes("client_id"),
        _number("next_number"),
        _number("used_at"),
        sa.PrimaryKeyConstraint("account_id", "region"),
    )
    op.create_table(
        "request_rate",
        _name("account_id"),
        _name("region"),
        _name("operation_class"),
        sa.Column("taken", sa.Text(), nullable=False),
        _number("taken_at"),
        sa.PrimaryKeyConstraint("account_id", "region", "operation_class"),
    )
