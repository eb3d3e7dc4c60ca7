"""Where buckets are and who asks for their objects, found as the AWS CLI finds it: by the AWS SDK."""

from __future__ import annotations

import re
import time
from threading import Lock
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit
from xml.etree.ElementTree import ParseError

import botocore.session
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError
from botocore.httpsession import DEFAULT_CA_BUNDLE

from opentrail_validator.readers.port import CouldNotRead
from opentrail_validator.readers.s3_answers import SDK_ERRORS
from opentrail_validator.readers.s3_transfer import Request

_US_EAST_1: Final = "us-east-1"
_OTHER_NAMES: Final = {None: _US_EAST_1, "": _US_EAST_1, "EU": "eu-west-1"}
"""What GetBucketLocation says instead of these regions."""
_BUCKET_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")
_ATTEMPTS: Final = 4
"""How often a request is made at most, where `AWS_MAX_ATTEMPTS` says nothing else."""
PATIENCE: Final = 10
"""Seconds for which a server may say nothing; also for which a request is made again."""
_ASKED_AGAIN_AFTER: Final = 30.0
"""Seconds for which the asked region serves for a bucket whose location could not be asked for."""
_SERVER_FAILED: Final = 500


class Bucket(NamedTuple):
    """How to reach a bucket: many objects by libcurl, lists and odd keys by the SDK."""

    name: str
    region: str
    host: str
    url: str
    client: Any


class Buckets:
    """Opens buckets, each in its own region. Safe for use by several threads."""

    def __init__(self, region: str, endpoint_url: str | None = None) -> None:
        """`region`: for buckets that do not tell theirs. `endpoint_url`: None for the one that the SDK finds."""
        self._region = region
        self._endpoint_url = endpoint_url
        self._lock = Lock()
        self._session = botocore.session.get_session()
        # Times of lists are read by whoever wants them: to the SDK's parser they are half of the work.
        self._session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=str)
        self._clients: dict[str, Any] = {}
        self._open: dict[str, tuple[Bucket, float]] = {}
        self.attempts = max(1, int(self._session.get_config_variable("max_attempts") or _ATTEMPTS))
        """How often a request is made at most."""
        self._certificates: str = self._session.get_config_variable("ca_bundle") or DEFAULT_CA_BUNDLE

    def open(self, name: str) -> Bucket:
        """The bucket; nothing says that it is there. Raises CouldNotRead."""
        opened = self._open.get(name)
        if opened is None or time.monotonic() > opened[1]:
            with self._lock:
                opened = self._open.get(name)
                if opened is None or time.monotonic() > opened[1]:
                    opened = self._open[name] = self._opened(name)
        return opened[0]

    def request(self, bucket: Bucket, key: str) -> Request:
        """What to send for an object whose key is written as it is. Raises CouldNotRead."""
        try:
            credentials = self._session.get_credentials()
            frozen = credentials.get_frozen_credentials() if credentials else None
        except SDK_ERRORS as error:  # a role that may no longer be taken, a session that has ended
            raise CouldNotRead(f"there are no credentials: {error}") from None
        if frozen is None or not frozen.access_key or not frozen.secret_key:
            raise CouldNotRead(str(NoCredentialsError()))
        return Request(
            bucket.url + key,
            bucket.host,
            bucket.region,
            frozen.access_key,
            frozen.secret_key,
            frozen.token,
            self._certificates,
            PATIENCE,
        )

    def _opened(self, name: str) -> tuple[Bucket, float]:
        """The bucket, and until when its region is believed (monotonic)."""
        if not _BUCKET_NAME.fullmatch(name):
            raise CouldNotRead(f"no bucket can have the name {name!r}")
        try:
            region, until = self._ask_region(name)
            client = self._client(region)
            endpoint = client.meta.endpoint_url.rstrip("/")
            return Bucket(name, region, urlsplit(endpoint).netloc, f"{endpoint}/{name}/", client), until
        except SDK_ERRORS as error:
            raise CouldNotRead(str(error)) from None

    def _ask_region(self, name: str) -> tuple[str, float]:
        """Who may not ask takes the asked region; so does, for a while, who gets no answer."""
        try:
            location = self._client(self._region).get_bucket_location(Bucket=name).get("LocationConstraint")
        except NoCredentialsError:
            raise
        except ClientError as error:
            if error.operation_name != "GetBucketLocation":  # there were no credentials to ask with
                raise
            failed = error.response["ResponseMetadata"]["HTTPStatusCode"] >= _SERVER_FAILED
            return self._region, time.monotonic() + _ASKED_AGAIN_AFTER if failed else float("inf")
        except (BotoCoreError, ParseError):  # ParseError: a gateway's page in place of S3's answer
            return self._region, time.monotonic() + _ASKED_AGAIN_AFTER
        return _OTHER_NAMES.get(location, location), float("inf")

    def _client(self, region: str) -> Any:
        if region not in self._clients:
            config = botocore.config.Config(
                connect_timeout=PATIENCE,
                read_timeout=PATIENCE,
                retries={"mode": "standard", "total_max_attempts": self.attempts},
            )
            self._clients[region] = self._session.create_client(
                "s3", region_name=region, endpoint_url=self._endpoint_url, config=config
            )
        return self._clients[region]
