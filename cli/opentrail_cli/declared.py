"""The declarative file: accounts, organizations, tokens, access keys and trails, as TOML.

This module reads the file and checks its form; what it means for the configuration is in `declared_changes`.
`docs/configuration.md` describes the file.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from opentrail_cli.errors import Mistakes

AccountId = Annotated[str, Field(pattern=r"^[0-9]{12}$")]
Region = Annotated[str, Field(pattern=r"^[a-z]{2,}(-[a-z]+)+-[0-9]{1,2}$")]
OrganizationId = Annotated[str, Field(pattern=r"^o-[a-z0-9]{10,32}$")]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Limit = Annotated[float, Field(gt=0, allow_inf_nan=False)]

_PATTERNS = {
    r"^[0-9]{12}$": "must be an account id: 12 digits in quotes",
    r"^[a-z]{2,}(-[a-z]+)+-[0-9]{1,2}$": "must be a region such as eu-central-1",
    r"^o-[a-z0-9]{10,32}$": "must be an organization's id: o- and 10 to 32 letters and digits",
    r"^[0-9a-f]{64}$": "must be a SHA-256 in 64 hexadecimal digits",
}


class _Declared(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


class DeclaredAccount(_Declared):
    """An account that may send events; limits that are not given are the service's."""

    id: AccountId
    name: str = ""
    events_per_second: Limit | None = None
    bytes_per_second: Limit | None = None


class DeclaredOrganization(_Declared):
    """An organization; the management account is a member whether it is named or not."""

    id: OrganizationId
    management_account_id: AccountId
    member_account_ids: list[AccountId] = []
    delegated_administrators: Annotated[list[AccountId], Field(max_length=3)] | None = None
    """None leaves those that there are, as they were registered through the API."""


class DeclaredToken(_Declared):
    """A producer's bearer token: by its hash, or made here and shown once."""

    account_id: AccountId
    name: Name
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    expires_at: datetime | None = None

    @field_validator("expires_at")
    @classmethod
    def _in_utc(cls, value: datetime | None) -> datetime | None:
        return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value


class DeclaredAccessKey(_Declared):
    """An access key for the API, made here and shown once."""

    account_id: AccountId
    name: Name
    role: Literal["admin", "read-only"] = "admin"


class DeclaredTrail(_Declared):
    """A trail. Names as in the CloudTrail API, in snake case; selectors in the API's own shape."""

    name: str
    account_id: AccountId
    home_region: Region = "us-east-1"
    s3_bucket_name: str
    s3_key_prefix: str | None = None
    kms_key_id: str | None = None
    sns_topic_arn: str | None = None
    cloud_watch_logs_log_group_arn: str | None = None
    cloud_watch_logs_role_arn: str | None = None
    include_global_service_events: bool = True
    is_multi_region_trail: bool = False
    organization_id: OrganizationId | None = None
    log_file_validation_enabled: bool = True
    recursive_logging: bool = True
    start_logging: bool = True
    event_selectors: list[dict[str, Any]] | None = None
    advanced_event_selectors: list[dict[str, Any]] | None = None


class Declaration(_Declared):
    """A whole file."""

    accounts: list[DeclaredAccount] = []
    organizations: list[DeclaredOrganization] = []
    tokens: list[DeclaredToken] = []
    access_keys: list[DeclaredAccessKey] = []
    trails: list[DeclaredTrail] = []


class Places:
    """Where the tables of a file are, for telling mistakes."""

    def __init__(self, text: str = "") -> None:
        headers = [
            (number, re.match(r"\s*\[\[\s*(\w+)\s*\]\]", line)) for number, line in enumerate(text.split("\n"), 1)
        ]
        self._lines: dict[str, list[int]] = {}
        for number, match in headers:
            if match is not None:
                self._lines.setdefault(match[1], []).append(number)

    def of(self, kind: str, index: int, field: str = "") -> str:
        """For example `line 12, trails[0].name`."""
        lines = self._lines.get(kind, [])
        line = f"line {lines[index]}, " if index < len(lines) else ""
        return f"{line}{kind}[{index}]{'.' if field else ''}{field}"


def read_declaration(path: Path) -> tuple[Declaration, Places]:
    """The declaration in a file. Raises Mistakes with everything that is wrong in its form."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise Mistakes(f"{path} cannot be read:", [error.strerror or str(error)]) from None
    except UnicodeDecodeError as error:
        raise Mistakes(f"{path} cannot be read:", [f"it is not UTF-8: {error.reason}"]) from None
    return parse_declaration(text, str(path))


def parse_declaration(text: str, name: str) -> tuple[Declaration, Places]:
    """The declaration in a text; `name` is the file's, for the message. Raises Mistakes."""
    places = Places(text)
    try:
        return Declaration(**tomllib.loads(text)), places
    except tomllib.TOMLDecodeError as error:
        raise Mistakes(f"{name} is not TOML:", [str(error)]) from None
    except ValidationError as error:
        raise Mistakes(f"{name} cannot be applied:", _sentences(error, places)) from None


def _sentences(error: ValidationError, places: Places) -> Sequence[str]:
    sentences = []
    for detail in error.errors(include_url=False, include_input=False):
        kind, *rest = detail["loc"]
        field = ".".join(str(part) for part in rest[1:])
        place = places.of(str(kind), rest[0], field) if rest and isinstance(rest[0], int) else str(kind)
        sentences.append(f"{place}: {_plain(detail)}")
    return sentences


def _plain(detail: Any) -> str:
    if detail["type"] == "extra_forbidden":
        return "there is no such key"
    if detail["type"] == "missing":
        return "is missing"
    if detail["type"] == "string_pattern_mismatch":
        return _PATTERNS[detail["ctx"]["pattern"]]
    return str(detail["msg"])
