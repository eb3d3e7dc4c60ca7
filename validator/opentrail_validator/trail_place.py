"""Which chain of digests is asked for: a trail's, in one account and source region."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from opentrail.evidence.object_keys import DIGEST_FOLDER, DigestKey, MalformedKey, digest_folder, parse_key

LAST_MOMENT: Final = 253_370_764_800
"""The first of the year 9999, epoch seconds: hours are added to times."""

_ARN: Final = re.compile(r"arn:[^:]+:cloudtrail:(?P<region>[^:]+):(?P<account>[0-9]{12}):trail/(?P<name>.+)")


class BadRequest(ValueError):
    """What was asked cannot be asked; the message is for the user, in the AWS CLI's words where it has some."""


@dataclass(frozen=True, slots=True)
class TrailArn:
    """The parts of a trail's ARN that keys are made of."""

    home_region: str
    account_id: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrailPlace:
    """Where the digests of one account and source region lie."""

    bucket: str
    prefix: str | None
    organization_id: str | None
    account_id: str
    region: str
    trail_name: str
    home_region: str

    @property
    def folder(self) -> str:
        """What the keys of the digests start with."""
        return digest_folder(
            account_id=self.account_id,
            region=self.region,
            prefix=self.prefix,
            organization_id=self.organization_id,
        )

    @property
    def root(self) -> str:
        """What the keys of all accounts of the trail start with."""
        return self.folder.removesuffix(f"{self.account_id}/{DIGEST_FOLDER}/{self.region}/")

    def of(self, account_id: str, region: str) -> TrailPlace:
        """The same trail's place for another account and source region."""
        return replace(self, account_id=account_id, region=region)

    def key(self, end_seconds: int) -> DigestKey:
        """The key that a digest with this end has."""
        return DigestKey(
            account_id=self.account_id,
            region=self.region,
            trail_name=self.trail_name,
            home_region=self.home_region,
            end_seconds=end_seconds,
            prefix=self.prefix or None,
            organization_id=self.organization_id,
        )

    def digest_at(self, key: str) -> DigestKey | None:
        """The parsed key, if it is that of one of the trail's digests."""
        try:
            parsed = parse_key(key)
        except MalformedKey:
            return None
        if not isinstance(parsed, DigestKey):
            return None
        return parsed if replace(parsed, backfill=False) == self.key(parsed.end_seconds) else None


def parse_trail_arn(text: str) -> TrailArn:
    """Takes a trail's ARN apart. Raises BadRequest."""
    match = _ARN.fullmatch(text)
    if match is None:
        raise BadRequest(f"Invalid trail ARN provided: {text}")
    return TrailArn(match["region"], match["account"], match["name"].rsplit("/", 1)[-1])


def parse_moment(text: str) -> int:
    """Epoch seconds of a date or time in ISO 8601, from 1970 on. As in the AWS CLI it is UTC, whatever offset it has.

    Raises BadRequest.
    """
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise BadRequest(f"Unable to parse date value: {text}") from None
    seconds = int(moment.replace(tzinfo=UTC, microsecond=0).timestamp())
    if not 0 <= seconds <= LAST_MOMENT:
        raise BadRequest(f"Unable to parse date value: {text}")
    return seconds
