"""Telling topics of delivered log files, as CloudTrail does: at least once, in messages that name a bucket and keys.

A file enters the queue in the transaction that delivers it and leaves it after its topic was told: a crash between the
two tells again. Nothing waits for it, and it waits for nobody else's topic: each trail has a turn of its own.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from typing import NamedTuple

import structlog

from opentrail.policies.resource_policy import InvalidPolicy, Policy, parse_policy
from opentrail.trails.names import InvalidName
from opentrail.trails.target_policies import topic_lets_in
from opentrail_backends.notifications.port import (
    NotificationError,
    Notifications,
    NotificationsUnavailable,
    PublishRefused,
)
from opentrail_backends.state.port import NotificationQueue, StateError, Turn, UntoldFile
from opentrail_delivery.configuration_feed import ConfigurationFeed
from opentrail_delivery.metrics import DeliveryMetrics
from opentrail_delivery.settings import DeliverySettings

_log = structlog.get_logger("opentrail.delivery")

MAX_KEYS = 100
"""Keys that one message names: who reads it opens all of them before the message's visibility ends."""
MAX_MESSAGE_BYTES = 256 * 1024
"""SNS takes no longer message."""
_PAGE = 1_000
_LEASE_MS = 120_000
"""Above what reading a topic's policy and publishing one message may take, with all tries."""
_SHORTEST_RETRY_MS, _LONGEST_RETRY_MS = 2_000, 300_000
_POLICY_SECONDS = 300.0
_MAX_POLICIES = 1_000
_MINUTE, _HOUR = 60.0, 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifierTools:
    """What telling needs."""

    queue: NotificationQueue
    notifications: Notifications
    feed: ConfigurationFeed
    executor: Executor
    metrics: DeliveryMetrics
    settings: DeliverySettings = field(default_factory=DeliverySettings)
    stop: threading.Event = field(default_factory=threading.Event)
    monotonic: Callable[[], float] = time.monotonic


class Message(NamedTuple):
    """One message, and the files that it tells of."""

    text: str
    files: Sequence[UntoldFile]


class Notifier:
    """The untold files of the deployment. Several processes may tell: the queue gives each trail to one at a time."""

    def __init__(self, tools: NotifierTools) -> None:
        self._tools = tools
        self._under_way: list[Future[None]] = []
        self._policies: dict[str, tuple[float, Policy]] = {}
        self._count_at = self._expire_at = 0.0

    def run_once(self) -> None:
        """Starts the turns that are free and can be carried out now. Raises StateError."""
        tools = self._tools
        self._look_after()
        self._under_way = [future for future in self._under_way if not future.done()]
        free = tools.settings.notification_threads - len(self._under_way)
        if free > 0:
            turns = tools.queue.take_turns(free, _LEASE_MS)
            self._under_way += [tools.executor.submit(self._carry_out, turn) for turn in turns]

    def _look_after(self) -> None:
        tools, now = self._tools, self._tools.monotonic()
        if now >= self._count_at:
            self._count_at = now + _MINUTE
            tools.metrics.untold_files.set(tools.queue.waiting())
        if now >= self._expire_at:
            self._expire_at = now + _HOUR
            expired = tools.queue.expire(int(tools.settings.notification_expire_seconds * 1000))
            if expired:
                tools.metrics.expired_notifications.inc(expired)
                _log.error("topics could not be told of log files, and are not any more", files=expired)

    # --- one trail's turn -------------------------------------------------------------------------

    def _carry_out(self, turn: Turn) -> None:
        """Tells of all that waits, oldest first. Raises nothing."""
        try:
            while not self._tools.stop.is_set():
                files = self._tools.queue.untold(turn.incarnation, _PAGE)
                if not files or not all(self._tell(turn, message) for message in messages_of(files)):
                    break
            self._tools.queue.end_turn(turn)
        except StateError as error:  # the turn ends by its lease
            _log.warning("digests, parked files or notifications wait", error=str(error))
        except Exception:
            _log.exception("digests, parked files or notifications failed; trying again")

    def _tell(self, turn: Turn, message: Message) -> bool:
        """Whether the turn goes on. Raises StateError."""
        tools, (first, *_) = self._tools, message.files
        try:
            self._demand_permission(first)
            tools.notifications.publish(first.topic_arn, message.text)
        except NotificationError as error:
            tools.metrics.notification_failures.labels(error.code).inc()
            if isinstance(error, NotificationsUnavailable) or not self._has_left(first):
                self._give_up(turn, first, error)
            return False
        # A crash here: they are told again.
        is_ours = tools.queue.told(turn, message.files, _LEASE_MS)
        tools.metrics.notifications.inc()
        return is_ours and not tools.stop.is_set()

    def _give_up(self, turn: Turn, file: UntoldFile, error: NotificationError) -> None:
        """For now: the longer it has failed, the longer until the next try."""
        _log.info("a topic could not be told", topic=file.topic_arn, trail=file.trail_arn, error=str(error))
        retry = min(max(turn.failing_for // 4, _SHORTEST_RETRY_MS), _LONGEST_RETRY_MS)
        self._tools.queue.failed(turn, {file.region}, error.code, retry)

    def _has_left(self, file: UntoldFile) -> bool:
        """Whether the trail has another topic by now, or none: then its files are that one's. Raises StateError."""
        trail = self._tools.feed.refresh().trails.get(file.incarnation)
        if trail is None or trail.sns_topic_arn == file.topic_arn:
            return False
        self._tools.queue.readdress(file.incarnation, file.topic_arn, trail.sns_topic_arn)
        return True

    # --- permission -------------------------------------------------------------------------------

    def _demand_permission(self, file: UntoldFile) -> None:
        """The topic's policy decides, as in AWS: we publish with rights of our own, which say nothing of trails.

        Raises NotificationError.
        """
        try:
            allowed = topic_lets_in(self._policy(file.topic_arn), file.topic_arn, file.trail_arn)
        except (InvalidPolicy, InvalidName) as error:
            raise PublishRefused(f"{file.topic_arn}: {error}", "AuthorizationError") from error
        if not allowed:
            self._policies.pop(file.topic_arn, None)
            raise PublishRefused(
                f"{file.topic_arn}: its policy does not let {file.trail_arn} publish", "AuthorizationError"
            )

    def _policy(self, topic_arn: str) -> Policy:
        """As it was within the last five minutes. Raises NotificationError, InvalidPolicy."""
        now = self._tools.monotonic()
        known = self._policies.get(topic_arn)
        if known is not None and now < known[0]:
            return known[1]
        policy = parse_policy(self._tools.notifications.topic_policy(topic_arn))
        if len(self._policies) >= _MAX_POLICIES:
            self._policies.clear()
        self._policies[topic_arn] = (now + _POLICY_SECONDS, policy)
        return policy


def messages_of(files: Sequence[UntoldFile]) -> Iterator[Message]:
    """The messages for these files: those of one topic, bucket and region together, none too long for SNS."""
    groups: dict[tuple[str, ...], list[UntoldFile]] = {}
    for file in files:
        groups.setdefault((file.topic_arn, file.trail_arn, file.region, file.bucket), []).append(file)
    for (_, _, _, bucket), of_one in groups.items():
        chosen: list[UntoldFile] = []
        size = len(_text(bucket, ()))
        for file in of_one:
            more = len(json.dumps(file.object_key)) + 1
            if chosen and (len(chosen) == MAX_KEYS or size + more > MAX_MESSAGE_BYTES):
                yield Message(_text(bucket, chosen), chosen)
                chosen, size = [], len(_text(bucket, ()))
            chosen.append(file)
            size += more
        yield Message(_text(bucket, chosen), chosen)


def _text(bucket: str, files: Sequence[UntoldFile]) -> str:
    """ASCII, so that its characters are its bytes."""
    keys = [file.object_key for file in files]
    return json.dumps({"s3Bucket": bucket, "s3ObjectKey": keys}, separators=(",", ":"))
