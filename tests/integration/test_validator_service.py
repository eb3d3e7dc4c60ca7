"""The validator service on a bucket that is written to, tampered with and repaired by turns, through a failing S3.

Each tampering is told by the first cycle that begins after it and could read, each repair likewise, and nothing else
is ever told: not by the writer's doings, not by an S3 that refuses, cuts off, throttles or is silent.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from opentrail_cli.composition import Parts
from opentrail_cli.settings import Settings
from opentrail_delivery.settings import DeliverySettings
from opentrail_validator import Finding, Kind
from opentrail_validator.generated import validator_pb2
from opentrail_validator.service.open_findings import Change
from tests.crash.world import ACCOUNT, REGION
from tests.integration import tampered_bucket
from tests.integration.failing_s3 import FailingS3, Failure
from tests.integration.tampered_bucket import TamperedBucket, Tampering
from tests.integration.validator_under_test import BEARER, UnderTest, wait_until
from tests.pipeline.pipeline import Pipeline, pipeline, s3_url
from tests.servers.s3 import S3Server

pytestmark = pytest.mark.s3

TURNS: Sequence[Callable[[TamperedBucket, Tampering], None]] = (
    tampered_bucket.log_file_changed,
    tampered_bucket.log_file_truncated,
    tampered_bucket.log_file_deleted,
    tampered_bucket.log_files_swapped,
    tampered_bucket.log_file_planted,
    tampered_bucket.log_file_renamed,
    tampered_bucket.digest_changed,
    tampered_bucket.digest_deleted,
    tampered_bucket.digest_renamed,
    tampered_bucket.newest_digest_deleted,
)


@contextmanager
def writing(running: Pipeline) -> Iterator[None]:
    """Events keep coming."""
    stopped = threading.Event()

    def send() -> None:
        while not stopped.wait(0.7):
            running.send(3)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


@pytest.fixture
def running(tmp_path: Path, minio: S3Server) -> Iterator[Pipeline]:
    (tmp_path / "pipeline").mkdir()
    settings = DeliverySettings(window_seconds=0.5, digest_seconds=2, put_threads=4)
    with pipeline(tmp_path / "pipeline", s3=minio, settings=settings) as opened:
        opened.add_trail("audit")
        opened.add_trail("other")  # its log files lie in the same folder
        opened.start_delivery()
        yield opened


@pytest.fixture
def relay(minio: S3Server) -> Iterator[FailingS3]:
    with FailingS3(int(minio.endpoint.rpartition(":")[2])) as opened:
        yield opened


@pytest.fixture
def under_test(
    tmp_path: Path, running: Pipeline, minio: S3Server, relay: FailingS3, monkeypatch: pytest.MonkeyPatch
) -> Iterator[UnderTest]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", minio.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", minio.secret_key)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")  # a failing server is to be seen at once
    (tmp_path / "secret.key").write_bytes(b"k" * 32)
    settings = Settings(
        data_directory=tmp_path / "validator",
        state=f"sqlite:///{tmp_path}/pipeline/state.db",
        keys=f"file://{tmp_path}/pipeline/keys",
        secret_key_file=tmp_path / "secret.key",
        object_store=s3_url(minio, f"http://{relay.address}"),
        regions=(REGION,),
    )
    with Parts(settings) as parts:
        made = UnderTest(parts, tmp_path)
        yield made
        made.stop()


def allowed(tampering: Tampering, finding: Finding) -> bool:
    """Another kind of an object that was tampered with: it was there in one moment and gone in the next."""
    is_expected = (finding.kind, finding.key) in tampering.expected or tampering.also(finding)
    return is_expected or (finding.kind is Kind.NOT_FOUND and finding.key in tampering.originals)


@pytest.mark.timeout(300)
def test_each_tampering_is_told_within_a_cycle_and_nothing_else(
    running: Pipeline, relay: FailingS3, under_test: UnderTest, minio: S3Server
) -> None:
    bucket = TamperedBucket(minio.client, running.bucket, "audit")
    with writing(running):
        under_test.start()
        wait_until(lambda: len(bucket.digests()) >= 8, "digests")
        under_test.pass_a_complete_cycle()
        assert under_test.open() == set()
        assert under_test.changes == []

        for tamper in TURNS:
            _tampered_and_repaired(under_test, bucket, tamper)
        for failure in (Failure.CLOSED, Failure.BUSY, Failure.CUT, Failure.SILENT):
            _tampered_while_s3_fails(under_test, bucket, relay, failure)
        _over_a_restart(under_test, bucket)

    assert under_test.open() == set()
    opened = [change for change in under_test.changes if change.what == "opened"]
    assert len(opened) == len(under_test.changes) - len(opened) >= len(TURNS)
    told = under_test.told.notices
    assert sum(notice["openedCount"] for notice in told) == sum(notice["repairedCount"] for notice in told)
    assert {one["s3Object"] for notice in told for one in notice["opened"]} == {change.finding.key for change in opened}
    assert [notice["notice"] for notice in told] == list(range(1, len(told) + 1))
    assert relay.failed > 0


def _tampered_and_repaired(
    under_test: UnderTest, bucket: TamperedBucket, tamper: Callable[[TamperedBucket, Tampering], None]
) -> None:
    before = len(under_test.changes)
    with bucket.tampered(tamper) as tampering:
        digests = len(bucket.digests())
        under_test.pass_a_cycle()
        at_once = {each for each in tampering.expected if each[0] is not Kind.PLANTED}
        if tamper is not tampered_bucket.newest_digest_deleted:
            assert at_once <= under_test.open(), tamper.__name__
        else:  # its head tells of it, until the next digest does
            assert {key for _, key in tampering.expected} <= {key for _, key in under_test.open()}
        if not tampering.expected <= under_test.open():  # told once the next digests show it
            wait_until(lambda: len(bucket.digests()) >= digests + 3, "more digests")
            under_test.pass_a_cycle()
        assert tampering.expected <= under_test.open(), tamper.__name__
    under_test.pass_a_cycle()
    assert under_test.open() == set(), tamper.__name__
    _assert_only(tampering, under_test.changes[before:], tamper.__name__)


def _tampered_while_s3_fails(under_test: UnderTest, bucket: TamperedBucket, relay: FailingS3, failure: Failure) -> None:
    before = len(under_test.changes)
    relay.failure = failure
    with bucket.tampered(tampered_bucket.log_file_deleted) as tampering:
        wait_until(lambda: under_test.unchecked() > 0, f"{failure}: something that could not be checked")
        assert len(under_test.changes) == before, failure
        relay.failure = Failure.NONE
        under_test.pass_a_complete_cycle()
        assert under_test.open() == tampering.expected, failure
        failed, relay.failure = relay.failed, failure
        wait_until(lambda: relay.failed > failed, f"{failure}: a request that fails")
        assert under_test.open() == tampering.expected, failure
    relay.failure = Failure.NONE
    under_test.pass_a_complete_cycle()
    assert under_test.open() == set(), failure
    _assert_only(tampering, under_test.changes[before:], failure)


def _over_a_restart(under_test: UnderTest, bucket: TamperedBucket) -> None:
    before = len(under_test.changes)
    with bucket.tampered(tampered_bucket.log_file_changed) as tampering:
        under_test.pass_a_complete_cycle()
        assert under_test.open() == tampering.expected
        under_test.stop()
        under_test.start()
        assert under_test.open() == tampering.expected
        under_test.pass_a_complete_cycle()
    under_test.pass_a_complete_cycle()
    assert [change.what for change in under_test.changes[before:]] == ["opened", "repaired"]


def _assert_only(tampering: Tampering, changes: Sequence[Change], what: str) -> None:
    strange = [change for change in changes if not allowed(tampering, change.finding)]
    assert strange == [], what


@pytest.mark.timeout(120)
def test_the_calls_over_the_wire(running: Pipeline, under_test: UnderTest, minio: S3Server) -> None:
    bucket, other = (TamperedBucket(minio.client, running.bucket, name) for name in ("audit", "other"))
    running.send(3)
    under_test.start()
    for one in (bucket, other):
        wait_until(lambda of=one: any(map(of.log_files_of, of.digests())), "a log file in a digest")
        wait_until(lambda of=one: len(of.digests()) >= 3, "digests")
    with grpc.insecure_channel(f"127.0.0.1:{under_test.port}") as channel:
        stub = under_test.stub(channel)
        with pytest.raises(grpc.RpcError) as refused:
            list(stub.ListChains(validator_pb2.ListChainsRequest()))
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED  # type: ignore[attr-defined]  # a call, too

        watch = stub.WatchFindings(validator_pb2.WatchFindingsRequest(), metadata=BEARER)
        watch.initial_metadata()
        answers = list(stub.Validate(validator_pb2.ValidateRequest(include_valid=True), metadata=BEARER))
        counts = answers[-1].summary.counts
        assert answers[-1].summary.verdict == validator_pb2.VERDICT_VALID
        assert counts.digests >= 4
        assert counts.log_files >= 2
        assert {answer.chain.account_id for answer in answers[:-1]} == {ACCOUNT}

        (key, *_) = next(files for digest in bucket.digests() if (files := bucket.log_files_of(digest)))
        original = bucket.read(key)
        minio.client.put_object(Bucket=running.bucket, Key=key, Body=original.body[:-1], Metadata=original.metadata)
        change = next(watch)
        assert (change.change, change.finding.key) == (validator_pb2.CHANGE_OPENED, key)
        assert change.finding.kind == validator_pb2.KIND_TRUNCATED
        under_test.pass_a_cycle()
        chains = list(stub.ListChains(validator_pb2.ListChainsRequest(), metadata=BEARER))
        by_trail = {each.chain.trail_arn.rpartition("/")[2]: each for each in chains}
        assert by_trail.keys() == {"audit", "other"}
        assert [each.finding.key for each in by_trail["audit"].open] == [key]
        assert by_trail["other"].verdict == validator_pb2.VERDICT_VALID
        watch.cancel()
