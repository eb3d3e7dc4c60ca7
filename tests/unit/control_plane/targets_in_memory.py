"""What trails write to, in memory: buckets and topics with policies, and keys. A test sets them up as it likes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from opentrail_backends.key_management.listed_keys import ListedKeys
from opentrail_backends.key_management.storage_keys import KeyUnusable, KeyUseRefused
from opentrail_backends.notifications.port import TopicNotFound
from opentrail_backends.object_store.in_memory import InMemoryObjectStore
from opentrail_backends.object_store.port import OutcomeUnknown
from opentrail_control_plane.allowed_buckets import AllowedBuckets
from opentrail_control_plane.targets import Targets


class OwnedBuckets(InMemoryObjectStore):
    """Buckets whose owners say by a policy who may write there."""

    keeps_policies = True

    def __init__(self) -> None:
        super().__init__()
        self.policies: dict[str, str] = {}
        self.is_silent = False

    def bucket_policy(self, bucket: str) -> str | None:  # type: ignore[override]
        if self.is_silent:
            raise OutcomeUnknown(f"no answer about {bucket}")
        super().bucket_policy(bucket)
        return self.policies.get(bucket)

    def give(self, bucket: str, policy: str) -> None:
        """Makes a bucket with a policy, or changes its policy."""
        self.create_bucket(bucket)
        self.policies[bucket] = policy


class Keys(ListedKeys):
    """Keys, some of which do not work, and aliases for them."""

    def __init__(self, arns: Iterable[str], aliases: Mapping[str, str]) -> None:
        super().__init__(list(arns))
        self.aliases = aliases
        self.disabled: set[str] = set()
        self.closed: set[str] = set()
        self.asked = 0

    def find(self, name: str, account_id: str, region: str) -> str:
        self.asked += 1
        return super().find(self.aliases.get(name, name), account_id, region)

    def check(self, arn: str, bucket_region: str | None, context: Mapping[str, str]) -> None:
        super().check(arn, bucket_region, context)
        if arn in self.disabled:
            raise KeyUnusable(f"{arn} is disabled.")
        if arn in self.closed:
            raise KeyUseRefused(f"{arn} lets nobody in.")


class Topics:
    """Topics by their ARN, each with its policy; what was published to them is kept."""

    def __init__(self) -> None:
        self.policies: dict[str, str] = {}
        self.published: list[tuple[str, str]] = []

    def topic_policy(self, topic_arn: str) -> str:
        try:
            return self.policies[topic_arn]
        except KeyError:
            raise TopicNotFound(f"{topic_arn} does not exist", "NotFound") from None

    def publish(self, topic_arn: str, message: str) -> None:
        self.published.append((topic_arn, message))

    def close(self) -> None:
        """Nothing is kept open."""


class TargetsInMemory(Targets):
    """The real checks on all of these."""

    def __init__(self, keys: Keys) -> None:
        self.buckets, self.keys, self.topics = OwnedBuckets(), keys, Topics()
        super().__init__(self.buckets, keys, self.topics, AllowedBuckets())
