"""Clients are made once for each region, and not without bound."""

from __future__ import annotations

import pytest

from opentrail_backends.aws_clients import MAX_CLIENTS, RegionalClients


@pytest.fixture
def clients(monkeypatch: pytest.MonkeyPatch) -> RegionalClients:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    return RegionalClients("sns", "https://sns.example")


def test_a_region_has_one_client(clients: RegionalClients) -> None:
    assert clients.in_region("eu-central-1") is clients.in_region("eu-central-1")
    assert clients.in_region("us-east-1").meta.region_name == "us-east-1"
    assert clients.in_region("us-east-1").meta.endpoint_url == "https://sns.example"


def test_who_names_many_regions_does_not_fill_the_memory(clients: RegionalClients) -> None:
    for number in range(MAX_CLIENTS + 10):
        clients.in_region(f"no-where-{number}")
    assert len(clients._clients) <= MAX_CLIENTS


def test_without_credentials_there_are_none() -> None:
    with pytest.raises(ValueError, match="AWS_ACCESS_KEY_ID"):
        RegionalClients("sns", None)
