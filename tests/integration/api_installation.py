"""Processes of the control plane on one PostgreSQL, and accounts that nobody has used yet."""

from __future__ import annotations

import itertools
import os
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from opentrail_backends.state import open_state_store
from opentrail_backends.state.port import AccessKey, StateStore
from tests.integration.cli_process import Running

REGION, OTHER_REGION = "eu-central-1", "us-east-1"
NO_RETRIES = Config(retries={"total_max_attempts": 1})


@dataclass
class Installation:
    """Some processes, and accounts."""

    state: StateStore
    endpoints: list[str]
    opened: ExitStack
    """What is closed at the end."""
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(600000000001))

    def new_account(self) -> str:
        account = str(next(self._numbers))
        self.state.configuration.put_access_key(AccessKey(f"AKIA{account}", "secret", account, name="load"))
        return account

    def client(self, account: str, service: str, number: int, region: str = REGION, config: Config = NO_RETRIES) -> Any:
        """A client with a connection of its own, of one of the processes."""
        return boto3.client(
            service,
            region_name=region,
            endpoint_url=self.endpoints[number % len(self.endpoints)],
            aws_access_key_id=f"AKIA{account}",
            aws_secret_access_key="secret",
            config=config,
        )


def of_cluster(folder: Path, postgres_url: str, kafka: str) -> dict[str, str]:
    """Settings that several processes share."""
    (folder / "secret.key").write_bytes(os.urandom(32))
    return {
        "OPENTRAIL_STATE": postgres_url,
        "OPENTRAIL_EVENT_BUS": f"kafka://{kafka}?prefix=rates-{uuid.uuid4().hex[:12]}.&replication=1&min_insync=1",
        "OPENTRAIL_OBJECT_STORE": f"file://{folder}/buckets",
        "OPENTRAIL_KEYS": f"file://{folder}/keys",
        "OPENTRAIL_SECRET_KEY_FILE": f"{folder}/secret.key",
        "OPENTRAIL_REGIONS": f"{REGION},{OTHER_REGION}",
    }


@contextmanager
def migrated_state(folder: Path, environment: dict[str, str]) -> Iterator[StateStore]:
    with closing(
        open_state_store(environment["OPENTRAIL_STATE"], secret_key=(folder / "secret.key").read_bytes())
    ) as state:
        state.migrate()
        yield state


@contextmanager
def started(folder: Path, environment: dict[str, str]) -> Iterator[Running]:
    """A process; killed at the end, if it was not stopped before."""
    folder.mkdir()
    with closing(Running(folder, "serve", "control-plane", **environment)) as process:
        process.read_until("ready on")
        yield process
