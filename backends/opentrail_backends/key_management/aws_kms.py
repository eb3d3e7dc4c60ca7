"""Keys in AWS KMS: private halves and wrapping keys never leave it.

The caller needs `kms:CreateKey`, `kms:GetPublicKey`, `kms:Sign`, `kms:DescribeKey`, `kms:ScheduleKeyDeletion` for
signing keys, and `kms:GenerateDataKey`, `kms:Decrypt` on the key for data keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import boto3
import botocore.config
from botocore.exceptions import BotoCoreError, ClientError
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from opentrail_backends.key_management.port import DataKey, KeyManagementError, KeyNotFound, SigningKey

MAX_MESSAGE_BYTES = 4096
"""KMS: what `Sign` takes as a RAW message; CloudTrail's string to sign is far below."""

_DELETION_DAYS = 7  # the shortest that KMS allows; the key signs nothing from the first moment on
_DELETED = {"PendingDeletion", "PendingReplicaDeletion"}


class AwsKms:
    """The KeyManagement port on AWS KMS. A reference is the key's id."""

    def __init__(self, region: str | None, endpoint: str | None, data_key: str | None) -> None:
        """`data_key`: id, ARN or alias of the symmetric key that wraps data keys; None: there are none to be had.

        Raises KeyManagementError where region or credentials are missing.
        """
        self._data_key = data_key
        try:
            self._client: Any = boto3.client(
                "kms",
                region_name=region,
                endpoint_url=endpoint,
                config=botocore.config.Config(
                    connect_timeout=5, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 3}
                ),
            )
        except (BotoCoreError, ValueError) as error:  # ValueError: the endpoint is no URL
            raise KeyManagementError(f"cannot use AWS KMS: {error}") from error

    def create_signing_key(self, region: str) -> SigningKey:
        """Makes an RSA-2048 pair. Raises KeyManagementError; a key whose public half cannot be had is given up."""
        made = self._call(
            "CreateKey",
            self._client.create_key,
            KeyUsage="SIGN_VERIFY",
            KeySpec="RSA_2048",
            Description=f"OpenTrail digests of {region}",
        )
        reference: str = made["KeyMetadata"]["KeyId"]
        try:
            answer = self._call("GetPublicKey", self._client.get_public_key, KeyId=reference)
        except KeyManagementError:
            with suppress(KeyManagementError):
                self.destroy_signing_key(reference)
            raise
        public = serialization.load_der_public_key(answer["PublicKey"])
        if not isinstance(public, rsa.RSAPublicKey):
            raise KeyManagementError(f"{reference} is no RSA key")
        pkcs1 = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.PKCS1)
        return SigningKey(reference, pkcs1)

    def sign(self, reference: str, message: bytes) -> bytes:
        """PKCS#1 v1.5 over SHA-256, hashed by KMS. Raises KeyNotFound, KeyManagementError."""
        if len(message) > MAX_MESSAGE_BYTES:
            raise KeyManagementError(f"KMS signs at most {MAX_MESSAGE_BYTES:,} bytes, not {len(message):,}")
        answer = self._call(
            "Sign",
            self._client.sign,
            KeyId=reference,
            Message=message,
            MessageType="RAW",
            SigningAlgorithm="RSASSA_PKCS1_V1_5_SHA_256",
        )
        signature: bytes = answer["Signature"]
        return signature

    def destroy_signing_key(self, reference: str) -> None:
        """Schedules the deletion; KMS refuses to sign with it at once and destroys it after seven days."""
        with suppress(KeyNotFound):
            self._call(
                "ScheduleKeyDeletion",
                self._client.schedule_key_deletion,
                KeyId=reference,
                PendingWindowInDays=_DELETION_DAYS,
            )

    def generate_data_key(self, context: Mapping[str, str]) -> DataKey:
        """A fresh data key, wrapped by KMS. Raises KeyManagementError."""
        if self._data_key is None:
            raise KeyManagementError("no key for data keys is set: awskms:?data_key=alias/NAME")
        answer = self._call(
            "GenerateDataKey",
            self._client.generate_data_key,
            KeyId=self._data_key,
            KeySpec="AES_256",
            EncryptionContext=dict(context),
        )
        return DataKey(answer["Plaintext"], answer["CiphertextBlob"])

    def decrypt_data_key(self, wrapped: bytes, context: Mapping[str, str]) -> bytes:
        """The plain data key. Raises KeyManagementError if key or context do not fit."""
        answer = self._call("Decrypt", self._client.decrypt, CiphertextBlob=wrapped, EncryptionContext=dict(context))
        plain: bytes = answer["Plaintext"]
        return plain

    def _call(self, name: str, call: Any, **arguments: Any) -> dict[str, Any]:
        """One call, with foreign exceptions translated."""
        try:
            answer: dict[str, Any] = call(**arguments)
        except ClientError as error:
            raise self._translated(name, error, arguments.get("KeyId")) from error
        except BotoCoreError as error:
            raise KeyManagementError(f"KMS {name}: no answer ({error})") from error
        return answer

    def _translated(self, name: str, error: ClientError, key_id: str | None) -> KeyManagementError:
        code = error.response["Error"]["Code"]
        text = f"KMS {name} with {key_id}: {code}: {error.response['Error'].get('Message', '')}"
        if code in {"NotFoundException", "InvalidArnException"}:
            return KeyNotFound(text)
        if code == "KMSInvalidStateException" and key_id and self._state(key_id) in _DELETED:
            return KeyNotFound(text)
        return KeyManagementError(text)

    def _state(self, key_id: str) -> str:
        with suppress(ClientError, BotoCoreError):
            return str(self._client.describe_key(KeyId=key_id)["KeyMetadata"]["KeyState"])
        return "unknown"
