"""One suite for key management, on local keys and on AWS KMS (played by moto)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from opentrail_backends.key_management import open_key_management
from opentrail_backends.key_management.port import KeyManagement, KeyManagementError, KeyNotFound

CONTEXT = {"aws:s3:arn": "arn:aws:s3:::trail-logs/AWSLogs/ü.json.gz", "aws:cloudtrail:arn": "arn:t"}


@pytest.fixture
def kms(moto_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    return boto3.client("kms", endpoint_url=moto_endpoint, region_name="eu-central-1")


@pytest.fixture(params=["local keys", "aws kms"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "local keys":
        return f"file://{tmp_path}/keys"
    kms, endpoint = request.getfixturevalue("kms"), request.getfixturevalue("moto_endpoint")
    return f"awskms:?region=eu-central-1&endpoint={endpoint}&data_key={kms.create_key()['KeyMetadata']['KeyId']}"


@pytest.fixture
def keys(url: str) -> KeyManagement:
    return open_key_management(url)


def verify(public_key: bytes, signature: bytes, message: bytes) -> None:
    key = serialization.load_der_public_key(public_key)
    assert isinstance(key, rsa.RSAPublicKey)
    key.verify(signature, message, padding.PKCS1v15(), hashes.SHA256())


def test_a_signature_verifies_with_the_public_half(keys: KeyManagement) -> None:
    made = keys.create_signing_key("eu-central-1")
    message = b"2026-11-21T06:00:00Z\nbucket/key\nhash\nprevious"
    signature = keys.sign(made.reference, message)
    assert len(signature) == 256
    verify(made.public_key, signature, message)
    with pytest.raises(InvalidSignature):
        verify(made.public_key, signature, message + b".")


def test_a_public_key_is_pkcs1_der_of_2048_bits(keys: KeyManagement) -> None:
    public_key = keys.create_signing_key("eu-central-1").public_key
    loaded = serialization.load_der_public_key(public_key)
    assert isinstance(loaded, rsa.RSAPublicKey)
    assert loaded.key_size == 2048
    assert loaded.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.PKCS1) == public_key


def test_another_process_signs_with_the_same_key(url: str, keys: KeyManagement) -> None:
    made = keys.create_signing_key("eu-central-1")
    verify(made.public_key, open_key_management(url).sign(made.reference, b"message"), b"message")


def test_each_key_is_new(keys: KeyManagement) -> None:
    made = [keys.create_signing_key("eu-central-1") for _ in range(3)]
    assert len({key.reference for key in made}) == len({key.public_key for key in made}) == 3


def test_a_destroyed_key_signs_no_more_in_any_process(
    url: str, keys: KeyManagement, request: pytest.FixtureRequest
) -> None:
    if url.startswith("awskms:"):
        request.applymarker(pytest.mark.xfail(reason="moto signs with a key that waits for its deletion", strict=True))
    other = open_key_management(url)
    made = keys.create_signing_key("eu-central-1")
    other.sign(made.reference, b"message")
    keys.destroy_signing_key(made.reference)
    for management in (keys, other):
        with pytest.raises(KeyNotFound):
            management.sign(made.reference, b"message")


def test_destroying_a_key_again_is_no_error(keys: KeyManagement) -> None:
    made = keys.create_signing_key("eu-central-1")
    keys.destroy_signing_key(made.reference)
    keys.destroy_signing_key(made.reference)


@pytest.mark.parametrize(
    "reference", ["", "../master.key", "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-0000-0000-000000000000"]
)
def test_an_unknown_reference_is_not_found(keys: KeyManagement, reference: str) -> None:
    with pytest.raises(KeyManagementError):
        keys.sign(reference, b"message")


def test_a_data_key_comes_back_with_its_context(url: str, keys: KeyManagement) -> None:
    made = keys.generate_data_key(CONTEXT)
    assert len(made.plaintext) == 32
    assert made.plaintext not in made.wrapped
    reordered = dict(reversed(list(CONTEXT.items())))
    assert open_key_management(url).decrypt_data_key(made.wrapped, reordered) == made.plaintext


@pytest.mark.parametrize("context", [{}, {**CONTEXT, "aws:cloudtrail:arn": "arn:u"}, {**CONTEXT, "more": "x"}])
def test_another_context_opens_no_data_key(keys: KeyManagement, context: dict[str, str]) -> None:
    with pytest.raises(KeyManagementError):
        keys.decrypt_data_key(keys.generate_data_key(CONTEXT).wrapped, context)


@pytest.mark.parametrize("wrapped", [b"", b"short", bytes(60), bytes(200)])
def test_what_is_no_wrapped_key_opens_nothing(keys: KeyManagement, wrapped: bytes) -> None:
    with pytest.raises(KeyManagementError):
        keys.decrypt_data_key(wrapped, CONTEXT)


def test_a_changed_wrapped_key_opens_nothing(keys: KeyManagement) -> None:
    wrapped = bytearray(keys.generate_data_key(CONTEXT).wrapped)
    wrapped[-1] ^= 1
    with pytest.raises(KeyManagementError):
        keys.decrypt_data_key(bytes(wrapped), CONTEXT)


def test_threads_use_it_at_once(keys: KeyManagement) -> None:
    made = keys.create_signing_key("eu-central-1")

    def work(number: int) -> None:
        verify(made.public_key, keys.sign(made.reference, b"%d" % number), b"%d" % number)
        data_key = keys.generate_data_key(CONTEXT)
        assert keys.decrypt_data_key(data_key.wrapped, CONTEXT) == data_key.plaintext

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(32)))


def test_a_server_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    keys = open_key_management("awskms:?region=eu-central-1&endpoint=http://127.0.0.1:1&data_key=alias/x")
    with pytest.raises(KeyManagementError, match="no answer"):
        keys.generate_data_key(CONTEXT)


def test_without_a_key_for_data_keys_there_are_none(kms: Any, moto_endpoint: str) -> None:
    keys = open_key_management(f"awskms:?region=eu-central-1&endpoint={moto_endpoint}")
    with pytest.raises(KeyManagementError, match="data_key"):
        keys.generate_data_key(CONTEXT)
