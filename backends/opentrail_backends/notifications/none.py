"""An installation without notifications: nobody can be told, and whoever is to be told learns why not."""

from __future__ import annotations

from typing import NoReturn

from opentrail_backends.notifications.port import PublishRefused


class NoNotifications:
    """The Notifications port where none are set up."""

    def topic_policy(self, topic_arn: str) -> NoReturn:
        """Raises PublishRefused."""
        raise _refused(topic_arn)

    def publish(self, topic_arn: str, message: str) -> NoReturn:  # noqa: ARG002 (the port's)
        """Raises PublishRefused."""
        raise _refused(topic_arn)

    def close(self) -> None:
        """Nothing is kept open."""


def _refused(topic_arn: str) -> PublishRefused:
    return PublishRefused(
        f"{topic_arn} cannot be told: this installation has no notifications (setting `notifications`)",
        "NotificationsNotConfigured",
    )
