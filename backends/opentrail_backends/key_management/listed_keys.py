"""The keys of an object store without a KMS that could be asked: those that the operator has listed for it.

An S3 server names its keys as it likes (`kms_key=ARN=NAME` in the object store's URL). A local directory has none: all
of its objects are encrypted under `storage.key`, so that a KmsKeyId would promise what is not there.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from opentrail_backends.key_management.port import KeyNotFound


class ListedKeys:
    """The StorageKeys port on a list of full key ARNs."""

    def __init__(self, arns: Collection[str]) -> None:
        self._arns = frozenset(arns)

    def find(self, name: str, account_id: str, region: str) -> str:
        """The ARN of a listed key, by its ARN or its id. Raises KeyNotFound."""
        arn = name if name.startswith("arn:") else f"arn:aws:kms:{region}:{account_id}:key/{name}"
        self._demand(arn, name)
        return arn

    def check(self, arn: str, bucket_region: str | None, context: Mapping[str, str]) -> None:  # noqa: ARG002 (the port's)
        """Raises KeyNotFound for a key that is not listed. Whether it works, the first put shows."""
        self._demand(arn, arn)

    def _demand(self, arn: str, name: str) -> None:
        if not self._arns:
            raise KeyNotFound(
                f"The key {name} does not exist: the object store of this installation has no keys for trails to name."
            )
        if arn not in self._arns:
            raise KeyNotFound(f"The key {name} is none of those that this installation's object store has.")
