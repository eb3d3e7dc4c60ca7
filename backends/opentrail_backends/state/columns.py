"""What all tables share: their list, types of columns and indexes of a part of a table, for both databases."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import BigInteger, Dialect, Integer, MetaData, Text, TypeDecorator, text

metadata = MetaData()


class Json(TypeDecorator[Any]):
    """A JSON value kept as text: it comes back as it was, also where jsonb would refuse or change it."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:  # noqa: ARG002 (as declared)
        """None is SQL's NULL. NaN and infinity are refused."""
        return None if value is None else json.dumps(value, allow_nan=False, separators=(",", ":"))

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:  # noqa: ARG002 (as declared)
        """The value that was kept."""
        return None if value is None else json.loads(value)


Name = Text().with_variant(Text(collation="C"), "postgresql")
RowId = BigInteger().with_variant(Integer(), "sqlite")  # SQLite counts up only an INTEGER PRIMARY KEY


def only(where: str) -> dict[str, Any]:
    """A partial index: only the rows of which this is true."""
    return {"sqlite_where": text(where), "postgresql_where": text(where)}
