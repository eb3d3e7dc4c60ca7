"""Which URL picks which notifications, and what is said of one that picks none."""

from __future__ import annotations

import pytest

from opentrail_backends.notifications import open_notifications
from opentrail_backends.notifications.none import NoNotifications
from opentrail_backends.notifications.sns import SnsNotifications


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")


def test_nothing_picks_none() -> None:
    assert isinstance(open_notifications("", {}), NoNotifications)


@pytest.mark.parametrize(
    ("url", "environment", "endpoint"),
    [
        ("sns://", {}, None),
        ("sns:", {}, None),
        ("sns://?endpoint=https://sns.example:4100", {}, "https://sns.example:4100"),
        ("sns://?endpoint=http://127.0.0.1:4100", {}, "http://127.0.0.1:4100"),
        ("sns://?endpoint=http://sns.example&allow_http=true", {}, "http://sns.example"),
        ("sns://", {"AWS_ENDPOINT_URL": "https://a.example"}, "https://a.example"),
        ("sns://", {"AWS_ENDPOINT_URL_SNS": "https://s.example", "AWS_ENDPOINT_URL": "https://a"}, "https://s.example"),
        ("sns://?endpoint=https://u.example", {"AWS_ENDPOINT_URL_SNS": "https://s.example"}, "https://u.example"),
    ],
)
def test_the_url_or_the_environment_names_the_endpoint(
    url: str, environment: dict[str, str], endpoint: str | None
) -> None:
    opened = open_notifications(url, environment)
    assert isinstance(opened, SnsNotifications)
    assert opened._clients.endpoint == endpoint


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("sqs://", "names no notifications"),
        ("sns://host", "names no notifications"),
        ("sns:///path", "names no notifications"),
        ("sns://?endpoint=https://a&endpoint=https://b", "names no notifications"),
        ("sns://?topic=x", "unknown setting 'topic'"),
        ("sns://?allow_http=yes", "neither true nor false"),
        ("sns://?endpoint=ftp://host", "is not https"),
        ("sns://?endpoint=https://host/path", "is not https"),
        ("sns://?endpoint=http://sns.example", "allow_http=true"),
    ],
)
def test_another_url_is_told_what_is_allowed(url: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        open_notifications(url, {})
