"""From gRPC through real Kafka to a real S3 server: the AWS CLI and our `validate-logs` judge what came out.

The evidence is made once for each S3 server, delivery is stopped, and the judges read the same quiet bucket.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from opentrail.evidence.object_keys import DigestKey, LogFileKey, digest_key, parse_key
from opentrail.trails.configuration import Organization
from opentrail.trails.trail import Trail
from tests import judges
from tests.crash.world import ACCOUNT, REGION, Evidence, assert_chains_unforked
from tests.judges import Verdict
from tests.pipeline.pipeline import KMS_ARN, OTHER_REGION, Pipeline, pipeline
from tests.pipeline.wire import Wire
from tests.servers.aws_cli import AwsCli
from tests.servers.s3 import S3Server

pytestmark = [pytest.mark.kafka, pytest.mark.s3]

MEMBERS = ("222233334444", "333344445555")
ORGANIZATION = Organization("o-exampleorg1", ACCOUNT, frozenset({ACCOUNT, *MEMBERS}))
REGIONS = (REGION, OTHER_REGION)
ROUNDS = 3


@dataclass
class Made:
    """A bucket with the evidence of three trails, and who may judge it."""

    running: Pipeline
    s3: S3Server
    evidence: Evidence
    requests: list[tuple[str, dict[str, str]]]
    env: dict[str, str]
    trails: dict[str, Trail]

    def chains(self) -> list[tuple[str, str, str]]:
        """(trail, account, region) of every chain."""
        return sorted(self.evidence.chains())

    def keys_of(self, trail: str, account: str, region: str) -> set[str]:
        """The digests of one chain and the log files that they name."""
        digests = {
            digest.s3_object: digest
            for key, digest in self.evidence.digests.values()
            if (key.trail_name, key.account_id, key.region) == (trail, account, region)
        }
        return {*digests, *(entry.s3_object for digest in digests.values() for entry in digest.log_files)}

    def flags(self, trail: str, account: str, region: str) -> list[str]:
        return judges.flags(self.trails[trail].arn, region, account if trail == "organization" else None)

    def object_names(self, keys: set[str]) -> set[str]:
        return {f"s3://{self.running.bucket}/{key}" for key in keys}


@contextmanager
def made(folder: Path, kafka: str, s3: S3Server) -> Iterator[Made]:
    """Runs the whole way until each chain has some digests, then stops delivery."""
    key = KMS_ARN if s3.kms_key_id else None
    with (
        Wire(s3.endpoint) as wire,
        pipeline(folder, kafka=kafka, s3=s3, s3_endpoint=wire.endpoint, regions=REGIONS, partitions=3) as running,
    ):
        running.put_organization(ORGANIZATION)
        everywhere = {"is_multi_region_trail": True, "kms_key_id": key}
        trails = [
            running.add_trail("plain", kms_key_id=key),
            running.add_trail("everywhere", s3_key_prefix="all/regions", **everywhere),
            running.add_trail("organization", organization_id=ORGANIZATION.id, **everywhere),
        ]
        running.start_delivery()
        for round_number in range(1, ROUNDS + 1):
            for region in REGIONS:
                for account in (ACCOUNT, *MEMBERS):
                    running.send(3, account=account, region=region)
            mine = 3 * round_number
            for trail, count in zip(trails, (mine, 2 * mine, 6 * mine), strict=True):
                running.wait_until_digested(count, trail)
        running.stop_delivery()
        with judges.api(running.state, s3, ACCOUNT) as env:
            evidence = running.seen()
            yield Made(running, s3, evidence, wire.requests(), env, {trail.name: trail for trail in trails})


@pytest.fixture(scope="module")
def on_minio(tmp_path_factory: pytest.TempPathFactory, kafka_bootstrap: str, minio: S3Server) -> Iterator[Made]:
    with made(tmp_path_factory.mktemp("minio"), kafka_bootstrap, minio) as evidence:
        yield evidence


@pytest.fixture(scope="module")
def on_versitygw(tmp_path_factory: pytest.TempPathFactory, kafka_bootstrap: str, versitygw: S3Server) -> Iterator[Made]:
    with made(tmp_path_factory.mktemp("versitygw"), kafka_bootstrap, versitygw) as evidence:
        yield evidence


# --- Untouched


def assert_all_agree_that_it_is_valid(made: Made, releases: list[AwsCli], chains: list[tuple[str, str, str]]) -> None:
    def check(chain: tuple[str, str, str]) -> None:
        flags = made.flags(*chain)
        ours = judges.ours(flags, made.env)
        assert (ours.code, ours.stderr) == (0, "")
        assert set(ours.valid) == made.object_names(made.keys_of(*chain))
        for release in releases:
            assert said(judges.aws(release, flags, made.env)) == said(ours)

    with ThreadPoolExecutor(2) as two:
        list(two.map(check, chains))


def said(verdict: Verdict) -> tuple[int, str, str]:
    """All that a judge printed, but for the section of our own."""
    return verdict.code, verdict.stdout, verdict.stderr


def test_every_object_in_the_bucket_is_named_by_the_judges_and_valid(on_minio: Made, aws_cli: list[AwsCli]) -> None:
    chains = on_minio.chains()
    assert len(chains) == 1 + len(REGIONS) + len(REGIONS) * 3
    keys = set().union(*(on_minio.keys_of(*chain) for chain in chains))
    assert keys == set(on_minio.running.keys_in())
    assert_chains_unforked(on_minio.evidence)
    assert_all_agree_that_it_is_valid(on_minio, aws_cli, chains)


def test_a_server_without_encryption_is_as_good(on_versitygw: Made, aws_cli: list[AwsCli]) -> None:
    keys = set().union(*(on_versitygw.keys_of(*chain) for chain in on_versitygw.chains()))
    assert keys == set(on_versitygw.running.keys_in())
    chains = [("plain", ACCOUNT, REGION), ("organization", MEMBERS[0], OTHER_REGION)]
    assert_all_agree_that_it_is_valid(on_versitygw, aws_cli, chains)


def test_objects_are_kept_as_cloudtrail_keeps_them(on_minio: Made) -> None:
    client, bucket = on_minio.s3.client, on_minio.running.bucket
    sent = dict(on_minio.requests)
    for key in on_minio.running.keys_in():
        head = client.head_object(Bucket=bucket, Key=key)
        assert (head["ContentType"], head["ContentEncoding"]) == ("application/json", "gzip")
        assert head["ServerSideEncryption"] == "aws:kms"
        assert head["SSEKMSKeyId"].endswith(f"{on_minio.s3.kms_key_id}")
        if isinstance(parse_key(key), DigestKey):
            assert head["Metadata"]["signature-algorithm"] == "SHA256withRSA"
            assert re.fullmatch("[0-9a-f]{512}", head["Metadata"]["signature"])
        headers = sent[f"/{bucket}/{key}"]
        assert headers["x-amz-acl"] == "bucket-owner-full-control"
        assert headers["if-none-match"] == "*"
        assert "x-amz-server-side-encryption-context" in headers
        assert KMS_ARN not in headers.values()


# --- Tampered


@dataclass
class Tampering:
    """Client, bucket, and the object that is tampered with; what was done is undone at the end."""

    client: Any
    bucket: str
    key: str

    def __post_init__(self) -> None:
        stored = self.client.get_object(Bucket=self.bucket, Key=self.key)
        self.body, self.metadata = stored["Body"].read(), stored["Metadata"]
        self.moved_to = ""

    def write(self, body: bytes) -> None:
        self.client.put_object(
            Bucket=self.bucket,
            Key=self.key,
            Body=body,
            Metadata=self.metadata,
            ContentType="application/json",
            ContentEncoding="gzip",
        )

    def change_a_byte(self) -> None:
        """One byte of the content, packed again so that it inflates."""
        content = bytearray(gzip.decompress(self.body))
        at = len(content) // 2
        content[at] ^= 0x01
        self.write(gzip.compress(bytes(content)))

    def delete(self) -> None:
        self.client.delete_object(Bucket=self.bucket, Key=self.key)

    def move(self) -> None:
        """To the name of the second before, where a reader of the chain looks."""
        key = parse_key(self.key)
        assert isinstance(key, DigestKey)
        self.moved_to = digest_key(
            account_id=key.account_id,
            region=key.region,
            trail_name=key.trail_name,
            home_region=key.home_region,
            end_seconds=key.end_seconds - 1,
            prefix=key.prefix,
            organization_id=key.organization_id,
        )
        source = {"Bucket": self.bucket, "Key": self.key}
        self.client.copy_object(Bucket=self.bucket, Key=self.moved_to, CopySource=source)
        self.delete()

    def undo(self) -> None:
        if self.moved_to:
            self.client.delete_object(Bucket=self.bucket, Key=self.moved_to)
        self.write(self.body)


Target = Callable[[Made, tuple[str, str, str]], str]


def a_digest(made: Made, chain: tuple[str, str, str]) -> str:
    """One in the middle of the chain: that the newest was deleted, nobody can see from the bucket alone."""
    digests = made.evidence.chains()[chain]
    assert len(digests) >= 3
    return digests[len(digests) // 2].s3_object


def a_log_file(made: Made, chain: tuple[str, str, str]) -> str:
    files = [entry.s3_object for digest in made.evidence.chains()[chain] for entry in digest.log_files]
    assert isinstance(parse_key(files[-1]), LogFileKey)
    return files[-1]


TAMPERINGS: list[Any] = [
    pytest.param(a_log_file, Tampering.change_a_byte, id="a log file's byte changed"),
    pytest.param(a_log_file, Tampering.delete, id="a log file deleted"),
    pytest.param(a_digest, Tampering.change_a_byte, id="a digest changed"),
    pytest.param(a_digest, Tampering.delete, id="a digest deleted"),
    pytest.param(a_digest, Tampering.move, id="a digest moved"),
]
PLAIN, OF_ORGANIZATION = ("plain", ACCOUNT, REGION), ("organization", MEMBERS[1], OTHER_REGION)


@pytest.mark.parametrize(("chain", "releases"), [(PLAIN, 2), (OF_ORGANIZATION, 1)], ids=["plain", "organization"])
@pytest.mark.parametrize(("target", "tamper"), TAMPERINGS)
def test_what_was_tampered_with_is_named_by_all_judges_alike(
    on_minio: Made,
    aws_cli: list[AwsCli],
    chain: tuple[str, str, str],
    releases: int,
    target: Target,
    tamper: Callable[[Tampering], None],
) -> None:
    key = target(on_minio, chain)
    tampering = Tampering(on_minio.s3.client, on_minio.running.bucket, key)
    flags = on_minio.flags(*chain)
    try:
        tamper(tampering)
        with ThreadPoolExecutor(2) as two:
            theirs = two.map(lambda release: judges.aws(release, flags, on_minio.env), aws_cli[:releases])
            ours = judges.ours(flags, on_minio.env)
            verdicts = [ours, *theirs]
    finally:
        tampering.undo()
    expected = {key, tampering.moved_to} - {""}
    for verdict in verdicts:
        assert verdict.code == 1
        assert set(verdict.invalid) == on_minio.object_names(expected)
        assert set(verdict.valid) == set(ours.valid)


def test_put_back_all_is_valid_again(on_minio: Made, aws_cli: list[AwsCli]) -> None:
    assert_all_agree_that_it_is_valid(on_minio, aws_cli[:1], [PLAIN, OF_ORGANIZATION])
