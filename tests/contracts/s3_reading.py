"""A reader of an S3 endpoint, as its settings make it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from opentrail_validator.readers.port import Outcome, Place
from opentrail_validator.readers.s3 import S3Reader

Reading = Callable[..., S3Reader]


@pytest.fixture
def reading(monkeypatch: pytest.MonkeyPatch) -> Reading:
    """Makes a reader of an endpoint."""

    def make(endpoint: str, *, attempts: int | None = None, region: str = "us-east-1", **env: str) -> S3Reader:
        settings = {"AWS_ENDPOINT_URL_S3": endpoint, "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
        if attempts is not None:
            settings["AWS_MAX_ATTEMPTS"] = str(attempts)
        for name, value in (settings | env).items():
            monkeypatch.setenv(name, value)
        return S3Reader(region)

    return make


def outcome(reader: S3Reader, key: str = "a/b", bucket: str = "trail-logs") -> Outcome:
    (found,) = reader.read_all([Place(bucket, key)], lambda _, outcome: outcome)
    return found
