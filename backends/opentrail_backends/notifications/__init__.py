"""Notifications: `port` and the adapters `sns` and `none`, chosen by a URL."""

from __future__ import annotations

import os
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlsplit

from opentrail_backends.endpoints import check_endpoint
from opentrail_backends.notifications.none import NoNotifications
from opentrail_backends.notifications.port import Notifications

__all__ = ["open_notifications"]

_FORM = "sns://?endpoint=https://HOST[:PORT]&allow_http=true|false, or nothing for none"


def open_notifications(url: str, environment: Mapping[str, str] = os.environ) -> Notifications:
    """Opens the notifications that a URL names; the adapter and its libraries are imported only then.

    An endpoint that is not given is that of AWS's environment variables, else AWS; a topic's region is in its ARN.
    Credentials come from the usual AWS places. Raises ValueError with a sentence that says what is allowed.
    """
    if not url:
        return NoNotifications()
    parts = urlsplit(url)
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    options = dict(pairs)
    if parts.scheme != "sns" or parts.netloc or parts.path.strip("/") or parts.fragment or len(options) != len(pairs):
        raise ValueError(f"{url!r} names no notifications; allowed is {_FORM}")
    unknown = sorted(options.keys() - {"endpoint", "allow_http"})
    if unknown:
        raise ValueError(f"unknown setting {unknown[0]!r} in {url!r}; allowed is {_FORM}")
    allow_http = options.get("allow_http", "false")
    if allow_http not in {"true", "false"}:
        raise ValueError(f"allow_http={allow_http!r} is neither true nor false")
    endpoint = options.get("endpoint") or environment.get("AWS_ENDPOINT_URL_SNS") or environment.get("AWS_ENDPOINT_URL")
    if endpoint:
        check_endpoint(endpoint, allow_http=allow_http == "true")
    from opentrail_backends.notifications.sns import SnsNotifications  # noqa: PLC0415 (only when chosen)

    return SnsNotifications(endpoint or None)
