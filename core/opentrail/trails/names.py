"""Names that CloudTrail's API takes: trails, their ARNs, buckets, key prefixes (reference: CloudTrail §2.2, §5.4)."""

from __future__ import annotations

import re
from typing import ClassVar, NamedTuple

from opentrail.trails.refused import Refused

MIN_TRAIL_NAME = 3
MAX_TRAIL_NAME = 128
MAX_PREFIX = 200
"""Characters of S3KeyPrefix."""

_TRAIL_CHARACTERS = re.compile(r"[A-Za-z0-9._-]+")
_ALPHANUMERIC = re.compile(r"[A-Za-z0-9]")
_ADJACENT = re.compile(r"[._-]{2}")
_IP_ADDRESS = re.compile(r"[0-9]{1,3}(\.[0-9]{1,3}){3}")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_TRAIL_ARN = re.compile(
    r"arn:(?P<partition>aws[a-z-]*):cloudtrail:(?P<region>[a-z0-9-]+):(?P<account>[0-9]{12}):trail/(?P<name>[^/:]+)"
)


class InvalidName(Refused, ValueError):
    """A name that CloudTrail would refuse, each kind with an exception of its own."""

    exception: ClassVar[str]
    """The code of CloudTrail's exception."""

    def __init__(self, message: str) -> None:
        super().__init__(self.exception, message)


class InvalidTrailName(InvalidName):
    """No trail may have the name."""

    exception = "InvalidTrailNameException"


class InvalidTrailArn(InvalidName):
    """The text is not the ARN of a trail."""

    exception = "CloudTrailARNInvalidException"


class InvalidBucketName(InvalidName):
    """No bucket may have the name."""

    exception = "InvalidS3BucketNameException"


class InvalidPrefix(InvalidName):
    """Log files cannot have the key prefix."""

    exception = "InvalidS3PrefixException"


class TrailArn(NamedTuple):
    """The parts of a trail's ARN."""

    partition: str
    home_region: str
    account_id: str
    name: str


def check_trail_name(name: str) -> None:
    """Raises InvalidTrailName unless a trail may have the name."""
    if len(name) < MIN_TRAIL_NAME:
        raise InvalidTrailName(
            f"Trail name too short. Minimum allowed length: {MIN_TRAIL_NAME} characters. "
            f"Specified name length: {len(name)} characters."
        )
    if len(name) > MAX_TRAIL_NAME:
        raise InvalidTrailName(
            f"Trail name too long. Maximum allowed length: {MAX_TRAIL_NAME} characters. "
            f"Specified name length: {len(name)} characters."
        )
    if not _ALPHANUMERIC.match(name[0]):
        raise InvalidTrailName("Trail name must starts with a letter or number.")
    if not _ALPHANUMERIC.match(name[-1]):
        raise InvalidTrailName("Trail name must ends with a letter or number.")
    if not _TRAIL_CHARACTERS.fullmatch(name):
        raise InvalidTrailName(
            "Trail name or ARN can only contain uppercase letters, lowercase letters, numbers, periods (.), "
            "hyphens (-), and underscores (_)."
        )
    if _ADJACENT.search(name):
        raise InvalidTrailName("Trail name cannot have adjacent periods, hyphens or underscores.")
    if _IP_ADDRESS.fullmatch(name):
        raise InvalidTrailName("Trail name cannot be in the form of an IP address.")


def check_bucket_name(name: str) -> None:
    """Raises InvalidBucketName unless an S3 bucket may have the name."""
    if not _BUCKET.fullmatch(name):
        raise InvalidBucketName(
            f"Bucket name {name} is invalid: 3 to 63 lower-case letters, digits, periods and hyphens, "
            "with a letter or digit at both ends."
        )
    if ".." in name or ".-" in name or "-." in name:
        raise InvalidBucketName(f"Bucket name {name} is invalid: periods stand next to letters and digits only.")
    if _IP_ADDRESS.fullmatch(name):
        raise InvalidBucketName(f"Bucket name {name} is invalid: it has the form of an IP address.")


def check_prefix(prefix: str) -> None:
    """Raises InvalidPrefix unless log files may have the key prefix.

    A slash at its end would double in every key, which `aws cloudtrail validate-logs` cannot follow; one at its
    start, and control characters, are refused for the same reason. Not every object store can keep a key with a part
    `.` or `..`.
    """
    if not 1 <= len(prefix) <= MAX_PREFIX:
        raise InvalidPrefix(f"S3 key prefix has 1 to {MAX_PREFIX} characters; this one has {len(prefix)}.")
    if prefix.startswith("/") or prefix.endswith("/") or "//" in prefix:
        raise InvalidPrefix("S3 key prefix neither begins nor ends with a slash, and has no two in a row.")
    if not {".", ".."}.isdisjoint(prefix.split("/")):
        raise InvalidPrefix("S3 key prefix has no part . or .. between slashes.")
    if not prefix.isprintable():
        raise InvalidPrefix("S3 key prefix has printable characters only.")


def parse_trail_arn(arn: str) -> TrailArn:
    """The parts of `arn:{partition}:cloudtrail:{region}:{account}:trail/{name}`.

    Raises InvalidTrailArn, and InvalidTrailName if the form fits but the name does not.
    """
    match = _TRAIL_ARN.fullmatch(arn)
    if match is None:
        raise InvalidTrailArn(f"{arn} is not the ARN of a trail.")
    check_trail_name(match["name"])
    return TrailArn(match["partition"], match["region"], match["account"], match["name"])
