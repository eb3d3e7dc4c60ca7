"""Any S3 endpoint: AWS, or a server with conditional writes.

Objects go through obstore (one signed PUT each, create-only by `If-None-Match: *`); what is rare goes through boto3.
A store of obstore fixes its headers, so there is one per bucket, KMS key and encryption context, in a bounded cache.

Threads and processes may use it freely, but a process must not fork after its first use (obstore runs threads).
"""

from __future__ import annotations

import base64
import itertools
import json
import os
import random
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple, TypeVar

import boto3
import obstore
import obstore.exceptions
from obstore.auth.boto3 import Boto3CredentialProvider
from obstore.store import S3Store

from opentrail_backends.object_store.names import check_bucket, check_key, check_metadata, check_size
from opentrail_backends.object_store.port import (
    BucketNotFound,
    ObjectInfo,
    ObjectNotFound,
    ObjectStoreError,
    OutcomeUnknown,
    PutOptions,
    PutRefused,
    StoredObject,
    StoreThrottled,
)
from opentrail_backends.object_store.probe import PROBE_KEY, check_create_only
from opentrail_backends.object_store.s3_answers import WrongRegion, translate_obstore
from opentrail_backends.object_store.s3_buckets import CONNECT_TIMEOUT, S3Buckets
from opentrail_backends.object_store.s3_settings import S3Settings

_MAX_STORES = 256
_ATTEMPTS = 3
_CREDENTIALS_LIVE = timedelta(minutes=5)
_OBSTORE_ERRORS = (obstore.exceptions.BaseError, OSError, ValueError)  # what obstore may raise

_Answer = TypeVar("_Answer")


class _Target(NamedTuple):
    """What one store of obstore is fixed to. `kms_key`: by the store's own name."""

    bucket: str
    writing: bool
    kms_key: str | None = None
    encryption_context: tuple[tuple[str, str], ...] = ()


class S3ObjectStore:
    """The ObjectStore port on S3."""

    keeps_policies = True

    def __init__(self, settings: S3Settings) -> None:
        """Opens nothing yet. Raises ValueError where there are no credentials."""
        self._settings = settings
        self._attempt_limit = settings.time_limit / (_ATTEMPTS + 0.2)
        self._lock = Lock()
        self._stores: OrderedDict[_Target, S3Store] = OrderedDict()
        self._regions: dict[str, str] = {}
        given = settings.credentials
        session = boto3.Session(
            aws_access_key_id=given.access_key if given else None,
            aws_secret_access_key=given.secret_key if given else None,
            aws_session_token=given.session_token if given else None,
            region_name=settings.region,
        )
        if session.get_credentials() is None:
            raise ValueError("there are no credentials for S3: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
        self._credentials = Boto3CredentialProvider(session, ttl=_CREDENTIALS_LIVE)
        self._region: str = session.region_name or "us-east-1"
        self._buckets = S3Buckets(session, settings, self._attempt_limit)

    def put(self, bucket: str, key: str, body: bytes, options: PutOptions) -> None:
        """Creates an object. A lost answer and a second try inside may show as ObjectAlreadyExists for our own object.

        Raises as the port tells; a refusal is only reported as such if no earlier try may have gone through.
        """
        check_bucket(bucket)
        check_key(key)
        check_metadata(options.metadata)
        kms_key = options.kms_key_id and self._settings.kms_keys.get(options.kms_key_id, options.kms_key_id)
        context = tuple(sorted(options.encryption_context.items())) if kms_key else ()
        target = _Target(bucket, writing=True, kms_key=kms_key, encryption_context=context)
        attributes = {"Content-Type": options.content_type, **options.metadata}
        if options.content_encoding:
            attributes["Content-Encoding"] = options.content_encoding

        def put_once(store: S3Store) -> None:
            obstore.put(store, key, body, attributes=attributes, mode="create", use_multipart=False)

        self._call(target, put_once, f"put s3://{bucket}/{key}")

    def get(self, bucket: str, key: str) -> StoredObject:
        """Reads an object. Raises as the port tells."""

        def get_once(store: S3Store) -> StoredObject:
            answer = obstore.get(store, key)
            check_size(answer.meta["size"], f"s3://{bucket}/{key}")
            return StoredObject(answer.bytes().to_bytes(), _user_metadata(answer.attributes))

        check_bucket(bucket)
        check_key(key)
        return self._call(_Target(bucket, writing=False), get_once, f"get s3://{bucket}/{key}")

    def metadata(self, bucket: str, key: str) -> Mapping[str, str]:
        """An object's user metadata. Raises as the port tells."""

        def head_once(store: S3Store) -> Mapping[str, str]:
            return _user_metadata(obstore.get(store, key, options={"head": True}).attributes)

        check_bucket(bucket)
        check_key(key)
        try:
            return self._call(_Target(bucket, writing=False), head_once, f"head s3://{bucket}/{key}")
        except ObjectNotFound:
            self._buckets.check_exists(bucket)  # the answer to a HEAD has no body that would tell
            raise

    def _call(self, target: _Target, once: Callable[[S3Store], _Answer], what: str) -> _Answer:
        """Up to three tries within the time limit; what the last one meant, in the light of those before."""
        deadline = time.monotonic() + self._settings.time_limit
        unknown: OutcomeUnknown | None = None
        for attempt in itertools.count(1):
            try:
                return once(self._store(target))
            except _OBSTORE_ERRORS as error:
                meaning = translate_obstore(error, what, reading=not target.writing)
                cause = error
            again = isinstance(meaning, OutcomeUnknown | StoreThrottled)
            if isinstance(meaning, WrongRegion):
                again = self._learn_region(target.bucket)
                meaning = PutRefused(f"{meaning}: the bucket is in another region", "PermanentRedirect")
            pause = random.uniform(0.05, 0.1) * 2**attempt  # noqa: S311 (jitter)
            if not again or attempt == _ATTEMPTS or time.monotonic() + pause + self._attempt_limit > deadline:
                raise _in_the_light_of(unknown, meaning) from cause
            if isinstance(meaning, OutcomeUnknown):
                unknown = meaning
            time.sleep(pause)
        raise AssertionError("unreachable")

    def _store(self, target: _Target) -> S3Store:
        with self._lock:
            store = self._stores.get(target)
            if store is None:
                store = self._stores[target] = self._open(target)
                if len(self._stores) > _MAX_STORES:
                    self._stores.popitem(last=False)
            self._stores.move_to_end(target)
            return store

    def _open(self, target: _Target) -> S3Store:
        """A store of obstore with everything fixed that a target says. All of it goes out signed."""
        settings = self._settings
        headers: dict[str, str] = {}
        config: dict[str, Any] = {
            "region": self._regions.get(target.bucket, self._region),
            "conditional_put": "etag",
            "unsigned_payload": settings.unsigned_payload,
            "virtual_hosted_style_request": False,
        }
        if settings.endpoint:
            config |= {"endpoint": settings.endpoint, "aws_endpoint_url_s3": settings.endpoint}
        if target.bucket in settings.bucket_owners:
            headers["x-amz-expected-bucket-owner"] = settings.bucket_owners[target.bucket]
        if target.writing:
            headers["x-amz-acl"] = "bucket-owner-full-control"
        if target.kms_key:
            config |= {"server_side_encryption": "aws:kms", "sse_kms_key_id": target.kms_key}
            if target.encryption_context:
                context = json.dumps(dict(target.encryption_context), separators=(",", ":"))
                headers["x-amz-server-side-encryption-context"] = base64.b64encode(context.encode()).decode()
        elif settings.sse == "aes256":
            config["server_side_encryption"] = "AES256"
        client: dict[str, Any] = {
            "allow_http": settings.endpoint is not None and settings.endpoint.startswith("http:"),
            "connect_timeout": timedelta(seconds=min(CONNECT_TIMEOUT, self._attempt_limit)),
            "timeout": timedelta(seconds=self._attempt_limit),
            "default_headers": headers,
        }
        if "AWS_CA_BUNDLE" in os.environ:
            client["root_certificate"] = Path(os.environ["AWS_CA_BUNDLE"]).read_bytes()
        return S3Store(
            target.bucket,
            config=config,  # type: ignore[arg-type]  # a TypedDict, filled step by step
            client_options=client,  # type: ignore[arg-type]
            # We try again ourselves: only so is it known whether an earlier try was answered.
            retry_config={"max_retries": 0, "retry_timeout": timedelta(seconds=self._attempt_limit)},
            credential_provider=self._credentials,
        )

    def _learn_region(self, bucket: str) -> bool:
        """Drops the stores made for a wrong region. False: there is nothing new to try."""
        region = self._buckets.region_of(bucket)
        with self._lock:
            if not region or region == self._regions.get(bucket, self._region):
                return False
            self._regions[bucket] = region
            for target in [target for target in self._stores if target.bucket == bucket]:
                del self._stores[target]
        return True

    def list(self, bucket: str, prefix: str = "", start_after: str = "") -> Iterator[ObjectInfo]:
        """Objects in UTF-8 byte order. Raises as `get`, when the first or a later page is asked for."""
        check_bucket(bucket)
        return self._buckets.list(bucket, prefix, start_after)

    def delete(self, bucket: str, key: str) -> None:
        """Removes an object; for the spool only. Raises as the port tells."""
        check_bucket(bucket)
        check_key(key)
        self._buckets.delete(bucket, key)

    def probe(self, bucket: str) -> None:
        """Checks at the server that a create-only put is refused where an object lies. Raises as the port tells."""

        def remove_where_that_is_allowed() -> None:
            with suppress(ObjectStoreError):
                self._buckets.delete(bucket, PROBE_KEY)

        check_create_only(self, bucket, remove_where_that_is_allowed)

    def create_bucket(self, bucket: str) -> None:
        """Makes a bucket if there is none. Raises as the port tells."""
        check_bucket(bucket)
        self._buckets.create(bucket, self._region)

    def bucket_policy(self, bucket: str) -> str | None:
        """The bucket's policy; None: it has none. Raises as the port tells."""
        check_bucket(bucket)
        return self._buckets.policy(bucket)

    def bucket_region(self, bucket: str) -> str | None:
        """The region that the server names for a bucket; None: it names none."""
        return self._buckets.region_of(bucket)

    def close(self) -> None:
        """Frees connections."""
        with self._lock:
            self._stores.clear()
        self._buckets.close()


def _in_the_light_of(unknown: OutcomeUnknown | None, meaning: ObjectStoreError) -> ObjectStoreError:
    """A refusal after a try whose outcome is not known does not tell whether that try went through."""
    if unknown is not None and isinstance(meaning, PutRefused | BucketNotFound | StoreThrottled):
        return OutcomeUnknown(f"{unknown}; tried again: {meaning}")
    return meaning


def _user_metadata(attributes: Mapping[str, str]) -> dict[str, str]:
    """Without the standard headers, which obstore names in capitals; user metadata are lower-case."""
    return {name: value for name, value in attributes.items() if name == name.lower()}
