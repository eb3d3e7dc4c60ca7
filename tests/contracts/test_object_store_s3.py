"""What goes over the wire to S3: headers, keys, regions, credentials, TLS; and what MinIO makes of it."""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
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
    ObjectNotFound,
    OutcomeUnknown,
    PutOptions,
    PutRefused,
)
from opentrail_backends.object_store.s3 import _ATTEMPTS, S3ObjectStore
from opentrail_backends.object_store.s3_settings import S3Settings
from tests.contracts.scripted_s3 import STORED, Serve, answer, failure, open_store, serving
from tests.servers.s3 import S3Server


@pytest.fixture
def serve() -> Iterator[Serve]:
    with serving() as start:
        yield start


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
