"""URLs choose adapters; a bad one is answered with a sentence that says what is allowed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from opentrail_backends.object_store import Credentials, open_object_store
from opentrail_backends.object_store.in_memory import InMemoryObjectStore
from opentrail_backends.object_store.local_directory import LocalDirectoryObjectStore
from opentrail_backends.object_store.s3_settings import S3Settings, parse_s3_url


@pytest.mark.parametrize(
    "url",
    [
        "", "http://bucket", "s3://bucket", "s3://bucket/prefix?region=eu-west-1", "s3:///path", "s3://?regoin=x",
        "s3://?sse=aes128", "s3://?allow_http=yes", "s3://?region=a&region=b", "s3://?kms_key=arn", "s3://?kms_key=arn=",
        "s3://?endpoint=127.0.0.1:9000", "s3://?endpoint=https://", "s3://?endpoint=https://host/path", "s3://#x",
        "file:relative", "file://host/dir", "file:", "file:///dir?x=1", "memory:x", "memory://",
    ],
)  # fmt: skip
def test_a_bad_url_is_told_what_is_allowed(url: str) -> None:
    with pytest.raises(ValueError, match=r"s3://\?|is not https|is neither|is not of the form"):
        open_object_store(url)


def test_plain_http_must_be_asked_for_except_on_this_machine() -> None:
    with pytest.raises(ValueError, match="allow_http=true"):
        parse_s3_url("s3://?endpoint=http://minio.example:9000", {})
    assert parse_s3_url("s3://?endpoint=http://minio.example:9000&allow_http=true", {}).allow_http
    for host in ("127.0.0.1", "localhost", "[::1]"):
        assert parse_s3_url(f"s3://?endpoint=http://{host}:9000", {}).unsigned_payload


@pytest.mark.parametrize(
    ("endpoint", "unsigned"),
    [(None, True), ("https://s3.example", True), ("http://127.0.0.1:9000", True), ("http://minio.example", False)],
)
def test_bodies_go_unsigned_only_where_nobody_between_can_change_them(endpoint: str | None, unsigned: bool) -> None:
    assert S3Settings(endpoint, allow_http=True).unsigned_payload is unsigned


def test_a_url_says_everything_that_the_environment_does_not() -> None:
    url = (
        "s3://?endpoint=https://s3.example&region=eu-west-3&sse=none&kms_key=arn:a=x&kms_key=arn:b=y&bucket_owner=bkt=1"
    )
    environment = {"AWS_ENDPOINT_URL_S3": "https://other.example", "AWS_REGION": "us-west-1"}
    credentials = Credentials("key", "secret")
    assert parse_s3_url(url, environment, credentials) == S3Settings(
        endpoint="https://s3.example",
        region="eu-west-3",
        sse="none",
        kms_keys={"arn:a": "x", "arn:b": "y"},
        bucket_owners={"bkt": "1"},
        credentials=credentials,
    )
    assert parse_s3_url("s3://", environment) == S3Settings("https://other.example", "us-west-1")


def test_a_url_opens_the_adapter_it_names(tmp_path: Path) -> None:
    assert isinstance(open_object_store("memory:"), InMemoryObjectStore)
    assert isinstance(open_object_store(f"file://{tmp_path}/with%20space"), LocalDirectoryObjectStore)
    assert (tmp_path / "with space").is_dir()


def test_a_local_store_does_not_import_the_libraries_of_s3(tmp_path: Path) -> None:
    program = (
        "import sys; from opentrail_backends.object_store import open_object_store; "
        f"open_object_store('file://{tmp_path}/objects'); "
        "sys.exit(bool({'obstore', 'boto3', 'botocore'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
