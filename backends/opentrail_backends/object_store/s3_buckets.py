"""What is rarely asked of S3, through boto3: listings, buckets with their regions and policies, removals."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import botocore.config
from botocore.exceptions import BotoCoreError, ClientError

from opentrail_backends.object_store.port import (
    BucketNotFound,
    ObjectInfo,
    ObjectNotFound,
    ObjectStoreError,
    OutcomeUnknown,
    PutRefused,
)
from opentrail_backends.object_store.s3_answers import WrongRegion, translate_client_error
from opentrail_backends.object_store.s3_settings import S3Settings

CONNECT_TIMEOUT = 5.0
"""Seconds until a server that does not take a connection counts as silent."""

# RecursionError: where a redirect names no region, botocore asks for it by a call that is redirected again.
_FAILURES = (BotoCoreError, ClientError, RecursionError)


class S3Buckets:
    """Calls that are no part of the data path."""

    def __init__(self, session: boto3.Session, settings: S3Settings, attempt_limit: float) -> None:
        """`attempt_limit`: seconds that one try may take."""
        self._owners = settings.bucket_owners
        self._client: Any = session.client(
            "s3",
            endpoint_url=settings.endpoint,
            config=botocore.config.Config(
                connect_timeout=min(CONNECT_TIMEOUT, attempt_limit),
                read_timeout=attempt_limit,
                retries={"mode": "standard", "total_max_attempts": 2},
                request_checksum_calculation="when_required",
                s3={"addressing_style": "path"} if settings.endpoint else None,
            ),
        )

    def list(self, bucket: str, prefix: str, start_after: str) -> Iterator[ObjectInfo]:
        """Objects in UTF-8 byte order. Raises the port's exceptions when a page is asked for."""
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=bucket, Prefix=prefix, StartAfter=start_after, **self._owner(bucket)
        )
        try:
            for page in pages:
                for entry in page.get("Contents", ()):
                    yield ObjectInfo(entry["Key"], entry["Size"])
        except _FAILURES as error:
            raise _translated(error, f"list s3://{bucket}/{prefix}") from error

    def create(self, bucket: str, region: str) -> None:
        """Makes a bucket if there is none. Raises the port's exceptions."""
        try:
            self.check_exists(bucket)
        except BucketNotFound:
            # S3 wants no location for us-east-1, and one for any other region.
            where = {"CreateBucketConfiguration": {"LocationConstraint": region}} if region != "us-east-1" else {}
            try:
                self._client.create_bucket(Bucket=bucket, **where)
            except self._client.exceptions.BucketAlreadyOwnedByYou:
                return
            except _FAILURES as error:
                raise _translated(error, f"create bucket {bucket}") from error

    def check_exists(self, bucket: str) -> None:
        """Raises BucketNotFound, StoreThrottled, OutcomeUnknown; a bucket that we may not look at is there."""
        try:
            self._client.head_bucket(Bucket=bucket, **self._owner(bucket))
        except _FAILURES as error:
            meaning = _translated(error, f"head bucket {bucket}")
            if isinstance(meaning, ObjectNotFound):  # a HEAD has no body that would tell what was not found
                raise BucketNotFound(f"there is no bucket {bucket!r}") from error
            if not isinstance(meaning, PutRefused):
                raise meaning from error

    def region_of(self, bucket: str) -> str | None:
        """The region that S3 names for a bucket, also when it refuses the call; None: it names none."""
        try:
            response = self._client.head_bucket(Bucket=bucket)
        except ClientError as error:
            response = error.response
        except (BotoCoreError, RecursionError):
            return None
        headers = response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
        region: str | None = headers.get("x-amz-bucket-region")
        return region

    def policy(self, bucket: str) -> str | None:
        """The bucket's policy; None: it has none. Raises the port's exceptions."""
        try:
            policy: str = self._client.get_bucket_policy(Bucket=bucket, **self._owner(bucket))["Policy"]
        except _FAILURES as error:
            meaning = _translated(error, f"policy of bucket {bucket}")
            if isinstance(meaning, PutRefused) and meaning.code == "NoSuchBucketPolicy":
                return None
            raise meaning from error
        return policy

    def delete(self, bucket: str, key: str) -> None:
        """Removes an object; one that is not there is no error. Raises the port's exceptions."""
        try:
            self._client.delete_object(Bucket=bucket, Key=key, **self._owner(bucket))
        except _FAILURES as error:
            meaning = _translated(error, f"delete s3://{bucket}/{key}")
            if not isinstance(meaning, ObjectNotFound):
                raise meaning from error

    def _owner(self, bucket: str) -> dict[str, str]:
        owner = self._owners.get(bucket)
        return {"ExpectedBucketOwner": owner} if owner else {}

    def close(self) -> None:
        """Frees connections."""
        self._client.close()


def _translated(error: BotoCoreError | ClientError | RecursionError, what: str) -> ObjectStoreError:
    if not isinstance(error, ClientError):
        return OutcomeUnknown(f"{what}: no answer ({error})")
    meaning = translate_client_error(error.response, what)
    return PutRefused(str(meaning), "PermanentRedirect") if isinstance(meaning, WrongRegion) else meaning
