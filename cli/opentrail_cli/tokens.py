"""`opentrail token`: bearer tokens of those who send events. A token is shown once, when it is made."""

from __future__ import annotations

import secrets
from typing import Annotated

import typer
from rich.table import Table

from opentrail.evidence.times import format_time
from opentrail_cli.errors import CommandFailed
from opentrail_cli.opening import local_parts, opened_settings, print_json
from opentrail_cli.options import ConfigOption, DataDirectoryOption, JsonOption, printable
from opentrail_cli.terminal import output

token_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, context_settings={"max_content_width": 100})

_ID_DIGITS = 16
"""Hex digits of a token's SHA-256 that are shown: no two of an account share so many by chance."""

AccountArgument = Annotated[str, typer.Argument(metavar="ACCOUNT", help="the account whose events the token may send")]


@token_app.command("create", epilog="Example: opentrail token create 123456789012 --name billing --days 90")
def create(
    account: AccountArgument,
    name: Annotated[str, typer.Option(callback=printable, help="what the token is for")],
    config: ConfigOption = None,
    data_directory: DataDirectoryOption = None,
    days: Annotated[
        int | None, typer.Option(min=1, max=36_500, help="how long it is valid [default: for good]")
    ] = None,
) -> None:
    """Make a token and print it, once."""
    from opentrail_cli.apply import newest_configuration
    from opentrail_cli.credentials import token_hash

    with local_parts(opened_settings(config, data_directory=data_directory)) as parts:
        store = parts.state.configuration
        if account not in newest_configuration(store).accounts:
            raise CommandFailed(f"There is no account {account}; declare it first: opentrail apply FILE.")
        token = f"ot_{secrets.token_urlsafe(32)}"
        expires_at = None if days is None else store.now() + days * 86_400_000
        store.add_token(token_hash(token), account, name, expires_at)
    typer.echo(token)


@token_app.command("list")
def list_tokens(
    account: AccountArgument,
    config: ConfigOption = None,
    data_directory: DataDirectoryOption = None,
    as_json: JsonOption = False,
) -> None:
    """List an account's tokens, without what is secret of them."""
    with local_parts(opened_settings(config, data_directory=data_directory)) as parts:
        tokens = [
            {
                "TokenId": _id_of(token.token_hash),
                "Name": token.name,
                "ExpiresAt": None if token.expires_at is None else format_time(token.expires_at // 1000),
            }
            for token in parts.state.configuration.tokens(account)
        ]
    if as_json:
        print_json(tokens)
        return
    table = Table("token", "name", "valid until", title=f"Tokens of {account}")
    for token in tokens:
        table.add_row(token["TokenId"], token["Name"], token["ExpiresAt"] or "for good")
    output().print(table if tokens else f"Account {account} has no tokens.")


@token_app.command("remove", epilog="Example: opentrail token remove 123456789012 3a7bd3e2360a3d29")
def remove(
    account: AccountArgument,
    token_id: Annotated[str, typer.Argument(metavar="TOKEN", help="its id, as `opentrail token list` shows it")],
    config: ConfigOption = None,
    data_directory: DataDirectoryOption = None,
) -> None:
    """Remove a token: who sends with it is refused within seconds."""
    with local_parts(opened_settings(config, data_directory=data_directory)) as parts:
        store = parts.state.configuration
        found = [token for token in store.tokens(account) if _id_of(token.token_hash) == token_id.lower()]
        if not found:
            raise CommandFailed(f"Account {account} has no token {token_id}: opentrail token list {account}.")
        for token in found:
            store.remove_token(token.token_hash)
    output().print(
        f"Token {token_id} ({found[0].name}) was removed. Where a file declares it, take it out there, too: "
        "applying that file would bring it back."
    )


def _id_of(token_hash: bytes) -> str:
    return token_hash.hex()[:_ID_DIGITS]
