"""Configuration with its revisions, producers' tokens, access keys."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import bindparam, delete, select, update

from opentrail.trails.configuration import Change, Kind
from opentrail_backends.state import tables
from opentrail_backends.state.api_calls import keep_calls, number_calls
from opentrail_backends.state.clock import StoreClock
from opentrail_backends.state.engine import Transactions, insert
from opentrail_backends.state.port import AccessKey, NewCall, NewChange, ProducerToken, RevisionConflict
from opentrail_backends.state.secret_box import SecretBox

_TOKEN_HASH_BYTES = 32

# Asked for each request to the API, and made once: to make a statement costs as much as to run it.
_ONE_ACCESS_KEY = select(tables.access_key).where(tables.access_key.c.access_key_id == bindparam("wanted"))
_CHANGES_AFTER = (
    select(tables.configuration_change)
    .where(tables.configuration_change.c.revision > bindparam("known"))
    .order_by(tables.configuration_change.c.revision)
)


class SqlConfiguration:
    """The `ConfigurationStore` port on SQL."""

    def __init__(self, transactions: Transactions, clock: StoreClock, secrets: SecretBox) -> None:
        self._transactions = transactions
        self._clock = clock
        self._secrets = secrets

    def now(self) -> int:
        """The store's clock."""
        with self._transactions.reading() as connection:
            return self._clock.read(connection)

    def changes_after(self, revision: int) -> Sequence[Change]:
        """All changes with a higher revision, in order."""
        with self._transactions.asking() as connection:
            rows = connection.execute(_CHANGES_AFTER, {"known": revision})
            return [Change(row.revision, row.effective_at, Kind(row.kind), row.entity_id, row.body) for row in rows]

    def apply(
        self, changes: Sequence[NewChange], expected_revision: int | None = None, calls: Sequence[NewCall] = ()
    ) -> int:
        """Adds changes, each with the next revision, and the calls that made them; returns the newest revision.

        The head's row is locked until the commit: revisions have no gaps and become visible in their order,
        so that who knows a revision knows all before it.
        """
        head = tables.configuration_head
        with self._transactions.writing() as connection:
            raised = update(head).values(revision=head.c.revision + len(changes)).returning(head)
            newest = connection.execute(raised).one()
            before: int = newest.revision - len(changes)
            if expected_revision not in {None, before}:
                raise RevisionConflict(
                    f"The configuration is at revision {before}, not {expected_revision}: read it again and repeat."
                )
            numbered = number_calls(connection, self._clock, calls)
            if not changes:
                keep_calls(connection, numbered, judged_at=newest.effective_at)
                return before
            first = max(self._clock.record(connection), newest.effective_at + 1)
            last = first + len(changes) - 1
            self._clock.record(connection, at_least=last)
            connection.execute(update(head).values(effective_at=last))
            connection.execute(
                insert(connection, tables.configuration_change),
                [
                    {
                        "revision": before + 1 + index,
                        "effective_at": first + index,
                        "kind": change.kind.value,
                        "entity_id": change.id,
                        "body": change.body,
                    }
                    for index, change in enumerate(changes)
                ],
            )
            keep_calls(connection, numbered, judged_at=first - 1)
        return before + len(changes)

    def add_token(self, token_hash: bytes, account_id: str, name: str, expires_at: int | None = None) -> None:
        """Keeps a token's SHA-256; the same hash again replaces account, name and end."""
        if len(token_hash) != _TOKEN_HASH_BYTES:
            raise ValueError(
                f"a token is kept as its SHA-256, {_TOKEN_HASH_BYTES} bytes, not as {len(token_hash)} bytes"
            )
        row = {"account_id": account_id, "name": name, "expires_at": expires_at}
        with self._transactions.writing() as connection:
            add = insert(connection, tables.token).values(token_hash=token_hash, **row)
            connection.execute(add.on_conflict_do_update(index_elements=["token_hash"], set_=row))

    def account_of_token(self, token_hash: bytes) -> str | None:
        """The account of a token that has not expired."""
        token = tables.token.c
        with self._transactions.reading() as connection:
            row = connection.execute(
                select(token.account_id, token.expires_at).where(token.token_hash == token_hash)
            ).first()
            if row is None or (row.expires_at is not None and row.expires_at <= self._clock.read(connection)):
                return None
            return str(row.account_id)

    def tokens(self, account_id: str) -> Sequence[ProducerToken]:
        """The tokens of an account by name and hash."""
        token = tables.token.c
        query = select(tables.token).where(token.account_id == account_id).order_by(token.name, token.token_hash)
        with self._transactions.reading() as connection:
            return [ProducerToken(**row) for row in connection.execute(query).mappings()]

    def remove_token(self, token_hash: bytes) -> bool:
        """Makes a token unknown; whether it was known."""
        this = tables.token.c.token_hash == token_hash
        with self._transactions.writing() as connection:
            return connection.execute(delete(tables.token).where(this)).rowcount == 1

    def put_access_key(self, key: AccessKey) -> None:
        """Keeps an access key, its secret encrypted; the same id again replaces the rest."""
        row = {
            "account_id": key.account_id,
            "role": key.role,
            "name": key.name,
            "encrypted_secret": self._secrets.seal(
                key.secret_access_key, _row_name(key.access_key_id, key.account_id, key.role)
            ),
        }
        with self._transactions.writing() as connection:
            add = insert(connection, tables.access_key).values(access_key_id=key.access_key_id, **row)
            connection.execute(add.on_conflict_do_update(index_elements=["access_key_id"], set_=row))

    def access_key(self, access_key_id: str) -> AccessKey | None:
        """An access key with its secret."""
        with self._transactions.asking() as connection:
            row = connection.execute(_ONE_ACCESS_KEY, {"wanted": access_key_id}).first()
        if row is None:
            return None
        secret = self._secrets.open(row.encrypted_secret, _row_name(access_key_id, row.account_id, row.role))
        return AccessKey(access_key_id, secret, row.account_id, row.role, row.name)

    def access_keys(self, account_id: str) -> Sequence[AccessKey]:
        """The access keys of an account by id, without their secrets."""
        key = tables.access_key.c
        query = select(key.access_key_id, key.role, key.name).where(key.account_id == account_id)
        with self._transactions.reading() as connection:
            rows = connection.execute(query.order_by(key.access_key_id))
            return [AccessKey(row.access_key_id, "", account_id, row.role, row.name) for row in rows]

    def remove_access_key(self, access_key_id: str) -> bool:
        """Makes an access key unknown; whether it was known."""
        this = tables.access_key.c.access_key_id == access_key_id
        with self._transactions.writing() as connection:
            return connection.execute(delete(tables.access_key).where(this)).rowcount == 1


def _row_name(access_key_id: str, account_id: str, role: str) -> str:
    """What a secret is bound to: nobody gives an account's secret to another, or a reader the role of an admin.

    Not to its name, which an older release does not write.
    """
    return f"access key\n{access_key_id}\n{account_id}\n{role}"
