"""The keys that trails name for their objects (KmsKeyId): found by their names, and tried when they are set.

They are the object store's, not ours: the store encrypts with them at each put. Here it is only asked which key a name
means, and whether it could be used.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from opentrail_backends.key_management.port import KeyManagementError


class KeyUnusable(KeyManagementError):
    """The key is there and encrypts nothing: disabled, about to be deleted, or made for something else."""


class KeyUseRefused(KeyManagementError):
    """We may not use the key."""


class StorageKeys(Protocol):
    """Safe for use by several threads."""

    def find(self, name: str, account_id: str, region: str) -> str:
        """The full ARN of the key that a key id, `alias/…`, an alias' or a key's ARN means.

        An id and an alias without an ARN are those of the account in the region. Raises KeyNotFound, KeyUseRefused, and
        KeyManagementError if it cannot be known now.
        """
        ...

    def check(self, arn: str, bucket_region: str | None, context: Mapping[str, str]) -> None:
        """Tries the key for an object of a bucket, with the encryption context that the object's put will have.

        `bucket_region`: None if it is not known. Raises KeyNotFound (also for a key in another region than the bucket),
        KeyUnusable, KeyUseRefused, and KeyManagementError if it cannot be known now.
        """
        ...
