"""A cluster on this machine: Kafka, PostgreSQL and MinIO of its own, two producers, two deliveries, and its trails."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from opentrail_cli.apply import apply_declaration
from opentrail_cli.composition import Parts
from opentrail_cli.credentials import make_token
from opentrail_cli.declared import (
    Declaration,
    DeclaredAccount,
    DeclaredOrganization,
    DeclaredToken,
    DeclaredTrail,
)
from opentrail_cli.settings import read_settings
from tests.servers.kafka import KafkaServer
from tests.servers.postgresql import OwnPostgresServer
from tests.servers.process import Port
from tests.servers.s3 import OwnS3Server, S3Server
from tests.soak.faulty_s3 import FaultyS3
from tests.soak.lossy_relay import LossyRelay
from tests.soak.services import Service, wait_until_all_ready

REGIONS = ("us-east-1", "eu-central-1")
MANAGEMENT, MEMBER, OTHER_MEMBER, STRANGER = "111122223333", "222233334444", "333344445555", "999988887777"
MEMBERS = frozenset({MANAGEMENT, MEMBER, OTHER_MEMBER})
ACCOUNTS = (MANAGEMENT, MEMBER, OTHER_MEMBER, STRANGER)
ORGANIZATION_ID = "o-exampleorg1"
KMS_ARN = f"arn:aws:kms:us-east-1:{MEMBER}:key/5b1d0c9e-4f55-4f3c-9d5c-0b8f6f2f7a11"
"""What a trail names as its key; MinIO knows it by another name."""
SPOOL_BUCKET = "opentrail-spool"
_WRITES = [{"ReadWriteType": "WriteOnly"}]


class EventKind(NamedTuple):
    """What decides which trails want an event."""

    account: str
    region: str
    read_only: bool


class SoakTrail(NamedTuple):
    """A trail with a bucket of its own, and what it wants, said a second time and simply."""

    declared: DeclaredTrail
    accounts: frozenset[str]
    wants: Callable[[EventKind], bool]

    @property
    def name(self) -> str:
        """Its name, which no other trail has."""
        return self.declared.name

    @property
    def bucket(self) -> str:
        """Its bucket."""
        return self.declared.s3_bucket_name

    @property
    def arn(self) -> str:
        """Its ARN."""
        return f"arn:aws:cloudtrail:{self.declared.home_region}:{self.declared.account_id}:trail/{self.name}"


def _trail(
    name: str,
    account: str,
    wants: Callable[[EventKind], bool],
    *,
    accounts: frozenset[str] | None = None,
    **more: object,
) -> SoakTrail:
    declared = DeclaredTrail.model_validate(
        {"name": name, "account_id": account, "s3_bucket_name": f"soak-{name}", "is_multi_region_trail": True, **more}
    )
    return SoakTrail(declared, accounts or frozenset({account}), wants)


TRAILS = (
    _trail(
        "organization", MANAGEMENT, lambda e: e.account in MEMBERS, accounts=MEMBERS, organization_id=ORGANIZATION_ID
    ),
    _trail("encrypted", MEMBER, lambda e: e.account == MEMBER, kms_key_id=KMS_ARN),
    _trail(
        "writes",
        OTHER_MEMBER,
        lambda e: e.account == OTHER_MEMBER and not e.read_only,
        event_selectors=_WRITES,
        s3_key_prefix="audit/writes",
    ),
    _trail("everything", STRANGER, lambda e: e.account == STRANGER),
    _trail(
        "home",
        STRANGER,
        lambda e: e.account == STRANGER and e.region == REGIONS[1],
        home_region=REGIONS[1],
        is_multi_region_trail=False,
    ),
)


class Servers(NamedTuple):
    """Servers of this run alone, started."""

    kafka: KafkaServer
    postgres: OwnPostgresServer
    minio: OwnS3Server


class Pace(NamedTuple):
    """Seconds of windows and digests."""

    window: int
    digest: int


@dataclass(slots=True)
class Installation:
    """All that runs, and how to reach it."""

    env: Mapping[str, str]
    folder: Path
    kafka: KafkaServer
    postgres: OwnPostgresServer
    minio: S3Server
    proxy: FaultyS3
    producers: Sequence[Service]
    deliveries: Sequence[Service]
    relays: Sequence[LossyRelay]
    """In front of the producers: how clients reach them."""
    tokens: Mapping[str, str]

    @property
    def services(self) -> Sequence[Service]:
        """All four processes."""
        return (*self.producers, *self.deliveries)

    def parts(self) -> Parts:
        """The backends, opened anew, as a command of the operator's has them."""
        return Parts(read_settings(None, self.env))


@contextmanager
def installation(folder: Path, servers: Servers, pace: Pace, seed: int) -> Iterator[Installation]:
    """Everything started and ready."""
    broker, database, minio = servers
    with ExitStack() as stack:
        proxy = stack.enter_context(FaultyS3(minio.s3.endpoint, seed))
        _make_buckets(minio)
        env = _environment(folder, broker, database, minio.s3, proxy, pace)
        with Parts(read_settings(None, env)) as parts:
            apply_declaration(_declaration(), parts.state.configuration, parts.secret_key)
            tokens = {account: make_token(parts.secret_key, account, "soak") for account in ACCOUNTS}
        addresses = [f"127.0.0.1:{_port(stack)}" for _ in range(2)]
        producers = [
            Service(f"producer-{number}", "producer", {**env, "OPENTRAIL_PRODUCER_ADDRESS": address}, folder)
            for number, address in enumerate(addresses, 1)
        ]
        deliveries = [Service(f"delivery-{number}", "delivery", env, folder) for number in (1, 2)]
        for service in (*producers, *deliveries):
            stack.enter_context(service)
        relays = [stack.enter_context(LossyRelay(address, f"{seed} {address}")) for address in addresses]
        wait_until_all_ready([*producers, *deliveries])
        yield Installation(env, folder, broker, database, minio.s3, proxy, producers, deliveries, relays, tokens)


def _make_buckets(minio: OwnS3Server) -> None:
    """With versions, so that an object that was replaced or deleted shows at the end."""
    client = minio.s3.client
    for bucket in (SPOOL_BUCKET, *(trail.bucket for trail in TRAILS)):
        client.create_bucket(Bucket=bucket)
        client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})


def _environment(
    folder: Path, broker: KafkaServer, database: OwnPostgresServer, minio: S3Server, proxy: FaultyS3, pace: Pace
) -> dict[str, str]:
    s3_options = f"region={minio.region}"
    return {
        "OPENTRAIL_DATA_DIRECTORY": str(folder / "data"),
        "OPENTRAIL_EVENT_BUS": (
            f"kafka://{broker.bootstrap}?prefix=soak.&replication=1&min_insync=1&session_timeout=6&heartbeat=1"
            "&metadata_max_age=1&delivery_timeout=15"
        ),
        "OPENTRAIL_STATE": database.new_database(),
        "OPENTRAIL_OBJECT_STORE": f"s3://?endpoint={proxy.endpoint}&{s3_options}&kms_key={KMS_ARN}={minio.kms_key_id}",
        "OPENTRAIL_SPOOL": f"s3://?endpoint={minio.endpoint}&{s3_options}",
        "OPENTRAIL_REGIONS": ",".join(REGIONS),
        "OPENTRAIL_PARTITIONS": "4",
        "OPENTRAIL_WINDOW_SECONDS": str(pace.window),
        "OPENTRAIL_DIGEST_SECONDS": str(pace.digest),
        "OPENTRAIL_DRAIN_SECONDS": "15",
        "AWS_ACCESS_KEY_ID": minio.access_key,
        "AWS_SECRET_ACCESS_KEY": minio.secret_key,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def _port(stack: ExitStack) -> int:
    port = Port.new()
    stack.callback(port.release)
    return port.number


def _declaration() -> Declaration:
    return Declaration(
        accounts=[DeclaredAccount(id=account) for account in ACCOUNTS],
        organizations=[
            DeclaredOrganization(
                id=ORGANIZATION_ID, management_account_id=MANAGEMENT, member_account_ids=sorted(MEMBERS)
            )
        ],
        tokens=[DeclaredToken(account_id=account, name="soak") for account in ACCOUNTS],
        trails=[trail.declared for trail in TRAILS],
    )
