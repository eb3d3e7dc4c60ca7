"""The control plane of a pipeline: on loopback, over the same stores and bus, asked by unmodified boto3."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import boto3
from botocore.config import Config

from opentrail_backends.key_management.listed_keys import ListedKeys
from opentrail_backends.notifications import open_notifications
from opentrail_backends.state.port import AccessKey
from opentrail_cli.event_intake import ProducerIntake
from opentrail_control_plane.allowed_buckets import AllowedBuckets
from opentrail_control_plane.event_intake import EventIntake
from opentrail_control_plane.operations.context import Ports
from opentrail_control_plane.rates import NO_LIMITS, Limit
from opentrail_control_plane.server import ControlPlaneServer, ControlPlaneSettings
from opentrail_control_plane.targets import Targets
from opentrail_producer.metrics import ProducerMetrics
from opentrail_producer.server import build_intake
from opentrail_producer.settings import ProducerSettings
from tests.pipeline.pipeline import KMS_ARN, Pipeline
from tests.servers.s3 import S3Server

TOKEN_KEY = b"t" * 32
NO_RETRIES = Config(retries={"total_max_attempts": 1}, max_pool_connections=4)


@dataclass
class PipelineApi:
    """A control plane that answers; each account has an access key, which is made when it is first used."""

    running: Pipeline
    endpoint: str
    _keys: dict[str, AccessKey] = field(default_factory=dict)
    _clients: dict[tuple[str, str, str], Any] = field(default_factory=dict)

    def key_of(self, account: str) -> AccessKey:
        """An administrator's key of an account."""
        if account not in self._keys:
            key = AccessKey(f"AKIA{account}", f"secret-of-{account}", account, "admin", "deployer")
            self.running.state.configuration.put_access_key(key)
            self._keys[account] = key
        return self._keys[account]

    def client(self, account: str, region: str, service: str = "cloudtrail") -> Any:
        """A boto3 client that tries nothing twice."""
        known = self._clients.get((account, region, service))
        if known is None:
            key = self.key_of(account)
            known = self._clients[account, region, service] = boto3.client(
                service,
                region_name=region,
                endpoint_url=self.endpoint,
                aws_access_key_id=key.access_key_id,
                aws_secret_access_key=key.secret_access_key,
                config=NO_RETRIES,
            )
        return known

    def environment(self, account: str, s3: S3Server) -> dict[str, str]:
        """What the AWS CLI needs to be this account at this endpoint, with the S3 server's own key for both."""
        self.running.state.configuration.put_access_key(AccessKey(s3.access_key, s3.secret_key, account))
        return {
            "AWS_ENDPOINT_URL_CLOUDTRAIL": self.endpoint,
            "AWS_ENDPOINT_URL_ORGANIZATIONS": self.endpoint,
            "AWS_ENDPOINT_URL_S3": s3.endpoint,
            "AWS_ACCESS_KEY_ID": s3.access_key,
            "AWS_SECRET_ACCESS_KEY": s3.secret_key,
        }


@contextmanager
def control_plane(
    running: Pipeline,
    regions: Sequence[str],
    *,
    limits: Mapping[str, Limit] = NO_LIMITS,
    around: Callable[[EventIntake], EventIntake] = lambda intake: intake,
) -> Iterator[PipelineApi]:
    """Serves the API of a pipeline, by default without limits of rates, and publishes its own calls.

    Every account may use the pipeline's buckets: those of MinIO cannot have the policy that CloudTrail asks for.
    `around` may put something between the control plane and the bus.
    """
    configuration, ledger = running.state.configuration, running.state.ledger
    publisher = running.bus.publisher()
    intake = build_intake(ProducerSettings(), configuration, publisher, ProducerMetrics(), ledger=ledger)
    allowed = AllowedBuckets(tuple(("*", bucket) for bucket in (running.bucket, *running.more_buckets)))
    targets = Targets(running.store, ListedKeys([KMS_ARN]), open_notifications(""), allowed)
    ports = Ports(targets, around(ProducerIntake(intake)), regions, TOKEN_KEY)
    server = ControlPlaneServer(ControlPlaneSettings(), running.state, time.time, ports=ports, limits=limits)
    try:
        yield PipelineApi(running, f"http://127.0.0.1:{server.start()}")
    finally:
        server.stop(10)
        publisher.close(10)
