"""S3Reader on a real server, through networks that cut, delay and throttle: nothing is missing or changed."""

from __future__ import annotations

import math
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from opentrail_validator.readers import s3_transfers
from opentrail_validator.readers.port import CouldNotRead, ObjectDamaged, ObjectMissing, Outcome, Place, StoredObject
from opentrail_validator.readers.s3 import S3Reader
from tests.contracts.s3_reading import Reading, outcome, reading
from tests.evidence_maker.layouts import lay_in_s3
from tests.evidence_maker.maker import MadeObject
from tests.integration.flaky_relay import FlakyRelay
from tests.servers.relay import Relay
from tests.servers.s3 import S3Server
from tests.soak.faulty_s3 import FaultyS3, Kind, Trouble

__all__ = ["reading"]


@pytest.fixture
def bucket(minio: S3Server) -> str:
    """A bucket with a hundred objects."""
    name = minio.new_bucket()
    lay_in_s3({(name, key): MadeObject(key.encode() * 1_000, {}) for key in KEYS}, minio.client)
    return name


KEYS = [f"logs/{number:03}" for number in range(100)]


def keys_of(minio: S3Server) -> dict[str, str]:
    return {"AWS_ACCESS_KEY_ID": minio.access_key, "AWS_SECRET_ACCESS_KEY": minio.secret_key}


def test_through_a_network_that_cuts_connections_nothing_is_missing(
    minio: S3Server, bucket: str, reading: Reading
) -> None:
    port = int(minio.endpoint.rpartition(":")[2])
    with FlakyRelay([port], 7, bytes_until_cut=(400, 3_000), longest_delay=0.1) as relay:
        reader = reading(f"http://{relay.address}", **keys_of(minio))
        places = [Place(bucket, key) for key in KEYS]
        outcomes = list(reader.read_all(places, lambda _, outcome: outcome))
        relay.be_calm()
    assert relay.cuts
    assert not [found for found in outcomes if isinstance(found, ObjectMissing | ObjectDamaged)]
    right = [
        found.body == key.encode() * 1_000
        for key, found in zip(KEYS, outcomes, strict=True)
        if isinstance(found, StoredObject)
    ]
    assert len(right) > 50
    assert all(right)


class CuttingRelay(Relay):
    """Ends each connection in the middle of the answer that it relays."""

    def __init__(self, port: int, most: int) -> None:
        super().__init__()
        self._port = port
        self._most = most

    def connect(self) -> socket.socket | None:
        return socket.create_connection(("127.0.0.1", self._port))

    def relay(self, client: socket.socket, server: socket.socket) -> None:
        self.start(self._move, client, server, 1 << 40)
        self.start(self._move, server, client, self._most)

    def cut_all(self) -> None:
        """Ends all connections that there are."""
        with self._lock:
            for open_socket in self._sockets - {self._listener}:
                with suppress(OSError):
                    open_socket.shutdown(socket.SHUT_RDWR)

    @staticmethod
    def _move(source: socket.socket, target: socket.socket, left: int) -> None:
        with suppress(OSError):
            while left and (data := source.recv(min(left, 65536))):
                target.sendall(data)
                left -= len(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


def test_a_body_that_is_always_cut_off_could_not_be_read(minio: S3Server, bucket: str, reading: Reading) -> None:
    with CuttingRelay(int(minio.endpoint.rpartition(":")[2]), 3_000) as relay:
        reader = reading(f"http://{relay.address}", attempts=2, **keys_of(minio))
        outcomes = list(reader.read_all([Place(bucket, key) for key in KEYS[:5]], lambda _, outcome: outcome))
    assert [type(found) for found in outcomes] == [CouldNotRead] * 5


def test_a_server_that_is_throttled_for_a_while_is_read_all_the_same(
    minio: S3Server, bucket: str, reading: Reading
) -> None:
    with FaultyS3(minio.endpoint) as faulty:
        reader = reading(faulty.endpoint, **keys_of(minio))
        reader.get(bucket, KEYS[0])
        faulty.begin(Trouble(Kind.SLOW_DOWN, frozenset({bucket}), until=math.inf, left=10**6))
        ending = threading.Thread(target=end_a_moment_after_the_first, args=(faulty,))
        ending.start()
        outcomes = list(reader.read_all([Place(bucket, key) for key in KEYS], lambda _, outcome: outcome))
        ending.join()
        faulty.begin(Trouble(Kind.DENIED, frozenset({bucket}), until=math.inf, left=10**6))
        refused = list(reader.read_all([Place(bucket, key) for key in KEYS[:9]], lambda _, outcome: outcome))
    assert faulty.struck[Kind.SLOW_DOWN]
    assert [type(found) for found in outcomes] == [StoredObject] * len(KEYS)
    assert [type(found) for found in refused] == [CouldNotRead] * 9


def end_a_moment_after_the_first(faulty: FaultyS3) -> None:
    """Ends the trouble 0.4 s after it has struck somebody."""
    deadline = time.monotonic() + 60
    while not faulty.struck and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.4)
    faulty.end_troubles()


def test_credentials_that_the_server_does_not_know_could_not_read(
    minio: S3Server, bucket: str, reading: Reading
) -> None:
    reader = reading(minio.endpoint)
    assert isinstance(outcome(reader, KEYS[0], bucket), CouldNotRead)
    with pytest.raises(CouldNotRead, match="InvalidAccessKeyId"):
        list(reader.list(bucket, ""))


def test_objects_encrypted_by_the_servers_key_management_are_read(minio: S3Server, reading: Reading) -> None:
    name = minio.new_bucket()
    minio.client.put_object(
        Bucket=name, Key="k", Body=b"body", ServerSideEncryption="aws:kms", SSEKMSKeyId=minio.kms_key_id
    )
    assert outcome(reading(minio.endpoint, **keys_of(minio)), "k", name) == StoredObject(b"body", {})


def test_a_caller_who_was_away_for_long_is_given_everything(
    minio: S3Server, reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server ends connections on which nobody receives: that is no fault of its, and no try that has failed."""
    monkeypatch.setattr(s3_transfers, "_STALE", 0.5)
    bucket, body = minio.new_bucket(), bytes(4 << 20)
    lay_in_s3({(bucket, key): MadeObject(body, {}) for key in KEYS[:20]}, minio.client)
    sizes = []
    with CuttingRelay(int(minio.endpoint.rpartition(":")[2]), 1 << 40) as relay:
        reader = reading(f"http://{relay.address}", attempts=1, **keys_of(minio))
        for size in reader.read_all([Place(bucket, key) for key in KEYS[:20]], lambda _, outcome: len(_body(outcome))):
            sizes.append(size)
            if len(sizes) in {1, 8}:
                relay.cut_all()
                time.sleep(0.7)
    assert sizes == [len(body)] * 20


def test_connections_that_have_ended_meanwhile_are_no_tries_that_have_failed(
    minio: S3Server, bucket: str, reading: Reading
) -> None:
    """Within a second libcurl does not look whether they have: it sends on one after the other, and gives up."""
    places = [Place(bucket, key) for key in KEYS]
    with CuttingRelay(int(minio.endpoint.rpartition(":")[2]), 1 << 40) as relay:
        reader = reading(f"http://{relay.address}", attempts=1, **keys_of(minio))
        for some in (places[:50], places[:1], places[50:], places[-1:]):
            assert list(reader.read_all(some, lambda _, outcome: len(_body(outcome)))) == [8_000] * len(some)
            relay.cut_all()


def test_a_source_of_places_that_takes_long_loses_nothing(
    minio: S3Server, reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have to read, and wait, itself."""
    monkeypatch.setattr(s3_transfers, "_STALE", 0.5)
    bucket, body = minio.new_bucket(), bytes(256 << 10)
    lay_in_s3({(bucket, key): MadeObject(body, {}) for key in KEYS}, minio.client)
    with CuttingRelay(int(minio.endpoint.rpartition(":")[2]), 1 << 40) as relay:
        reader = reading(f"http://{relay.address}", attempts=1, **keys_of(minio))

        def places() -> Iterator[Place]:
            for number, key in enumerate(KEYS):
                if number in {70, 75, 80}:
                    relay.cut_all()
                    time.sleep(0.7)
                yield Place(bucket, key)

        sizes = list(reader.read_all(places(), lambda _, outcome: len(_body(outcome))))
    assert sizes == [len(body)] * len(KEYS)


@pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc")
def test_readings_together_keep_no_more_connections_than_one(
    minio: S3Server, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run over many chains has many readings, and a process may have a thousand files open."""
    for name, value in keys_of(minio).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", minio.endpoint)
    reader = S3Reader("us-east-1", concurrency=32)
    before = len(list(Path("/proc/self/fd").iterdir()))
    places = [Place(bucket, key) for key in KEYS]
    for _ in range(2):
        at_once = [reader.read_all(places, lambda place, _: place) for _ in range(8)]
        assert [next(results) for results in at_once] == places[:1] * 8
        assert [list(results) for results in at_once] == [places[1:]] * 8
    assert len(list(Path("/proc/self/fd").iterdir())) - before < 32 + 8 * 5


def _body(outcome: Outcome) -> bytes:
    assert isinstance(outcome, StoredObject), outcome
    return outcome.body
