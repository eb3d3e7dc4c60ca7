"""What KMS answers that moto does not: states of keys, refusals, and the exact arguments of the calls."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from botocore.stub import Stubber

from opentrail_backends.key_management.aws_kms import AwsKms
from opentrail_backends.key_management.port import KeyManagementError, KeyNotFound

KEY = "5f3c2a10-0000-4000-8000-000000000001"


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> AwsKms:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    return AwsKms("eu-central-1", None, "alias/opentrail")


@pytest.fixture
def kms(keys: AwsKms) -> Iterator[Stubber]:
    with Stubber(keys._client) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


def in_state(kms: Stubber, state: str) -> None:
    kms.add_client_error("sign", "KMSInvalidStateException", "is not valid for Sign")
    kms.add_response("describe_key", {"KeyMetadata": {"KeyId": KEY, "KeyState": state}}, {"KeyId": KEY})


def test_a_key_that_waits_for_its_deletion_is_gone(keys: AwsKms, kms: Stubber) -> None:
    in_state(kms, "PendingDeletion")
    with pytest.raises(KeyNotFound):
        keys.sign(KEY, b"message")


def test_a_disabled_key_is_not_gone(keys: AwsKms, kms: Stubber) -> None:
    in_state(kms, "Disabled")
    with pytest.raises(KeyManagementError) as raised:
        keys.sign(KEY, b"message")
    assert not isinstance(raised.value, KeyNotFound)


def test_a_state_that_cannot_be_asked_is_not_gone(keys: AwsKms, kms: Stubber) -> None:
    kms.add_client_error("sign", "KMSInvalidStateException")
    kms.add_client_error("describe_key", "AccessDeniedException")
    with pytest.raises(KeyManagementError) as raised:
        keys.sign(KEY, b"message")
    assert not isinstance(raised.value, KeyNotFound)


def test_a_signature_is_asked_for_over_the_raw_message(keys: AwsKms, kms: Stubber) -> None:
    expected = {
        "KeyId": KEY,
        "Message": b"message",
        "MessageType": "RAW",
        "SigningAlgorithm": "RSASSA_PKCS1_V1_5_SHA_256",
    }
    kms.add_response("sign", {"Signature": b"signature"}, expected)
    assert keys.sign(KEY, b"message") == b"signature"


def test_what_kms_would_not_sign_is_not_sent(keys: AwsKms, kms: Stubber) -> None:
    with pytest.raises(KeyManagementError, match="4,096"):
        keys.sign(KEY, bytes(4097))


def test_a_key_is_scheduled_for_the_shortest_time(keys: AwsKms, kms: Stubber) -> None:
    kms.add_response("schedule_key_deletion", {}, {"KeyId": KEY, "PendingWindowInDays": 7})
    keys.destroy_signing_key(KEY)


def test_a_key_scheduled_already_is_no_error(keys: AwsKms, kms: Stubber) -> None:
    kms.add_client_error("schedule_key_deletion", "KMSInvalidStateException")
    kms.add_response("describe_key", {"KeyMetadata": {"KeyId": KEY, "KeyState": "PendingDeletion"}})
    keys.destroy_signing_key(KEY)


def test_a_key_without_its_public_half_is_given_up(keys: AwsKms, kms: Stubber) -> None:
    made = {"KeyMetadata": {"KeyId": KEY}}
    asked = {"KeyUsage": "SIGN_VERIFY", "KeySpec": "RSA_2048", "Description": "OpenTrail digests of eu-central-1"}
    kms.add_response("create_key", made, asked)
    kms.add_client_error("get_public_key", "AccessDeniedException", "not by this role")
    kms.add_response("schedule_key_deletion", {}, {"KeyId": KEY, "PendingWindowInDays": 7})
    with pytest.raises(KeyManagementError, match="not by this role"):
        keys.create_signing_key("eu-central-1")


def test_a_data_key_is_bound_to_its_context(keys: AwsKms, kms: Stubber) -> None:
    asked = {"KeyId": "alias/opentrail", "KeySpec": "AES_256", "EncryptionContext": {"aws:s3:arn": "arn"}}
    kms.add_response("generate_data_key", {"Plaintext": bytes(32), "CiphertextBlob": b"wrapped"}, asked)
    assert keys.generate_data_key({"aws:s3:arn": "arn"}) == (bytes(32), b"wrapped")


@pytest.mark.parametrize("code", ["DisabledException", "AccessDeniedException", "InvalidCiphertextException"])
def test_a_refusal_says_what_was_asked_and_answered(keys: AwsKms, kms: Stubber, code: str) -> None:
    kms.add_client_error("decrypt", code, "told so")
    with pytest.raises(KeyManagementError, match=f"KMS Decrypt.*{code}: told so"):
        keys.decrypt_data_key(b"wrapped", {})


@pytest.mark.parametrize(("region", "endpoint"), [(None, None), ("eu-central-1", "no url")])
def test_what_kms_cannot_be_reached_with_is_told(region: str | None, endpoint: str | None) -> None:
    with pytest.raises(KeyManagementError, match="cannot use AWS KMS"):
        AwsKms(region, endpoint, None)
