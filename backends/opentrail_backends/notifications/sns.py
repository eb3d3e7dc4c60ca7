"""Amazon SNS, or a server that speaks as it does.

Who publishes is OpenTrail, not AWS's CloudTrail: its credentials need `sns:Publish` and `sns:GetTopicAttributes`, and
for an encrypted topic `kms:GenerateDataKey*` and `kms:Decrypt` on its key. What the topic's policy says of CloudTrail
is judged by who asks for `topic_policy`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from opentrail_backends.aws_clients import RegionalClients
from opentrail_backends.notifications.port import (
    NotificationError,
    NotificationsUnavailable,
    PublishRefused,
    TopicNotFound,
)

_THROTTLED = frozenset({"Throttled", "ThrottledException", "Throttling", "ThrottlingException", "KMSThrottling"})
_SERVER_ERRORS = 500
_PARTS_OF_AN_ARN = 6


class SnsNotifications:
    """The Notifications port on SNS: each topic in the region of its ARN."""

    def __init__(self, endpoint: str | None) -> None:
        """None: AWS. Raises ValueError where there are no credentials."""
        self._clients = RegionalClients("sns", endpoint)

    def topic_policy(self, topic_arn: str) -> str:
        """The topic's policy, as JSON. Raises as the port tells."""
        answer = self._call(topic_arn, lambda client: client.get_topic_attributes(TopicArn=topic_arn))
        policy: str = answer["Attributes"].get("Policy", "")
        return policy

    def publish(self, topic_arn: str, message: str) -> None:
        """Publishes a text. A lost answer and a second try inside may publish it twice. Raises as the port tells."""
        self._call(topic_arn, lambda client: client.publish(TopicArn=topic_arn, Message=message))

    def close(self) -> None:
        """Frees connections."""
        self._clients.close()

    def _call(self, topic_arn: str, call: Callable[[Any], Any]) -> Any:
        parts = topic_arn.split(":")
        if len(parts) != _PARTS_OF_AN_ARN:
            raise PublishRefused(f"{topic_arn} is not the ARN of a topic", "InvalidParameter")
        try:
            return call(self._clients.in_region(parts[3]))
        except ClientError as error:
            raise _translated(topic_arn, error) from error
        except (BotoCoreError, ValueError) as error:  # ValueError: no region of this name
            raise NotificationsUnavailable(f"{topic_arn}: no answer ({error})", "RequestTimeout") from error


def _translated(topic_arn: str, error: ClientError) -> NotificationError:
    code = str(error.response["Error"].get("Code", ""))
    text = f"{topic_arn}: {code}: {error.response['Error'].get('Message', '')}"
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in {"NotFound", "NotFoundException"}:
        return TopicNotFound(text, "NotFound")
    if code in _THROTTLED or status >= _SERVER_ERRORS:
        return NotificationsUnavailable(text, code or f"Http{status}")
    return PublishRefused(text, code or f"Http{status}")
