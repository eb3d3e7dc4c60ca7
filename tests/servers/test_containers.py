"""The way through Docker, where nothing but a daemon is there. Runs with OPENTRAIL_TEST_CONTAINERS=1."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.servers import containers, postgresql, s3
from tests.servers.cache import Unavailable
from tests.servers.session import ServerSession
from tests.servers.test_servers import (
    test_a_killed_broker_comes_back_at_its_address_with_what_it_acknowledged,
    test_a_killed_postgres_keeps_what_was_committed,
    test_a_stopped_minio_refuses_and_comes_back_with_its_objects,
)

__all__ = [
    "test_a_killed_broker_comes_back_at_its_address_with_what_it_acknowledged",
    "test_a_killed_postgres_keeps_what_was_committed",
    "test_a_stopped_minio_refuses_and_comes_back_with_its_objects",
]


@pytest.fixture(autouse=True)
def _nothing_but_docker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No program, no cache, no PostgreSQL of the package; and each test does start a container."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def no_package() -> Path:
        raise Unavailable("no package")

    monkeypatch.setattr(postgresql, "_programs", no_package)
    started = []
    instead = containers.instead

    def noted(*arguments: Any) -> Any:
        started.append(arguments)
        return instead(*arguments)

    monkeypatch.setattr(containers, "instead", noted)
    yield
    assert len(started) == 1


def test_versitygw_keeps_objects(servers: ServerSession) -> None:
    server, process = s3.prepare_versitygw(servers.place("versitygw"))
    process.start()
    try:
        bucket = server.new_bucket()
        server.client.put_object(Bucket=bucket, Key="k", Body=b"v")
        assert server.client.get_object(Bucket=bucket, Key="k")["Body"].read() == b"v"
    finally:
        process.close()


def test_a_container_goes_when_its_owner_does() -> None:
    import docker  # type: ignore[import-untyped]

    session = ServerSession.begin()
    _, process = s3.prepare_minio(session.place("minio"))
    session.run(process)
    client = docker.from_env()
    name = next(part for part in process.command if str(part).startswith("opentrail-minio-"))
    assert client.containers.get(str(name)).status == "running"
    session.end(keep_logs=False)
    assert not client.containers.list(all=True, filters={"name": str(name)})
    client.close()
