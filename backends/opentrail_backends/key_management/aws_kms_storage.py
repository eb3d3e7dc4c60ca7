"""Keys for objects in AWS KMS.

OpenTrail needs `kms:DescribeKey` and `kms:GenerateDataKey` on a key that a trail names. GenerateDataKey is asked with
the encryption context of an object of the trail, as CloudTrail does, so that a key policy may name the trail.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from opentrail_backends.aws_clients import RegionalClients
from opentrail_backends.key_management.port import KeyManagementError, KeyNotFound
from opentrail_backends.key_management.storage_keys import KeyUnusable, KeyUseRefused

_NOT_FOUND = frozenset({"NotFoundException", "InvalidArnException"})
_UNUSABLE = frozenset(
    {
        "DisabledException",
        "InvalidKeyUsageException",
        "KMSInvalidStateException",
        "KeyUnavailableException",
        "ValidationException",  # GenerateDataKey of an asymmetric key
    }
)


class AwsStorageKeys:
    """The StorageKeys port on AWS KMS: each key in the region of its ARN."""

    def __init__(self, endpoint: str | None) -> None:
        """None: AWS. Raises KeyManagementError where there are no credentials."""
        try:
            self._clients = RegionalClients("kms", endpoint)
        except ValueError as error:
            raise KeyManagementError(str(error)) from error

    def find(self, name: str, account_id: str, region: str) -> str:
        """The key's ARN, from DescribeKey. Raises as the port tells."""
        is_arn = name.startswith("arn:")
        arn: str = self._describe(name, name.split(":")[3] if is_arn else region)["Arn"]
        if not is_arn and arn.split(":")[4] != account_id:
            # KMS looks in the account of our credentials, which need not be the caller's.
            raise KeyNotFound(f"The key {name} does not exist in account {account_id}: name another one's by its ARN.")
        return arn

    def check(self, arn: str, bucket_region: str | None, context: Mapping[str, str]) -> None:
        """Looks at the key, and lets it make a data key that nobody uses. Raises as the port tells."""
        region = arn.split(":")[3]
        if bucket_region is not None and region != bucket_region:
            raise KeyNotFound(f"The key {arn} is not in the bucket's region, {bucket_region}.")
        key = self._describe(arn, region)
        if key.get("KeyState") != "Enabled":
            raise KeyUnusable(f"The key {arn} cannot be used: its state is {key.get('KeyState')}.")
        if key.get("KeySpec", "SYMMETRIC_DEFAULT") != "SYMMETRIC_DEFAULT":
            raise KeyUnusable(f"The key {arn} cannot be used: it is not symmetric.")
        self._call(
            arn,
            region,
            lambda client: client.generate_data_key(KeyId=arn, KeySpec="AES_256", EncryptionContext=dict(context)),
        )

    def _describe(self, name: str, region: str) -> Mapping[str, Any]:
        answer = self._call(name, region, lambda client: client.describe_key(KeyId=name))
        key: Mapping[str, Any] = answer["KeyMetadata"]
        return key

    def _call(self, name: str, region: str, call: Callable[[Any], Any]) -> Any:
        try:
            return call(self._clients.in_region(region))
        except ClientError as error:
            raise _translated(name, error) from error
        except (BotoCoreError, ValueError) as error:  # ValueError: no region of this name
            raise KeyManagementError(f"AWS KMS gave no answer about the key {name}: {error}") from error


def _translated(name: str, error: ClientError) -> KeyManagementError:
    code = str(error.response["Error"].get("Code", ""))
    text = f"The key {name}: {code}: {error.response['Error'].get('Message', '')}"
    if code in _NOT_FOUND:
        return KeyNotFound(text)
    if code in _UNUSABLE:
        return KeyUnusable(text)
    if code in {"AccessDeniedException", "AccessDenied"}:
        return KeyUseRefused(text)
    return KeyManagementError(text)
