"""`opentrail access-key`: keys for the CloudTrail API. A secret is shown once, when it is made."""

from __future__ import annotations

import base64
import secrets
from typing import Annotated, Literal

import typer
from rich.table import Table

from opentrail_cli.errors import CommandFailed
from opentrail_cli.opening import local_parts, opened_settings, print_json
from opentrail_cli.options import ConfigOption, DataDirectoryOption, JsonOption, printable
from opentrail_cli.terminal import output

access_key_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, context_settings={"max_content_width": 100})

AccountArgument = Annotated[str, typer.Argument(metavar="ACCOUNT", help="the account, 12 digits")]


@access_key_app.command("create", epilog="Example: opentrail access-key create 123456789012 --name auditor")
def create(
    account: AccountArgument,
    name: Annotated[
        str, typer.Option(callback=printable, help="who uses it: the user's name in the records of its calls")
    ],
    role: Annotated[
        Literal["admin", "read-only"], typer.Option(help="whether it may change trails, or only look")
    ] = "admin",
    config: ConfigOption = None,
    data_directory: DataDirectoryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make an access key of an account and print it, once."""
    from opentrail_backends.state.port import AccessKey
    from opentrail_cli.apply import newest_configuration

    with local_parts(opened_settings(config, data_directory=data_directory)) as parts:
        store = parts.state.configuration
        if account not in newest_configuration(store).accounts:
            raise CommandFailed(f"There is no account {account}; declare it first: opentrail apply FILE.")
        if name in {key.name for key in store.access_keys(account)}:
            raise CommandFailed(
                f"Account {account} has an access key {name!r} already: remove it, or take another name."
            )
        public = base64.b32encode(secrets.token_bytes(10)).decode()
        key = AccessKey(f"AKIA{public}", secrets.token_urlsafe(30), account, role, name)
        store.put_access_key(key)
    if as_json:
        print_json({"AccessKeyId": key.access_key_id, "SecretAccessKey": key.secret_access_key})
    else:
        typer.echo(f"AWS_ACCESS_KEY_ID={key.access_key_id}\nAWS_SECRET_ACCESS_KEY={key.secret_access_key}")


@access_key_app.command("list")
def list_keys(
    account: AccountArgument,
    config: ConfigOption = None,
    data_directory: DataDirectoryOption = None,
    as_json: JsonOption = False,
) -> None:
    """List an account's access keys, without their secrets."""
    with local_parts(opened_settings(config, data_directory=data_directory)) as parts:
        keys = sorted(parts.state.configuration.access_keys(account), key=lambda key: key.access_key_id)
    if as_json:
        print_json([{"AccessKeyId": key.access_key_id, "Name": key.name, "Role": key.role} for key in keys])
        return
    table = Table("access key", "name", "role", title=f"Access keys of {account}")
    for key in keys:
        table.add_row(key.access_key_id, key.name or "-", key.role)
    output().print(table if keys else f"Account {account} has no access keys.")


@access_key_app.command("remove")
def remove(
    access_key_id: Annotated[str, typer.Argument(metavar="ACCESS-KEY", help="its id, AKIA…")],
    config: ConfigOption = None,
    data_directory: DataDirectoryOption = None,
) -> None:
    """Remove an access key: it, and the sessions made with it, are refused from now on."""
    with local_parts(opened_settings(config, data_directory=data_directory)) as parts:
        if not parts.state.configuration.remove_access_key(access_key_id):
            raise CommandFailed(f"There is no access key {access_key_id}.")
    output().print(f"Access key {access_key_id} was removed.")
