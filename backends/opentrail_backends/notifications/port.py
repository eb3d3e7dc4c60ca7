"""Notifications: topics that are told of log files, as CloudTrail tells SNS topics."""

from __future__ import annotations

from typing import Protocol


class NotificationError(Exception):
    """Nothing was published, or it is not known. `code` is the service's error code, as GetTrailStatus shows it."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


class TopicNotFound(NotificationError):
    """There is no such topic."""


class PublishRefused(NotificationError):
    """The service said no: to us, to the message, or for the topic's key."""


class NotificationsUnavailable(NotificationError):
    """No answer, a server error, or the service asks to slow down: the message may have been published."""


class Notifications(Protocol):
    """Topics by their full ARN. Safe for use by several threads."""

    def topic_policy(self, topic_arn: str) -> str:
        """The topic's policy, as JSON. Raises TopicNotFound, PublishRefused, NotificationsUnavailable."""
        ...

    def publish(self, topic_arn: str, message: str) -> None:
        """Publishes a text of at most 256 KiB. Raises TopicNotFound, PublishRefused, NotificationsUnavailable."""
        ...

    def close(self) -> None:
        """Frees connections."""
        ...
