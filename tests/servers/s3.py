"""S3 servers: MinIO (with SSE-S3 and SSE-KMS, object lock, policies) and versitygw (without encryption)."""

from __future__ import annotations

import base64
import os
import secrets
import uuid
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.servers import cache, containers
from tests.servers.cache import Unavailable
from tests.servers.process import Port, ServerProcess, accepts_http
from tests.servers.session import ServerSession

MINIO_VERSION = "v0.0.0-20260212201848-7aac2a2c5b7c"
"""The only version that the Go module proxy has of it."""
VERSITYGW_VERSION = "v1.7.0"
KMS_KEY = "trail-key"
"""The one key that MinIO's built-in KMS knows, by its bare name."""


@dataclass(frozen=True)
class S3Server:
    """How to reach an S3 server."""

    endpoint: str
    access_key: str
    secret_key: str
    region: str
    kms_key_id: str | None
    """The key for SSE-KMS; None: this server encrypts nothing."""

    @cached_property
    def client(self) -> Any:
        """A boto3 client with full rights, for what a test prepares and checks."""
        import boto3
        from botocore.config import Config

        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name=self.region,
            config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 2}),
        )

    def new_bucket(self, *, object_lock: bool = False) -> str:
        """The name of a new, empty bucket."""
        name = f"opentrail-{uuid.uuid4().hex[:20]}"
        self.client.create_bucket(Bucket=name, ObjectLockEnabledForBucket=object_lock)
        return name


@dataclass(slots=True)
class OwnS3Server:
    """An S3 server that a test can stop, crash and start again; its objects stay."""

    s3: S3Server
    process: ServerProcess

    def start(self) -> None:
        """Starts it again; returns when it answers."""
        self.process.start()

    def stop(self) -> None:
        """The orderly end."""
        self.process.stop()

    def kill(self) -> None:
        """A crash."""
        self.process.kill()


def minio_program() -> Path:
    """MinIO, built by Go if needed. Raises Unavailable."""
    return cache.go_install("minio", "github.com/minio/minio", MINIO_VERSION)


def versitygw_program() -> Path:
    """versitygw, built by Go if needed. Raises Unavailable."""
    return cache.go_install("versitygw", "github.com/versity/versitygw/cmd/versitygw", VERSITYGW_VERSION)


def shared_minio(session: ServerSession) -> S3Server:
    """The session's MinIO, or the server that OPENTRAIL_TEST_S3_ENDPOINT names. Raises Unavailable."""
    return _given("OPENTRAIL_TEST_S3") or _shared(session, "minio", prepare_minio)


def shared_versitygw(session: ServerSession) -> S3Server:
    """The session's versitygw, or the server that OPENTRAIL_TEST_VERSITYGW_ENDPOINT names. Raises Unavailable."""
    return _given("OPENTRAIL_TEST_VERSITYGW") or _shared(session, "versitygw", prepare_versitygw)


def own_minio(session: ServerSession) -> OwnS3Server:
    """A MinIO for one test, started. Raises Unavailable."""
    s3, process = prepare_minio(session.place("own-minio"))
    process.start()
    return OwnS3Server(s3, process)


def prepare_minio(place: Path) -> tuple[S3Server, ServerProcess]:
    """A MinIO that keeps its data in `place`, not yet started. Raises Unavailable."""
    port = Port.new()
    secret = secrets.token_hex(16)
    env = {
        "MINIO_ROOT_USER": "opentrail",
        "MINIO_ROOT_PASSWORD": secret,
        "MINIO_KMS_SECRET_KEY": f"{KMS_KEY}:{base64.b64encode(secrets.token_bytes(32)).decode()}",
        "MINIO_UPDATE": "off",
        "MINIO_BROWSER": "off",
    }
    server = S3Server(f"http://127.0.0.1:{port.number}", "opentrail", secret, "us-east-1", KMS_KEY)
    is_ready = accepts_http(f"{server.endpoint}/minio/health/ready")
    try:
        program = minio_program()
    except Unavailable as reason:
        return server, containers.instead(reason, "minio", place, port, is_ready, env)
    command: list[str | Path] = [program, "server", place / "data", "--address", f"127.0.0.1:{port.number}", "--quiet"]
    home = {"PATH": os.environ["PATH"], "HOME": str(place)}
    return server, ServerProcess("minio", command, place, is_ready, (port,), env={**home, **env})


def prepare_versitygw(place: Path) -> tuple[S3Server, ServerProcess]:
    """A versitygw that keeps its data in `place`, not yet started. Raises Unavailable."""
    port = Port.new()
    secret = secrets.token_hex(16)
    env = {"ROOT_ACCESS_KEY": "opentrail", "ROOT_SECRET_KEY": secret}
    server = S3Server(f"http://127.0.0.1:{port.number}", "opentrail", secret, "us-east-1", None)
    is_ready = accepts_http(f"{server.endpoint}/health")
    try:
        program = versitygw_program()
    except Unavailable as reason:
        return server, containers.instead(reason, "versitygw", place, port, is_ready, env)
    (place / "data").mkdir()
    listen = ["-p", f"127.0.0.1:{port.number}", "--quiet", "--health", "/health"]
    home = {"PATH": os.environ["PATH"], "HOME": str(place)}
    command: list[str | Path] = [program, *listen, "posix", place / "data"]
    return server, ServerProcess("versitygw", command, place, is_ready, (port,), env={**home, **env})


def _shared(session: ServerSession, name: str, prepare: Any) -> S3Server:
    def start() -> dict[str, Any]:
        server, process = prepare(session.place(name))
        session.run(process)
        return asdict(server)

    return S3Server(**session.share(name, start))


def _given(prefix: str) -> S3Server | None:
    endpoint = os.environ.get(f"{prefix}_ENDPOINT")
    if not endpoint:
        return None
    return S3Server(
        endpoint,
        os.environ[f"{prefix}_ACCESS_KEY"],
        os.environ[f"{prefix}_SECRET_KEY"],
        os.environ.get(f"{prefix}_REGION", "us-east-1"),
        os.environ.get(f"{prefix}_KMS_KEY_ID"),
    )
