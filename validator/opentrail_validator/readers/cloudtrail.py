"""The APIs of CloudTrail and Organizations: whom trails and public keys are asked from.

Endpoints, credentials and profiles are found as the AWS CLI finds them (`AWS_ENDPOINT_URL_CLOUDTRAIL`, …).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from threading import Lock
from typing import Any

from opentrail_validator.readers.port import ApiNotReached, ApiRefused, PublicKey, ReaderUnavailable, TrailInfo

try:
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError
except ImportError:
    raise ReaderUnavailable("Asking the CloudTrail API needs boto3: pip install 'opentrail[s3]'") from None


class AwsApi:
    """The CloudTrail API of a region (at `endpoint_url`), and Organizations. Safe for several threads."""

    def __init__(self, region: str, endpoint_url: str | None = None) -> None:
        """Raises ReaderUnavailable."""
        self._region = region
        self._endpoint_url = endpoint_url
        try:
            self._session = boto3.Session()
        except BotoCoreError as error:  # a profile that is not there
            raise ReaderUnavailable(f"The CloudTrail API cannot be asked with these AWS settings: {error}") from None
        self._lock = Lock()
        self._clients: dict[str, Any] = {}

    def trail(self, trail_arn: str) -> TrailInfo | None:
        """The trail (DescribeTrails), None if there is none with this ARN. Raises ApiRefused, ApiNotReached."""
        with _translated_errors():
            trails = self._client("cloudtrail").describe_trails()["trailList"]
        for trail in trails:
            if trail.get("TrailARN") == trail_arn:
                return TrailInfo(
                    bucket=trail["S3BucketName"],
                    prefix=trail.get("S3KeyPrefix"),
                    is_organization_trail=bool(trail.get("IsOrganizationTrail")),
                )
        return None

    def organization_id(self) -> str:
        """The caller's organization (DescribeOrganization). Raises ApiRefused, ApiNotReached."""
        with _translated_errors():
            return str(self._client("organizations").describe_organization()["Organization"]["Id"])

    def between(self, start: int, end: int) -> Mapping[str, PublicKey]:
        """Public keys in use from `start` to `end` (ListPublicKeys). Raises ApiRefused, ApiNotReached."""
        span = {"StartTime": datetime.fromtimestamp(start, UTC), "EndTime": datetime.fromtimestamp(end, UTC)}
        with _translated_errors():
            pages = self._client("cloudtrail").get_paginator("list_public_keys").paginate(**span)
            return {key["Fingerprint"]: _public_key(key) for page in pages for key in page["PublicKeyList"]}

    def origin(self) -> str:
        """Where the keys come from, for the report: who answers is who is trusted."""
        try:
            address = f" ({self._client('cloudtrail').meta.endpoint_url})"
        except (BotoCoreError, ValueError):
            address = ""  # then no question is answered either
        return f"asked from the CloudTrail API of {self._region}{address}"

    def _client(self, service: str) -> Any:
        with self._lock:  # a session is not made for use by several threads
            if service not in self._clients:
                endpoint = self._endpoint_url if service == "cloudtrail" else None
                self._clients[service] = self._session.client(
                    service,
                    region_name=self._region,
                    endpoint_url=endpoint,
                )
            return self._clients[service]


def _public_key(listed: Mapping[str, Any]) -> PublicKey:
    return PublicKey(listed["Value"], _moment(listed.get("ValidityStartTime")), _moment(listed.get("ValidityEndTime")))


def _moment(time: datetime | None) -> int | None:
    return None if time is None else int(time.timestamp())


@contextmanager
def _translated_errors() -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        raise ApiRefused(str(error)) from None
    except (BotoCoreError, RuntimeError) as error:  # RuntimeError: credentials that are expired when they are new
        raise ApiNotReached(str(error)) from None
    except ValueError as error:  # an endpoint that is no URL
        raise ApiRefused(str(error)) from None
