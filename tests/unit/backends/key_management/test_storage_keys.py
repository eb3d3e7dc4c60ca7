"""Which keys trails may name, by the settings; and what KMS answers that moto does not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from botocore.stub import Stubber

from opentrail_backends.key_management import open_storage_keys
from opentrail_backends.key_management.aws_kms_storage import AwsStorageKeys
from opentrail_backends.key_management.listed_keys import ListedKeys
from opentrail_backends.key_management.port import KeyManagementError, KeyNotFound
from opentrail_backends.key_management.storage_keys import KeyUnusable, KeyUseRefused

REGION, ACCOUNT = "eu-central-1", "111122223333"
KEY_ID = "5f3c2a10-0000-4000-8000-000000000001"
ARN = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{KEY_ID}"
CONTEXT = {"aws:cloudtrail:arn": f"arn:aws:cloudtrail:{REGION}:{ACCOUNT}:trail/audit"}
ENABLED = {"KeyMetadata": {"KeyId": KEY_ID, "Arn": ARN, "KeyState": "Enabled", "KeySpec": "SYMMETRIC_DEFAULT"}}


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> AwsStorageKeys:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    return AwsStorageKeys(None)


@pytest.fixture
def kms(keys: AwsStorageKeys) -> Iterator[Stubber]:
    with Stubber(keys._clients.in_region(REGION)) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


def test_a_key_is_tried_with_the_encryption_context_of_an_object(keys: AwsStorageKeys, kms: Stubber) -> None:
    kms.add_response("describe_key", ENABLED, {"KeyId": ARN})
    expected = {"KeyId": ARN, "KeySpec": "AES_256", "EncryptionContext": CONTEXT}
    kms.add_response("generate_data_key", {"KeyId": ARN}, expected)
    keys.check(ARN, REGION, CONTEXT)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("AccessDeniedException", KeyUseRefused),
        ("NotFoundException", KeyNotFound),
        ("DisabledException", KeyUnusable),
        ("KMSInvalidStateException", KeyUnusable),
        ("InvalidKeyUsageException", KeyUnusable),
        ("ThrottlingException", KeyManagementError),
        ("KMSInternalException", KeyManagementError),
    ],
)
def test_what_kms_says_of_a_key_is_told_apart(
    keys: AwsStorageKeys, kms: Stubber, code: str, kind: type[KeyManagementError]
) -> None:
    kms.add_response("describe_key", ENABLED)
    kms.add_client_error("generate_data_key", code, "for a reason")
    with pytest.raises(KeyManagementError, match="for a reason") as raised:
        keys.check(ARN, REGION, CONTEXT)
    assert type(raised.value) is kind


def test_an_id_never_means_a_key_of_the_operators_account(keys: AwsStorageKeys, kms: Stubber) -> None:
    for _ in range(2):
        kms.add_response("describe_key", ENABLED, {"KeyId": "alias/trail"})
    assert keys.find("alias/trail", ACCOUNT, REGION) == ARN
    with pytest.raises(KeyNotFound, match="444455556666"):
        keys.find("alias/trail", "444455556666", REGION)


def test_a_key_that_we_may_not_look_at_is_not_one_that_is_not_there(keys: AwsStorageKeys, kms: Stubber) -> None:
    kms.add_client_error("describe_key", "AccessDeniedException")
    with pytest.raises(KeyUseRefused):
        keys.find(ARN, ACCOUNT, REGION)


# --- which keys


@pytest.mark.parametrize(
    ("url", "store", "environment", "endpoint"),
    [
        ("", "s3://", {}, None),
        ("", "s3://?region=eu-west-1", {"AWS_ENDPOINT_URL_KMS": "https://kms.example"}, "https://kms.example"),
        ("awskms:", "file:///buckets", {}, None),
        ("awskms:", "s3://?endpoint=https://minio.example", {}, None),
        ("awskms:?endpoint=http://127.0.0.1:5000", "s3://?endpoint=https://minio", {}, "http://127.0.0.1:5000"),
    ],
)
@pytest.mark.usefixtures("keys")
def test_keys_are_those_of_kms_where_the_store_is_on_aws_or_the_setting_says_so(
    url: str, store: str, environment: dict[str, str], endpoint: str | None
) -> None:
    opened = open_storage_keys(url, store, environment)
    assert isinstance(opened, AwsStorageKeys)
    assert opened._clients.endpoint == endpoint


def test_keys_of_another_s3_server_are_those_that_its_url_lists() -> None:
    opened = open_storage_keys("", f"s3://?endpoint=https://minio.example&kms_key={ARN}=trail-key", {})
    assert isinstance(opened, ListedKeys)
    assert opened.find(KEY_ID, ACCOUNT, REGION) == ARN
    opened.check(ARN, "us-east-1", CONTEXT)


@pytest.mark.parametrize("store", ["file:///buckets", "memory:", "s3://?endpoint=https://minio.example"])
def test_a_store_without_keys_has_none_for_trails(store: str) -> None:
    with pytest.raises(KeyNotFound, match="has no keys for trails to name"):
        open_storage_keys("", store, {}).find(ARN, ACCOUNT, REGION)


@pytest.mark.parametrize("url", ["file:///keys", "awskms:key", "awskms:?data_key=alias/x", "awskms://host"])
def test_another_url_is_told_what_is_allowed(url: str) -> None:
    with pytest.raises(ValueError, match="names no keys for objects; allowed is awskms:"):
        open_storage_keys(url, "file:///buckets", {})


@pytest.mark.parametrize("endpoint", ["http://kms.example", "kms.example"])
def test_keys_are_asked_over_https(endpoint: str) -> None:
    with pytest.raises(ValueError, match="https"):
        open_storage_keys(f"awskms:?endpoint={endpoint}", "file:///buckets", {})


def test_without_credentials_kms_cannot_be_asked() -> None:
    with pytest.raises(KeyManagementError, match="AWS_ACCESS_KEY_ID"):
        open_storage_keys("awskms:", "file:///buckets", {})
