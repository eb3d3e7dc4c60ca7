"""The tables that only the API needs: its calls, their numbers, and how many requests were taken. See `tables.py`."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, LargeBinary, Table

from opentrail_backends.state.columns import Json, Name, RowId, metadata, only

# Calls on their way to the bus: a row goes when the bus has it.
api_call = Table(
    "api_call",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("account_id", Name, nullable=False),
    Column("region", Name, nullable=False),
    Column("client_id", LargeBinary, nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("judged_at", BigInteger, nullable=False),  # the configuration of then governs it
    Column("record", LargeBinary, nullable=False),
    Column("claimed_until", BigInteger),
    Index("api_call_judged", "account_id", "region", "judged_at"),
    Index("api_call_claimed", "account_id", "region", "claimed_until", **only("claimed_until IS NOT NULL")),
    sqlite_autoincrement=True,  # an id that a slow publisher still holds is never given again
)

# Whose numbers the calls of an account and region get.
api_call_series = Table(
    "api_call_series",
    metadata,
    Column("account_id", Name, primary_key=True),
    Column("region", Name, primary_key=True),
    Column("client_id", LargeBinary, nullable=False),
    Column("next_number", BigInteger, nullable=False),
    Column("used_at", BigInteger, nullable=False),
)

# No index over what changes: PostgreSQL then changes such a row in its page, and nothing else.
request_rate = Table(
    "request_rate",
    metadata,
    Column("account_id", Name, primary_key=True),
    Column("region", Name, primary_key=True),
    Column("operation_class", Name, primary_key=True),
    Column("taken", Json, nullable=False),  # times of the requests that count, rising
    Column("taken_at", BigInteger, nullable=False),  # the last of them
)
