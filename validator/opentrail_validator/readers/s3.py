"""Evidence in S3, and the APIs of CloudTrail and Organizations: everything that needs the AWS SDK.

Endpoints, credentials and profiles are found as the AWS CLI finds them (`AWS_ENDPOINT_URL_S3`, …).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from functools import lru_cache
from types import TracebackType
from typing import Any

from opentrail_validator.readers.port import (
    ApiNotReached,
    ApiRefused,
    CouldNotRead,
    ObjectMissing,
    ReaderUnavailable,
    StoredObject,
    TrailInfo,
)

try:
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError
except ImportError:
    raise ReaderUnavailable("Reading from S3 or asking the API needs boto3: pip install 'opentrail[s3]'") from None

_US_EAST_1 = "us-east-1"


class S3Reader:
    """Reads objects from S3, each bucket through a client of the bucket's own region."""

    def __init__(self, region: str) -> None:
        self._region = region
        self._session = boto3.Session()
        self._client = lru_cache(maxsize=None)(self._new_client)
        self._bucket_region = lru_cache(maxsize=None)(self._ask_bucket_region)

    def get(self, bucket: str, key: str) -> StoredObject:
        """Reads an object. Raises ObjectMissing, CouldNotRead."""
        with _TranslatingErrors():
            answer = self._client(self._bucket_region(bucket)).get_object(Bucket=bucket, Key=key)
            with answer["Body"] as body:
                return StoredObject(body.read(), {name.lower(): text for name, text in answer["Metadata"].items()})

    def keys(self, bucket: str, prefix: str, start_after: str) -> Iterator[str]:
        """The keys that start with `prefix` and sort after `start_after`, in UTF-8 order. Raises CouldNotRead."""
        with _TranslatingErrors():
            pages = self._client(self._bucket_region(bucket)).get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=bucket, Prefix=prefix, StartAfter=start_after):
                for entry in page.get("Contents", []):
                    yield entry["Key"]

    def _new_client(self, region: str) -> Any:
        return self._session.client("s3", region_name=region)

    def _ask_bucket_region(self, bucket: str) -> str:
        answer = self._client(self._region).get_bucket_location(Bucket=bucket)
        return answer["LocationConstraint"] or _US_EAST_1


class AwsApi:
    """The CloudTrail API of a region, and Organizations. `endpoint_url` is for CloudTrail alone."""

    def __init__(self, region: str, endpoint_url: str | None = None) -> None:
        self._region = region
        self._endpoint_url = endpoint_url
        self._session = boto3.Session()

    def trail(self, trail_arn: str) -> TrailInfo | None:
        """The trail (DescribeTrails), None if there is none with this ARN. Raises ApiRefused, ApiNotReached."""
        for trail in self._call("cloudtrail", "describe_trails")["trailList"]:
            if trail.get("TrailARN") == trail_arn:
                return TrailInfo(
                    bucket=trail["S3BucketName"],
                    prefix=trail.get("S3KeyPrefix"),
                    is_organization_trail=bool(trail.get("IsOrganizationTrail")),
                )
        return None

    def organization_id(self) -> str:
        """The caller's organization (DescribeOrganization). Raises ApiRefused, ApiNotReached."""
        return str(self._call("organizations", "describe_organization")["Organization"]["Id"])

    def between(self, start: int, end: int) -> Mapping[str, bytes]:
        """Public keys in use from `start` to `end` (ListPublicKeys). Raises ApiRefused, ApiNotReached."""
        answer = self._call(
            "cloudtrail",
            "list_public_keys",
            StartTime=datetime.fromtimestamp(start, UTC),
            EndTime=datetime.fromtimestamp(end, UTC),
        )
        return {key["Fingerprint"]: key["Value"] for key in answer["PublicKeyList"]}

    def _call(self, service: str, operation: str, **parameters: Any) -> Any:
        endpoint = self._endpoint_url if service == "cloudtrail" else None
        try:
            client: Any = self._session.client(service, region_name=self._region, endpoint_url=endpoint)
            return getattr(client, operation)(**parameters)
        except ClientError as error:
            raise ApiRefused(str(error)) from None
        except BotoCoreError as error:
            raise ApiNotReached(str(error)) from None


class _TranslatingErrors(AbstractContextManager[None]):
    """Turns the SDK's errors into the reader's."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, ClientError):
            if error.response["Error"]["Code"] == "NoSuchKey":
                raise ObjectMissing(str(error)) from None
            raise CouldNotRead(str(error)) from None
        if isinstance(error, BotoCoreError):
            raise CouldNotRead(str(error)) from None
