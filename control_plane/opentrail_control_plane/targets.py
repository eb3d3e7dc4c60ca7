"""What a trail writes to is checked when it is set: its bucket, its KMS key, its topic (reference: §5.6, §9.1 to §9.5).

Codes and messages are CloudTrail's (`Refused`). Where a bucket, key or topic cannot be asked now, nothing is known:
that is no refusal but ServiceUnavailable with status 503, which AWS's clients try again by themselves.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Collection

from opentrail.policies.resource_policy import InvalidPolicy, parse_policy
from opentrail.trails.caller import Caller
from opentrail.trails.configuration import Configuration
from opentrail.trails.refused import Refused
from opentrail.trails.target_policies import bucket_lets_in, topic_lets_in
from opentrail.trails.trail import Trail
from opentrail_backends.key_management.port import KeyManagementError, KeyNotFound
from opentrail_backends.key_management.storage_keys import KeyUnusable, KeyUseRefused, StorageKeys
from opentrail_backends.notifications.port import NotificationError, Notifications, NotificationsUnavailable
from opentrail_backends.object_store.port import BucketNotFound, ObjectStore, ObjectStoreError, PutRefused
from opentrail_control_plane.allowed_buckets import AllowedBuckets
from opentrail_control_plane.errors import ApiError

log = logging.getLogger(__name__)

VALIDATION_MESSAGE = "CloudTrail validation message."
"""What CloudTrail publishes to a topic that is set; the CloudTrail Processing Library drops it by this text."""

MAX_TOPIC_NAME = 256
"""Characters of SnsTopicName, which may be an ARN (CloudTrail)."""

_KEY_ID = r"(?:[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|mrk-[0-9a-f]{32})"
_ALIAS = r"alias/[A-Za-z0-9/_-]{1,250}"
_KEY_NAME = re.compile(rf"{_KEY_ID}|{_ALIAS}|arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{{12}}:(?:key/[A-Za-z0-9-]+|{_ALIAS})")
_TOPIC_NAME = re.compile(r"[A-Za-z0-9_-]+")
_TOPIC_ARN = re.compile(r"arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]+")


class Targets:
    """Asks buckets, keys and topics. Safe for use by several threads."""

    def __init__(
        self,
        store: ObjectStore,
        keys: StorageKeys,
        notifications: Notifications,
        allowed_buckets: AllowedBuckets = AllowedBuckets(),  # noqa: B008 (a constant)
        *,
        reserved_buckets: Collection[str] = (),
    ) -> None:
        """`reserved_buckets`: the installation's own, for no trail."""
        self._store = store
        self._keys = keys
        self._notifications = notifications
        self._allowed_buckets = allowed_buckets
        self._reserved_buckets = frozenset(reserved_buckets)

    # --- names ------------------------------------------------------------------------------------

    def resolve_kms_key(self, key_id: str, caller: Caller) -> str:
        """The full key ARN that a KmsKeyId means; empty stays empty.

        Raises Refused: InvalidKmsKeyIdException, KmsKeyNotFoundException, InsufficientEncryptionPolicyException.
        """
        if not key_id:
            return ""
        if not _KEY_NAME.fullmatch(key_id):
            raise Refused("InvalidKmsKeyIdException", f"{key_id} is no key ID, alias, or ARN of a key or an alias.")
        try:
            return self._keys.find(key_id, caller.account_id, caller.region)
        except KeyNotFound as error:
            raise Refused("KmsKeyNotFoundException", str(error)) from error
        except KeyUseRefused as error:
            raise Refused("InsufficientEncryptionPolicyException", f"Insufficient permissions: {error}") from error
        except KeyManagementError as error:
            raise _unavailable("The key management", error) from error

    def resolve_topic(self, name_or_arn: str, caller: Caller) -> str:
        """The topic's ARN; a name is one of the caller's account and region, and empty stays empty.

        Raises Refused: InvalidSnsTopicNameException.
        """
        if not name_or_arn or _TOPIC_ARN.fullmatch(name_or_arn):
            return name_or_arn
        if len(name_or_arn) > MAX_TOPIC_NAME or not _TOPIC_NAME.fullmatch(name_or_arn):
            raise Refused(
                "InvalidSnsTopicNameException",
                f"SNS topic name {name_or_arn} is invalid: it has 1 to {MAX_TOPIC_NAME} letters, digits, hyphens and "
                "underscores, or is the ARN of a topic.",
            )
        return f"arn:aws:sns:{caller.region}:{caller.account_id}:{name_or_arn}"

    # --- checks -----------------------------------------------------------------------------------

    def check_trail(self, trail: Trail, before: Trail | None, configuration: Configuration) -> None:
        """Checks what was set or changed since `before` (None: the trail is new), in CloudTrail's order.

        `configuration` is the one without the change. Raises Refused, and ApiError where something cannot be asked.
        """
        place = _place(trail)
        is_elsewhere = before is None or _place(before) != place
        if is_elsewhere:
            self.check_bucket(trail, configuration)
        if trail.kms_key_id and (is_elsewhere or before is None or before.kms_key_id != trail.kms_key_id):
            self.check_kms_key(trail, trail.kms_key_id)
        if trail.sns_topic_arn and (before is None or before.sns_topic_arn != trail.sns_topic_arn):
            self.check_topic(trail, trail.sns_topic_arn)

    def check_bucket(self, trail: Trail, configuration: Configuration) -> None:
        """Checks that the trail's bucket is there, lets the trail in, and never replaces an object.

        Raises Refused: S3BucketDoesNotExistException, InsufficientS3BucketPolicyException; ApiError.
        """
        bucket = trail.s3_bucket_name
        if bucket in self._reserved_buckets:
            raise _bucket_refused(bucket, "it is this installation's own")
        try:
            if self._store.keeps_policies:
                self._check_policy(trail)
            else:
                self._take_bucket(trail, configuration)
            self._store.probe(bucket)
        except BucketNotFound as error:
            raise Refused("S3BucketDoesNotExistException", f"S3 bucket {bucket} does not exist!") from error
        except PutRefused as error:
            # A policy that allows no more than the keys of log files refuses the probe: that says nothing about them.
            if error.code == "ConditionalWritesUnsupported":
                raise _bucket_refused(bucket, str(error)) from error
            log.info("cannot probe whether bucket %s replaces objects: %s", bucket, error)
        except ObjectStoreError as error:
            raise _unavailable("The object store", error) from error

    def _check_policy(self, trail: Trail) -> None:
        """A bucket whose owner says who may write there. Raises Refused, ObjectStoreError."""
        bucket = trail.s3_bucket_name
        try:
            text = self._store.bucket_policy(bucket)
        except PutRefused as error:
            text, reason = None, f"its policy cannot be read: {error}"
        else:
            reason = "it has no policy"
        if self._allowed_buckets.allows(trail.account_id, bucket):
            return
        if text is None:
            raise _bucket_refused(bucket, reason)
        try:
            if not bucket_lets_in(parse_policy(text), trail):
                raise _bucket_refused(bucket, f"its policy does not let {trail.arn} in, or lets other accounts in, too")
        except InvalidPolicy as error:
            raise _bucket_refused(bucket, f"its policy cannot be read: {error}") from error

    def _take_bucket(self, trail: Trail, configuration: Configuration) -> None:
        """A bucket of an installation's own directory: made for who names it first, and that account's while it does.

        Raises Refused, ObjectStoreError.
        """
        bucket = trail.s3_bucket_name
        owners = {other.account_id for other in configuration.trails.values() if other.s3_bucket_name == bucket}
        if owners - {trail.account_id} and not self._allowed_buckets.allows(trail.account_id, bucket):
            raise _bucket_refused(bucket, f"trails of other accounts than {trail.account_id} use it")
        self._store.create_bucket(bucket)

    def check_kms_key(self, trail: Trail, key_arn: str) -> None:
        """Checks that the key can encrypt the trail's objects in its bucket.

        Raises Refused: KmsKeyNotFoundException, KmsException, InsufficientEncryptionPolicyException; ApiError.
        """
        bucket = trail.s3_bucket_name
        folder = f"{bucket}/{trail.s3_key_prefix}/AWSLogs" if trail.s3_key_prefix else f"{bucket}/AWSLogs"
        context = {
            "aws:cloudtrail:arn": trail.arn,
            "aws:s3:arn": f"arn:aws:s3:::{folder}/{trail.account_id}/CloudTrail/{trail.home_region}/object",
        }
        try:
            self._keys.check(key_arn, self._store.bucket_region(bucket), context)
        except KeyNotFound as error:
            raise Refused("KmsKeyNotFoundException", str(error)) from error
        except KeyUnusable as error:
            raise Refused("KmsException", str(error)) from error
        except KeyUseRefused as error:
            raise Refused(
                "InsufficientEncryptionPolicyException",
                f"Insufficient permissions to access S3 bucket {bucket} or KMS key {key_arn}.",
            ) from error
        except KeyManagementError as error:
            raise _unavailable("The key management", error) from error

    def check_topic(self, trail: Trail, topic_arn: str) -> None:
        """Checks that the topic is there and lets the trail publish, and publishes CloudTrail's validation message.

        Raises Refused: InsufficientSnsTopicPolicyException, KmsKeyNotFoundException (the topic's own); ApiError.
        """
        try:
            policy = parse_policy(self._notifications.topic_policy(topic_arn))
            if not topic_lets_in(policy, topic_arn, trail.arn):
                raise _topic_refused(topic_arn, f"its policy does not let {trail.arn} publish")
            self._notifications.publish(topic_arn, VALIDATION_MESSAGE)
        except InvalidPolicy as error:
            raise _topic_refused(topic_arn, f"its policy cannot be read: {error}") from error
        except NotificationsUnavailable as error:
            raise _unavailable("The topic's service", error) from error
        except NotificationError as error:
            if error.code == "KMSNotFound":
                raise Refused(
                    "KmsKeyNotFoundException", f"The key of the SNS topic {topic_arn} does not exist."
                ) from error
            raise _topic_refused(topic_arn, str(error)) from error


def _place(trail: Trail) -> tuple[str | None, ...]:
    """What a bucket's policy depends on."""
    return (trail.s3_bucket_name, trail.s3_key_prefix or None, trail.arn, trail.organization_id)


def _bucket_refused(bucket: str, reason: str) -> Refused:
    log.info("bucket %s is not set: %s", bucket, reason)
    return Refused(
        "InsufficientS3BucketPolicyException", f"Incorrect S3 bucket policy is detected for bucket: {bucket}"
    )


def _topic_refused(topic_arn: str, reason: str) -> Refused:
    log.info("topic %s is not set: %s", topic_arn, reason)
    return Refused("InsufficientSnsTopicPolicyException", "SNS Topic does not exist or the topic policy is incorrect!")


def _unavailable(what: str, error: Exception) -> ApiError:
    log.warning("a trail's target could not be checked: %s", error)
    return ApiError("ServiceUnavailable", f"{what} did not answer; try again.", 503)
