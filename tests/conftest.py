"""Fixtures for all tests: real servers, and the rule about sockets."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import pytest
from hypothesis import settings

from tests.servers import aws_cli as aws_cli_releases
from tests.servers import kafka, moto, postgresql, s3
from tests.servers.aws_cli import AwsCli
from tests.servers.cache import Unavailable
from tests.servers.kafka import KafkaServer
from tests.servers.postgresql import OwnPostgresServer, PostgresServer
from tests.servers.s3 import OwnS3Server, S3Server
from tests.servers.session import ServerSession

ROOT = Path(__file__).parents[1]
UNIT = ROOT / "tests" / "unit"
SESSION = pytest.StashKey[ServerSession]()
KEPT_LOGS = pytest.StashKey[Path | None]()
SOAK = bool(os.environ.get("OPENTRAIL_TEST_SOAK"))
"""`make soak`: each test in its long form."""
Server = TypeVar("Server")

# They pull images of a gigabyte and more, so only who asks gets them.
collect_ignore = [] if os.environ.get("OPENTRAIL_TEST_CONTAINERS") else ["servers/test_containers.py"]


# --- The session of servers: begun by pytest's main process, joined by xdist's workers


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    config.option.allow_unix_socket = True  # an event loop needs a socket pair of its own
    # kafka-python 3.0 reads its schemas by a function that Python 3.11 and 3.12 (not 3.13) call deprecated.
    config.addinivalue_line(
        "filterwarnings", r"ignore:(read|open)_text is deprecated:DeprecationWarning:(kafka|importlib)\."
    )
    worker = getattr(config, "workerinput", None)
    config.stash[SESSION] = ServerSession.join(Path(worker["servers"])) if worker else ServerSession.begin()
    _forget_the_users_settings()
    # No test is timed. In CI the examples are the same each time; the random ones are for people and for `make soak`.
    settings.register_profile("tests", deadline=None, derandomize=_in_ci() and not SOAK, print_blob=True)
    settings.register_profile("soak", settings.get_profile("tests"), max_examples=5_000)
    settings.load_profile("soak" if SOAK else "tests")


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    node.workerinput["servers"] = str(node.config.stash[SESSION].folder)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if not hasattr(session.config, "workerinput"):
        failed = exitstatus not in {pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED}
        session.config.stash[KEPT_LOGS] = session.config.stash[SESSION].end(keep_logs=failed)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    logs = config.stash.get(KEPT_LOGS, None)
    if logs is not None:
        terminalreporter.write_line(f"the logs of the servers are kept in {logs}")


def _forget_the_users_settings() -> None:
    """What the user set for AWS or for OpenTrail itself must not steer a test."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "OPENTRAIL_")) and not name.startswith("OPENTRAIL_TEST_"):
            del os.environ[name]
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
    os.environ["AWS_CONFIG_FILE"] = os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull


def _in_ci() -> bool:
    return os.environ.get("CI", "").lower() in {"true", "1"}


# --- Sockets: none in unit tests, only this machine elsewhere


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        in_unit = UNIT in item.path.parents
        item.add_marker(pytest.mark.disable_socket if in_unit else pytest.mark.allow_hosts(["127.0.0.1"]))


@pytest.fixture(scope="session")
def soak() -> bool:
    """Whether a test that has a long form (`make soak`) is to run it."""
    return SOAK


# --- Servers


@pytest.fixture(scope="session")
def servers(pytestconfig: pytest.Config) -> ServerSession:
    """The servers of this session, for a test that starts one of its own."""
    return pytestconfig.stash[SESSION]


@pytest.fixture(scope="session")
def kafka_bootstrap(servers: ServerSession) -> str:
    """The address of a Kafka broker that all tests share: use topics and groups of your own."""
    return _have(lambda: kafka.shared_bootstrap(servers))


@pytest.fixture
def own_kafka(servers: ServerSession) -> Iterator[KafkaServer]:
    """A Kafka broker of this test alone, which it may stop, kill and start."""
    server = _have(lambda: kafka.own(servers))
    yield server
    server.process.close()


@pytest.fixture(scope="session")
def minio(servers: ServerSession) -> S3Server:
    """A MinIO that all tests share: use buckets of your own."""
    return _have(lambda: s3.shared_minio(servers))


@pytest.fixture
def own_minio(servers: ServerSession) -> Iterator[OwnS3Server]:
    """A MinIO of this test alone, which it may stop, kill and start."""
    server = _have(lambda: s3.own_minio(servers))
    yield server
    server.process.close()


@pytest.fixture(scope="session")
def versitygw(servers: ServerSession) -> S3Server:
    """A versitygw that all tests share: use buckets of your own."""
    return _have(lambda: s3.shared_versitygw(servers))


@pytest.fixture(scope="session")
def postgres(servers: ServerSession) -> PostgresServer:
    """A PostgreSQL that all tests share: use databases of your own."""
    return _have(lambda: postgresql.shared(servers))


@pytest.fixture(scope="session")
def postgres_database(postgres: PostgresServer) -> Callable[[], str]:
    """Makes a fresh database at each call, and returns its SQLAlchemy URL."""
    return postgres.new_database


@pytest.fixture
def postgres_url(postgres_database: Callable[[], str]) -> str:
    """The SQLAlchemy URL of a fresh database for this test."""
    return postgres_database()


@pytest.fixture
def own_postgres(servers: ServerSession) -> Iterator[OwnPostgresServer]:
    """A PostgreSQL of this test alone, which it may stop, kill and start."""
    server = _have(lambda: postgresql.own(servers))
    yield server
    server.process.close()


@pytest.fixture(scope="session")
def moto_endpoint(servers: ServerSession) -> str:
    """The address of moto in server mode, shared: use names of your own."""
    return _have(lambda: moto.shared_endpoint(servers))


@pytest.fixture(scope="session")
def aws_cli() -> list[AwsCli]:
    """The AWS CLI's releases that must agree with us, the newest first."""
    return _have(aws_cli_releases.all_versions)


@pytest.fixture(scope="session")
def real_records() -> Path:
    """The folder of real CloudTrail records that lies beside some checkouts; they are no part of the project."""
    folder = Path(os.environ.get("OPENTRAIL_TEST_RECORDS") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"there are no real CloudTrail records at {folder} (OPENTRAIL_TEST_RECORDS names another folder)")
    return folder


def _have(find: Callable[[], Server]) -> Server:
    try:
        return find()
    except Unavailable as reason:
        _lacking(str(reason))


def _lacking(reason: str) -> NoReturn:
    """A server that is not there skips the test with its reason; in CI it fails, so that no suite is lost unseen."""
    if _in_ci():
        pytest.fail(f"CI must have every server: {reason}", pytrace=False)
    pytest.skip(reason)
