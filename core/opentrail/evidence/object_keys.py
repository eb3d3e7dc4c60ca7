"""Object keys: where log files and digests lie in a bucket, built and read back.

Source: CloudTrail's documented layout. A log file's stamp has minutes, a digest's has seconds:

    [prefix/]AWSLogs/[o-…/]{account}/CloudTrail/{region}/{Y}/{M}/{D}/{account}_CloudTrail_{region}_{stamp}_{unique}.json.gz
    [prefix/]AWSLogs/[o-…/]{account}/CloudTrail-Digest/{region}/{Y}/{M}/{D}/
        {account}_CloudTrail-Digest_{region}_{trail name}_{home region}_{stamp}[_backfill].json.gz
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from opentrail.evidence.times import MalformedTime, parse_time, utc

DIGEST_FOLDER: Final = "CloudTrail-Digest"
_BACKFILL: Final = "_backfill"
_UNIQUE: Final = re.compile(r"[A-Za-z0-9]+")

_PLACE: Final = (
    r"(?:(?P<prefix>.+)/)?AWSLogs/(?:(?P<organization>o-[a-z0-9]+)/)?(?P<account>[0-9]{12})"
    r"/(?P<folder>%s)/(?P<region>[a-z0-9-]+)/(?P<date>[0-9]{4}/[0-9]{2}/[0-9]{2})"
    r"/(?P=account)_(?P=folder)_(?P=region)"
)
_LOG_FILE: Final = re.compile(
    _PLACE % "CloudTrail(?:-Insight|-NetworkActivity|-Aggregated)?"
    + r"_(?P<stamp>[0-9]{8}T[0-9]{4})Z_(?P<unique>[A-Za-z0-9]+)\.json\.gz",
    re.DOTALL,
)
_DIGEST: Final = re.compile(
    _PLACE % DIGEST_FOLDER
    + r"_(?P<trail>[^/]+)_(?P<home>[a-z0-9-]+)_(?P<stamp>[0-9]{8}T[0-9]{6})Z(?P<backfill>_backfill)?\.json\.gz",
    re.DOTALL,
)


class MalformedKey(ValueError):
    """The object key is not one of CloudTrail's."""


class LogKind(StrEnum):
    """What a log file holds; the value is its folder and part of its name."""

    EVENTS = "CloudTrail"
    INSIGHTS = "CloudTrail-Insight"
    NETWORK_ACTIVITY = "CloudTrail-NetworkActivity"
    AGGREGATED = "CloudTrail-Aggregated"


@dataclass(frozen=True, slots=True)
class LogFileKey:
    """The parts of a log file's key; `str()` builds the key again."""

    account_id: str
    region: str
    seconds: int
    """The stamp, seconds since the epoch, a whole minute."""
    unique: str
    prefix: str | None = None
    organization_id: str | None = None
    kind: LogKind = LogKind.EVENTS

    def __str__(self) -> str:
        """The key."""
        moment = utc(self.seconds)
        folder = _folder(self.account_id, self.kind.value, self.region, moment, self.prefix, self.organization_id)
        name = f"{self.account_id}_{self.kind.value}_{self.region}_{_day(moment)}T{moment:%H%M}Z_{self.unique}.json.gz"
        return folder + name


@dataclass(frozen=True, slots=True)
class DigestKey:
    """The parts of a digest's key; `str()` builds the key again."""

    account_id: str
    region: str
    """The source region: where the events of the listed log files were recorded."""
    trail_name: str
    home_region: str
    end_seconds: int
    """The digest's end, seconds since the epoch."""
    prefix: str | None = None
    organization_id: str | None = None
    backfill: bool = False

    def __str__(self) -> str:
        """The key."""
        moment = utc(self.end_seconds)
        folder = _folder(self.account_id, DIGEST_FOLDER, self.region, moment, self.prefix, self.organization_id)
        name = f"{self.account_id}_{DIGEST_FOLDER}_{self.region}_{self.trail_name}_{self.home_region}"
        return f"{folder}{name}_{_day(moment)}T{moment:%H%M%S}Z{_BACKFILL if self.backfill else ''}.json.gz"


def log_file_key(
    *,
    account_id: str,
    region: str,
    seconds: int,
    unique: str,
    prefix: str | None = None,
    organization_id: str | None = None,
    kind: LogKind = LogKind.EVENTS,
) -> str:
    """The key of a log file written at `seconds` (since the epoch; the stamp has whole minutes).

    `unique` keeps names apart: ASCII letters and digits only, as the CloudTrail processing library demands
    (CloudTrail: 16 of them). Raises ValueError on another `unique`.
    """
    if not _UNIQUE.fullmatch(unique):
        raise ValueError(f"the unique part of a log file's name has letters and digits only: {unique!r}")
    return str(LogFileKey(account_id, region, seconds - seconds % 60, unique, prefix, organization_id, kind))


def digest_key(
    *,
    account_id: str,
    region: str,
    trail_name: str,
    home_region: str,
    end_seconds: int,
    prefix: str | None = None,
    organization_id: str | None = None,
    backfill: bool = False,
) -> str:
    """The key of the digest that ends at `end_seconds` since the epoch."""
    return str(DigestKey(account_id, region, trail_name, home_region, end_seconds, prefix, organization_id, backfill))


def digest_folder(
    *, account_id: str, region: str, prefix: str | None = None, organization_id: str | None = None
) -> str:
    """What the keys of all digests of an account and source region start with, up to and with the last `/`."""
    return f"{_root(prefix, organization_id)}{account_id}/{DIGEST_FOLDER}/{region}/"


def parse_key(key: str) -> LogFileKey | DigestKey:
    """Takes a key apart. Building the result again gives `key`. Raises MalformedKey on anything else."""
    if match := _LOG_FILE.fullmatch(key):
        return LogFileKey(
            account_id=match["account"],
            region=match["region"],
            seconds=_seconds(match["date"], match["stamp"] + "00"),
            unique=match["unique"],
            prefix=match["prefix"],
            organization_id=match["organization"],
            kind=LogKind(match["folder"]),
        )
    if match := _DIGEST.fullmatch(key):
        return DigestKey(
            account_id=match["account"],
            region=match["region"],
            trail_name=match["trail"],
            home_region=match["home"],
            end_seconds=_seconds(match["date"], match["stamp"]),
            prefix=match["prefix"],
            organization_id=match["organization"],
            backfill=match["backfill"] is not None,
        )
    raise MalformedKey(f"not the key of a log file or digest: {key[:300]!r}")


def _root(prefix: str | None, organization_id: str | None) -> str:
    return (f"{prefix}/" if prefix else "") + "AWSLogs/" + (f"{organization_id}/" if organization_id else "")


def _folder(
    account_id: str, folder: str, region: str, moment: datetime, prefix: str | None, organization_id: str | None
) -> str:
    date = f"{moment.year:04}/{moment:%m/%d}"
    return f"{_root(prefix, organization_id)}{account_id}/{folder}/{region}/{date}/"


def _day(moment: datetime) -> str:
    return f"{moment.year:04}{moment:%m%d}"


def _seconds(date: str, stamp: str) -> int:
    """The moment of a stamp `YYYYMMDDTHHMMSS`, whose day must be the folder's."""
    if date.replace("/", "") != stamp[:8]:
        raise MalformedKey(f"the folder's day {date} is not the name's {stamp[:8]}")
    text = f"{stamp[0:4]}-{stamp[4:6]}-{stamp[6:8]}T{stamp[9:11]}:{stamp[11:13]}:{stamp[13:15]}Z"
    try:
        return parse_time(text)
    except MalformedTime as error:
        raise MalformedKey(str(error)) from None
