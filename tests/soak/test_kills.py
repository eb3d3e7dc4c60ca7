"""Two producers and two deliveries that are killed at random moments while everything around them fails."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from tests.conftest import SOAK
from tests.servers.aws_cli import AwsCli
from tests.servers.kafka import KafkaServer
from tests.servers.postgresql import OwnPostgresServer
from tests.servers.s3 import OwnS3Server
from tests.soak.installation import Pace, Servers
from tests.soak.run import RunSettings, run

_SHORT = {"seconds": 75.0, "kills": 20, "pace": Pace(2, 5), "events_per_second": 200.0}
_LONG = {"seconds": 1800.0, "kills": 200, "pace": Pace(5, 30), "events_per_second": 200.0}


@pytest.mark.kafka
@pytest.mark.s3
@pytest.mark.postgresql
@pytest.mark.timeout(7200 if SOAK else 900)
def test_nothing_is_lost_or_doubled_however_often_services_are_killed(
    tmp_path: Path,
    own_kafka: KafkaServer,
    own_postgres: OwnPostgresServer,
    own_minio: OwnS3Server,
    aws_cli: list[AwsCli],
) -> None:
    """20 kills; in `make soak` 200 within half an hour. OPENTRAIL_TEST_SOAK_SEED repeats a run's plan."""
    seed = int(os.environ.get("OPENTRAIL_TEST_SOAK_SEED") or random.randrange(10**6))
    settings = RunSettings(seed=seed, **(_LONG if SOAK else _SHORT))  # type: ignore[arg-type]  # one dictionary, four types
    report = run(settings, tmp_path, Servers(own_kafka, own_postgres, own_minio), aws_cli if SOAK else aws_cli[:1])
    print("\n".join(report.lines))
    assert report.findings == [], f"seed {seed}"
    assert report.kills >= settings.kills
    assert report.accepted > 10 * settings.seconds
