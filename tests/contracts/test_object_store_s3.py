"""What S3's answers mean, and what goes over the wire: against an HTTP server that misbehaves as told."""

from __future__ import annotations

import base64
import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from opentrail_backends.object_store import Credentials
from opentrail_backends.object_store.port import (
    BucketNotFound,
    ObjectAlreadyExists,
    ObjectNotFound,
    ObjectStoreError,
    OutcomeUnknown,
    PutOptions,
    PutRefused,
    StoreThrottled,
)
from opentrail_backends.object_store.s3 import _ATTEMPTS, S3ObjectStore
from opentrail_backends.object_store.s3_settings import S3Settings
from tests.servers.s3 import S3Server

Answer = bytes | str
"""Bytes to send; or: `reset` the connection, `close` it, stay `silent`."""


@dataclass(frozen=True)
class Request:
    line: str
    headers: dict[str, str]
    body: bytes


@dataclass
class ScriptedServer:
    """An HTTP server that gives the scripted answers in turn, the last one for ever, each after it read the request."""

    answers: list[Answer]
    requests: list[Request] = field(default_factory=list)
    tls: ssl.SSLContext | None = None
    _done: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http{'s' if self.tls else ''}://127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        while not self._done.is_set():
            connection, _ = self._listener.accept()
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            thread.start()
            self._threads.append(thread)

    def _serve(self, connection: socket.socket) -> None:
        if self.tls:
            try:
                connection = self.tls.wrap_socket(connection, server_side=True)
            except OSError:  # the client refused our certificate
                connection.close()
                return
        with connection, connection.makefile("rb") as stream:
            line = stream.readline().decode().strip()
            if not line:
                return
            headers = {}
            while header := stream.readline().decode().strip():
                name, _, value = header.partition(":")
                headers[name.lower()] = value.strip()
            body = stream.read(int(headers.get("content-length", 0)))
            self.requests.append(Request(line, headers, body))
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            if isinstance(answer, bytes):
                connection.sendall(answer)
            elif answer == "silent":
                self._done.wait()
            elif answer == "reset":
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def close(self) -> None:
        self._done.set()
        with socket.create_connection(self._listener.getsockname()):
            pass
        for thread in self._threads:
            thread.join(10)
        self._listener.close()


Serve = Callable[..., ScriptedServer]


@pytest.fixture
def serve() -> Iterator[Serve]:
    servers: list[ScriptedServer] = []

    def start(*answers: Answer, tls: ssl.SSLContext | None = None) -> ScriptedServer:
        servers.append(ScriptedServer(list(answers), tls=tls))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def answer(status: int, code: str = "", **headers: str) -> bytes:
    body = f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>told so</Message></Error>' if code else ""
    lines = [f"HTTP/1.1 {status} Status", f"Content-Length: {len(body)}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


STORED = answer(200, ETag='"etag"')


def open_store(server: ScriptedServer, **settings: object) -> S3ObjectStore:
    time_limit = 1.0 if "silent" in server.answers else 30.0
    made = S3Settings(endpoint=server.endpoint, credentials=Credentials("key", "secret"), time_limit=time_limit)
    return S3ObjectStore(replace(made, **settings))  # type: ignore[arg-type]


def failure(call: Callable[[], object]) -> ObjectStoreError:
    with pytest.raises(ObjectStoreError) as raised:
        call()
    return raised.value


@pytest.mark.parametrize(
    ("given", "meaning", "code"),
    [
        (answer(403, "AccessDenied"), PutRefused, "AccessDenied"),
        (answer(403), PutRefused, "AccessDenied"),
        (answer(401), PutRefused, "AccessDenied"),
        (answer(400, "KMS.DisabledException"), PutRefused, "KMS.DisabledException"),
        (answer(400, "KMS.NotFoundException"), PutRefused, "KMS.NotFoundException"),
        (answer(404, "kms:KeyNotFound"), PutRefused, "kms:KeyNotFound"),
        (answer(400, "InvalidArgument"), PutRefused, "InvalidArgument"),
        (answer(400), PutRefused, "BadRequest"),
        (answer(404), PutRefused, "NotFound"),
        (answer(409, "ExistingObjectIsDirectory"), PutRefused, "ExistingObjectIsDirectory"),
        (answer(418), PutRefused, "Http418"),
        (answer(307, Location="http://127.0.0.1:1/"), PutRefused, "Http307"),
        (answer(501, "NotImplemented"), PutRefused, "NotImplemented"),
        (answer(404, "NoSuchBucket"), BucketNotFound, None),
        (answer(412, "PreconditionFailed"), ObjectAlreadyExists, None),
        (answer(412), ObjectAlreadyExists, None),
        (answer(503, "SlowDown"), StoreThrottled, None),
        (answer(503, "SlowDownWrite"), StoreThrottled, None),
        (answer(429), StoreThrottled, None),
        (answer(400, "KMS.ThrottlingException"), StoreThrottled, None),
        (answer(409, "ConditionalRequestConflict"), OutcomeUnknown, None),
        (answer(409), OutcomeUnknown, None),
        (answer(408), OutcomeUnknown, None),
        (answer(400, "RequestTimeout"), OutcomeUnknown, None),
        (answer(500, "InternalError"), OutcomeUnknown, None),
        (answer(500), OutcomeUnknown, None),
        (answer(502), OutcomeUnknown, None),
        (answer(503, "ServiceUnavailable"), OutcomeUnknown, None),
        (answer(504), OutcomeUnknown, None),
        (answer(200), OutcomeUnknown, None),  # no ETag: not the answer of an S3 server
        (b"HTTP/1.1 200 OK\r\nContent-Le", OutcomeUnknown, None),
        (b"no HTTP at all\r\n\r\n", OutcomeUnknown, None),
        ("reset", OutcomeUnknown, None),
        ("close", OutcomeUnknown, None),
        ("silent", OutcomeUnknown, None),
    ],
    ids=lambda value: value.decode(errors="replace")[9:50].strip() if isinstance(value, bytes) else None,
)
def test_what_an_answer_to_a_put_means(serve: Serve, given: Answer, meaning: type, code: str | None) -> None:
    server = serve(given)
    error = failure(lambda: open_store(server).put("trail-logs", "key", b"body", PutOptions()))
    assert type(error) is meaning
    assert getattr(error, "code", None) == code
    assert error.answered is (meaning is not OutcomeUnknown)
    assert server.requests[0].body == b"body"


@pytest.mark.parametrize(
    ("given", "meaning", "code"),
    [
        (answer(404, "NoSuchKey"), ObjectNotFound, None),
        (answer(404, "NoSuchBucket"), BucketNotFound, None),
        (answer(403, "AccessDenied"), PutRefused, "AccessDenied"),
        (answer(400, "KMS.DisabledException"), PutRefused, "KMS.DisabledException"),
        (answer(503, "SlowDown"), StoreThrottled, None),
        (answer(500, "InternalError"), OutcomeUnknown, None),
        ("reset", OutcomeUnknown, None),
        ("silent", OutcomeUnknown, None),
    ],
    ids=lambda value: value.decode(errors="replace")[9:50].strip() if isinstance(value, bytes) else None,
)
def test_what_an_answer_to_a_read_means(serve: Serve, given: Answer, meaning: type, code: str | None) -> None:
    store = open_store(serve(given))
    for call in (lambda: store.get("trail-logs", "key"), lambda: list(store.list("trail-logs"))):
        error = failure(call)
        assert type(error) is meaning
        assert getattr(error, "code", None) == code


def test_a_body_that_breaks_off_is_no_object(serve: Serve) -> None:
    server = serve(b'HTTP/1.1 200 OK\r\nETag: "x"\r\nContent-Length: 9\r\n\r\nshort')
    assert type(failure(lambda: open_store(server).get("trail-logs", "key"))) is OutcomeUnknown


@pytest.mark.parametrize("status", [403, 404, 429, 500])
def test_what_an_answer_without_a_body_means_for_metadata(serve: Serve, status: int) -> None:
    meanings = {403: PutRefused, 404: BucketNotFound, 429: StoreThrottled, 500: OutcomeUnknown}
    error = failure(lambda: open_store(serve(answer(status))).metadata("trail-logs", "key"))
    assert type(error) is meanings[status]


@pytest.mark.parametrize("lost", [answer(500), "reset", "silent"], ids=["500", "reset", "silent"])
@pytest.mark.parametrize(
    "then",
    [answer(403, "AccessDenied"), answer(404, "NoSuchBucket"), answer(503, "SlowDown")],
    ids=["403", "404", "503"],
)
def test_a_refusal_after_a_lost_answer_is_no_refusal(serve: Serve, lost: Answer, then: bytes) -> None:
    error = failure(lambda: open_store(serve(lost, then)).put("trail-logs", "key", b"", PutOptions()))
    assert type(error) is OutcomeUnknown


def test_a_412_after_a_lost_answer_may_be_our_own_object(serve: Serve) -> None:
    server = serve("reset", answer(412, "PreconditionFailed"))
    error = failure(lambda: open_store(server).put("trail-logs", "key", b"", PutOptions()))
    assert type(error) is ObjectAlreadyExists
    assert len(server.requests) == 2


@pytest.mark.parametrize("first", [answer(500), answer(503, "SlowDown"), "reset"], ids=["500", "503", "reset"])
def test_a_passing_failure_is_tried_again(serve: Serve, first: Answer) -> None:
    server = serve(first, STORED)
    open_store(server).put("trail-logs", "key", b"body", PutOptions())
    assert [request.headers["if-none-match"] for request in server.requests] == ["*", "*"]


def test_a_refusal_is_not_tried_again(serve: Serve) -> None:
    server = serve(answer(403, "AccessDenied"))
    failure(lambda: open_store(server).put("trail-logs", "key", b"", PutOptions()))
    assert len(server.requests) == 1


def test_nothing_listens(serve: Serve) -> None:
    gone = S3Settings(endpoint="http://127.0.0.1:1", credentials=Credentials("key", "secret"), time_limit=1.0)
    store = S3ObjectStore(gone)
    calls: list[Callable[[], object]] = [
        lambda: store.put("trail-logs", "key", b"", PutOptions()),
        lambda: store.get("trail-logs", "key"),
        lambda: store.metadata("trail-logs", "key"),
        lambda: list(store.list("trail-logs")),
        lambda: store.create_bucket("trail-logs"),
        lambda: store.probe("trail-logs"),
    ]
    for call in calls:
        assert type(failure(call)) is OutcomeUnknown


def test_a_put_says_all_that_cloudtrail_says_and_signs_it(serve: Serve) -> None:
    server = serve(STORED)
    arn = "arn:aws:kms:us-east-1:111122223333:key/k"
    store = open_store(server, region="eu-west-3", kms_keys={arn: "name"}, bucket_owners={"trail-logs": "111122223333"})
    context = {"aws:cloudtrail:arn": "arn:aws:cloudtrail:eu-west-3:111122223333:trail/ü"}
    options = PutOptions({"signature": "0a"}, kms_key_id=arn, encryption_context=context)
    store.put("trail-logs", "AWSLogs/a b.json.gz", b"body", options)
    (request,) = server.requests
    assert request.line == "PUT /trail-logs/AWSLogs/a%20b.json.gz HTTP/1.1"
    told = {
        "content-encoding": "gzip",
        "content-type": "application/json",
        "if-none-match": "*",
        "x-amz-acl": "bucket-owner-full-control",
        "x-amz-expected-bucket-owner": "111122223333",
        "x-amz-meta-signature": "0a",
        "x-amz-server-side-encryption": "aws:kms",
        "x-amz-server-side-encryption-aws-kms-key-id": "name",
    }
    assert {name: request.headers.get(name) for name in told} == told
    sent_context = request.headers["x-amz-server-side-encryption-context"]
    assert json.loads(base64.b64decode(sent_context)) == context
    authorization = request.headers["authorization"]
    assert "/eu-west-3/s3/aws4_request" in authorization
    signed = authorization.split("SignedHeaders=")[1].split(",")[0].split(";")
    assert {*told, "x-amz-server-side-encryption-context"} <= set(signed)


@pytest.mark.parametrize(("sse", "header"), [("aes256", "AES256"), ("none", None)])
def test_without_a_kms_key_the_setting_decides(serve: Serve, sse: str, header: str | None) -> None:
    server = serve(STORED)
    options = PutOptions(content_encoding=None, encryption_context={"aws:cloudtrail:arn": "arn"})
    open_store(server, sse=sse).put("trail-logs", "key", b"", options)
    sent = server.requests[0].headers
    assert sent.get("x-amz-server-side-encryption") == header
    assert not {"x-amz-server-side-encryption-context", "content-encoding"} & sent.keys()


def test_a_read_sends_no_encryption_headers(serve: Serve) -> None:
    """S3 answers 400 to a GET that names SSE-S3 or SSE-KMS."""
    server = serve(answer(200, ETag='"x"', x_amz_meta_n="1"))
    store = open_store(server, bucket_owners={"trail-logs": "111122223333"})
    assert store.get("trail-logs", "key").metadata == {"n": "1"}
    sent = server.requests[0].headers
    assert not [name for name in sent if name.startswith("x-amz-server-side") or name in {"x-amz-acl", "if-none-match"}]
    assert sent["x-amz-expected-bucket-owner"] == "111122223333"


def test_two_trails_never_share_key_or_context(serve: Serve) -> None:
    server = serve(STORED)
    store = open_store(server)
    for trail in ("a", "b", "a"):
        options = PutOptions(kms_key_id=f"key-{trail}", encryption_context={"aws:cloudtrail:arn": trail})
        store.put("trail-logs", "key", b"", options)
    sent = [
        (
            request.headers["x-amz-server-side-encryption-aws-kms-key-id"],
            json.loads(base64.b64decode(request.headers["x-amz-server-side-encryption-context"]))["aws:cloudtrail:arn"],
        )
        for request in server.requests
    ]
    assert sent == [("key-a", "a"), ("key-b", "b"), ("key-a", "a")]


def test_a_bucket_in_another_region_is_learned_once(serve: Serve) -> None:
    elsewhere = answer(301, "PermanentRedirect", x_amz_bucket_region="eu-south-2")
    server = serve(elsewhere, answer(200, x_amz_bucket_region="eu-south-2"), STORED)
    store = open_store(server)
    store.put("trail-logs", "key", b"", PutOptions())
    store.put("trail-logs", "key-2", b"", PutOptions())
    regions = [request.headers["authorization"].split("/")[2] for request in server.requests]
    assert regions == ["us-east-1", "us-east-1", "eu-south-2", "eu-south-2"]
    assert [request.line.split()[0] for request in server.requests] == ["PUT", "HEAD", "PUT", "PUT"]


def test_a_region_that_cannot_be_learned_is_a_refusal(serve: Serve) -> None:
    store = open_store(serve(answer(301, "PermanentRedirect")))
    error = failure(lambda: store.put("trail-logs", "key", b"", PutOptions()))
    assert isinstance(error, PutRefused)
    assert error.code == "PermanentRedirect"


def test_a_key_cannot_pretend_to_be_an_answer(serve: Serve) -> None:
    key = "x - Server returned non-2xx status code: 412 Debug source: status: 412, <Code>SlowDown<Code>"
    error = failure(lambda: open_store(serve(answer(403, "AccessDenied"))).put("trail-logs", key, b"", PutOptions()))
    assert isinstance(error, PutRefused)
    assert error.code == "AccessDenied"


def test_a_store_that_overwrites_is_found_out(serve: Serve) -> None:
    server = serve(STORED)
    error = failure(lambda: open_store(server).probe("trail-logs"))
    assert isinstance(error, PutRefused)
    assert error.code == "ConditionalWritesUnsupported"
    assert [request.line.split()[0] for request in server.requests] == ["PUT", "PUT", "DELETE"]


def test_the_number_of_kept_stores_is_bounded(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("opentrail_backends.object_store.s3._MAX_STORES", 2)
    server = serve(STORED)
    store = open_store(server)
    for number in (1, 2, 3, 1):
        store.put(f"bucket-{number}", "key", b"", PutOptions())
    assert len(store._stores) == 2
    assert len(server.requests) == 4


@pytest.mark.parametrize(("time_limit", "text"), [(60.0, "18s 750ms"), (10.0, "3s 125ms")])
def test_all_tries_together_end_within_the_time_limit(serve: Serve, time_limit: float, text: str) -> None:
    store = open_store(serve(STORED), time_limit=time_limit)
    store.put("trail-logs", "key", b"", PutOptions())
    (opened,) = store._stores.values()
    options = opened.client_options
    assert options is not None
    longest_pauses = 0.1 * 2 + 0.1 * 4
    assert _ATTEMPTS * store._attempt_limit + longest_pauses < time_limit
    assert str(options["timeout"]) == text


def test_without_credentials_it_does_not_open(serve: Serve) -> None:
    with pytest.raises(ValueError, match="AWS_ACCESS_KEY_ID"):
        open_store(serve(STORED), credentials=None)


def test_credentials_are_found_in_the_usual_places(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = tmp_path / "credentials"
    profile.write_text("[audit]\naws_access_key_id = FROMPROFILE\naws_secret_access_key = s\naws_session_token = t\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(profile))
    monkeypatch.setenv("AWS_PROFILE", "audit")
    server = serve(STORED)
    open_store(server, credentials=None).put("trail-logs", "key", b"", PutOptions())
    sent = server.requests[0].headers
    assert "Credential=FROMPROFILE/" in sent["authorization"]
    assert sent["x-amz-security-token"] == "t"


@dataclass(frozen=True)
class PrivateAuthority:
    """A certificate authority that nobody else knows, and a server's context with a certificate of it."""

    bundle: Path
    server: ssl.SSLContext


@pytest.fixture
def private_authority(tmp_path: Path) -> PrivateAuthority:
    def certificate(name: str, issuer: str, signer: ec.EllipticCurvePrivateKey, key: Any, *more: Any) -> bytes:
        now = datetime.now(UTC)
        builder = x509.CertificateBuilder(
            x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]),
            x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]),
            key.public_key(),
            x509.random_serial_number(),
            now - timedelta(days=1),
            now + timedelta(days=1),
        )
        for extension in more:
            builder = builder.add_extension(extension, critical=False)
        return builder.sign(signer, hashes.SHA256()).public_bytes(Encoding.PEM)

    authority, server = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    address = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))])
    bundle, chain = tmp_path / "authority.pem", tmp_path / "server.pem"
    bundle.write_bytes(
        certificate("authority", "authority", authority, authority, x509.BasicConstraints(ca=True, path_length=None))
    )
    private = server.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    chain.write_bytes(private + certificate("server", "authority", authority, server, address))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    return PrivateAuthority(bundle, context)


def test_a_server_that_no_known_authority_vouches_for_is_told(
    serve: Serve, private_authority: PrivateAuthority
) -> None:
    store = open_store(serve(STORED, tls=private_authority.server))
    error = failure(lambda: store.put("trail-logs", "key", b"", PutOptions()))
    assert type(error) is OutcomeUnknown
    assert "InvalidCertificate" in str(error)


def test_an_authority_of_the_operators_is_trusted(
    serve: Serve, private_authority: PrivateAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", str(private_authority.bundle))
    server = serve(STORED, tls=private_authority.server)
    open_store(server).put("trail-logs", "key", b"body", PutOptions())
    assert server.requests[0].headers["x-amz-content-sha256"] == "UNSIGNED-PAYLOAD"


@pytest.mark.s3
def test_minio_encrypts_under_the_named_key_and_context(minio: S3Server) -> None:
    credentials = Credentials(minio.access_key, minio.secret_key)
    arn, bucket = "arn:aws:kms:us-east-1:111122223333:key/k", minio.new_bucket()
    store = S3ObjectStore(S3Settings(minio.endpoint, kms_keys={arn: str(minio.kms_key_id)}, credentials=credentials))
    store.put(bucket, "kms", b"body", PutOptions(kms_key_id=arn, encryption_context={"aws:cloudtrail:arn": "t"}))
    store.put(bucket, "s3", b"body", PutOptions())
    kms = minio.client.head_object(Bucket=bucket, Key="kms")
    assert kms["ServerSideEncryption"] == "aws:kms"
    assert kms["SSEKMSKeyId"].endswith(str(minio.kms_key_id))
    assert (kms["ContentType"], kms["ContentEncoding"]) == ("application/json", "gzip")
    assert minio.client.head_object(Bucket=bucket, Key="s3")["ServerSideEncryption"] == "AES256"


@pytest.mark.s3
def test_minio_refuses_an_unknown_kms_key(minio: S3Server) -> None:
    credentials = Credentials(minio.access_key, minio.secret_key)
    store = S3ObjectStore(S3Settings(minio.endpoint, credentials=credentials))
    bucket = minio.new_bucket()
    error = failure(lambda: store.put(bucket, "key", b"body", PutOptions(kms_key_id="no-such-key")))
    assert isinstance(error, PutRefused)
    assert error.code == "kms:KeyNotFound"
    with pytest.raises(ObjectNotFound):
        store.get(bucket, "key")


@pytest.mark.s3
def test_wrong_credentials_are_a_refusal(minio: S3Server) -> None:
    store = S3ObjectStore(S3Settings(minio.endpoint, credentials=Credentials(minio.access_key, "wrong")))
    bucket = minio.new_bucket()
    codes = {
        failure(call).code
        for call in (  # type: ignore[attr-defined]
            lambda: store.put(bucket, "key", b"", PutOptions()),
            lambda: store.get(bucket, "key"),
            lambda: list(store.list(bucket)),
        )
    }
    assert codes == {"SignatureDoesNotMatch"}
    assert failure(lambda: store.metadata(bucket, "key")).code == "AccessDenied"  # type: ignore[attr-defined]
