"""Clients of one AWS service in the regions that callers name."""

from __future__ import annotations

from threading import Lock
from typing import Any

import boto3
import botocore.config

MAX_CLIENTS = 64
"""AWS has fewer regions; a caller may name more."""

_CONFIG = botocore.config.Config(
    connect_timeout=5, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 2}, max_pool_connections=16
)


class RegionalClients:
    """A client for each region, made when it is first asked for. Safe for use by several threads."""

    def __init__(self, service: str, endpoint: str | None) -> None:
        """`endpoint`: for all regions; None: AWS's. Raises ValueError where there are no credentials."""
        self.endpoint = endpoint
        self._service = service
        self._session = boto3.Session()
        if self._session.get_credentials() is None:
            raise ValueError(
                f"there are no credentials for AWS ({service}): set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            )
        self._lock = Lock()
        self._clients: dict[str, Any] = {}

    def in_region(self, region: str) -> Any:
        """The client. Raises ValueError and BotoCoreError for what can be no region."""
        with self._lock:  # a session is not made for use by several threads
            if region not in self._clients:
                if len(self._clients) >= MAX_CLIENTS:
                    self._clients.clear()  # who uses one holds it
                self._clients[region] = self._session.client(
                    self._service, region_name=region, endpoint_url=self.endpoint, config=_CONFIG
                )
            return self._clients[region]

    def close(self) -> None:
        """Frees connections."""
        with self._lock:
            for client in self._clients.values():
                client.close()
            self._clients.clear()
