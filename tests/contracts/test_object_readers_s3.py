"""What S3Reader makes of servers that fail, refuse and lie: never a missing object where the server did not say so."""

from __future__ import annotations

import gzip
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from opentrail_validator.readers import s3_buckets
from opentrail_validator.readers.port import CouldNotRead, ObjectDamaged, ObjectMissing, StoredObject
from opentrail_validator.readers.s3 import S3Reader
from tests.contracts.s3_reading import Reading, outcome, reading
from tests.contracts.scripted_s3 import Answer, ScriptedServer, answer, serving

__all__ = ["reading"]


@pytest.fixture
def scripted(reading: Reading) -> Iterator[Callable[..., tuple[S3Reader, ScriptedServer]]]:
    """Makes a reader of a server that refuses to tell the bucket's location, and then gives these answers."""
    with serving() as serve:

        def start(*answers: Answer, attempts: int | None = 1) -> tuple[S3Reader, ScriptedServer]:
            server = serve(answer(403, "AccessDenied"), *answers)
            return reading(server.endpoint, attempts=attempts), server

        yield start


def stored(body: bytes, length: int | None = None, **headers: str) -> bytes:
    lines = [
        "HTTP/1.1 200 OK",
        f"Content-Length: {len(body) if length is None else length}",
        "Connection: close",
        'ETag: "e"',
        "Last-Modified: Wed, 25 Nov 2026 10:00:00 GMT",
        *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def chunked(status: int, body: bytes, **headers: str) -> bytes:
    """Also S3's own errors come so."""
    lines = [f"HTTP/1.1 {status} Status", "Transfer-Encoding: chunked", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)


def test_stored_bytes_are_not_inflated_whatever_their_headers_say(scripted: Any) -> None:
    body = gzip.compress(b"content")
    reader, server = scripted(stored(body, Content_Encoding="gzip", x_amz_meta_signature="0a", Content_Type="x"))
    assert outcome(reader) == StoredObject(body, {"signature": "0a"})
    assert server.requests[-1].line == "GET /trail-logs/a/b HTTP/1.1"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (answer(404), "answered 404"),
        (answer(404, "NoSuchBucket"), "NoSuchBucket"),
        (answer(403, "AccessDenied"), "answered 403 AccessDenied: told so"),
        (answer(403, "SignatureDoesNotMatch"), "SignatureDoesNotMatch"),
        (answer(403, "InvalidObjectState"), "InvalidObjectState"),
        (answer(400, "ExpiredToken"), "ExpiredToken"),
        (answer(400, "AuthorizationHeaderMalformed"), "not in the region us-east-1"),
        (answer(301, "PermanentRedirect"), "not in the region us-east-1"),
        (answer(500, "InternalError"), "answered 500 InternalError"),
        (answer(503, "SlowDown"), "answered 503 SlowDown"),
        (answer(503), "answered 503"),
        (answer(200), ""),  # an empty object, without a date
        (stored(b"body", 5), "no whole answer"),
        (stored(b"", 1 << 20), "no whole answer"),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nbody", "Content-Length"),
        (b"nonsense\r\n\r\n", "no whole answer"),
        ("close", "no whole answer"),
        ("reset", "no whole answer"),
        (chunked(200, b"bo", Content_Length="4"), "not of the length"),
        (chunked(200, b"body" * 100, Content_Length="4"), "not of the length"),
        (chunked(200, b"body"), "Content-Length"),
        (chunked(200, b"body" * 100_000), "Content-Length"),
        (chunked(403, b"<Error><Code>AccessDenied</Code></Error>"), "answered 403 AccessDenied"),
        (chunked(403, b"<Error><Code>AccessDenied</Code>" + b" " * 1_000_000), "answered 403 AccessDenied"),
        (stored(b"", 1 << 40).replace(b"200 OK", b"503 Slow Down"), "no whole answer"),
    ],
)
def test_whatever_is_not_the_object_could_not_be_read(scripted: Any, given: Answer, told: str) -> None:
    reader, _ = scripted(given)
    found = outcome(reader)
    if given == answer(200):
        assert found == StoredObject(b"", {})
        return
    assert isinstance(found, CouldNotRead), found
    assert told in str(found)


def test_only_the_code_for_it_says_that_an_object_is_missing(scripted: Any) -> None:
    assert isinstance(outcome(scripted(answer(404, "NoSuchKey"))[0]), ObjectMissing)
    # A key cannot pass for an answer.
    assert isinstance(outcome(scripted(answer(403, "AccessDenied"))[0], "<Code>NoSuchKey</Code>"), CouldNotRead)
    assert isinstance(outcome(scripted(answer(403, "AccessDenied"))[0], "a//<Code>NoSuchKey</Code>"), CouldNotRead)


@pytest.mark.parametrize("key", ["a//b", "/a", "a/", "./a", "a/../b", "a\tb"])
def test_keys_that_a_url_could_change_are_asked_for_as_they_are(scripted: Any, key: str) -> None:
    reader, server = scripted(stored(b"body", x_amz_meta_signature="0a"))
    assert outcome(reader, key) == StoredObject(b"body", {"signature": "0a"})
    assert server.requests[-1].line == f"GET /trail-logs/{key} HTTP/1.1".replace("\t", "%09")
    assert isinstance(outcome(scripted(answer(404, "NoSuchKey"))[0], key), ObjectMissing)
    for failure in (answer(404), answer(503, "SlowDown"), stored(b"body", 5), "close", chunked(200, b"body")):
        assert isinstance(outcome(scripted(failure)[0], key), CouldNotRead)


def test_an_absurdly_large_object_is_damage_and_not_read(scripted: Any) -> None:
    assert isinstance(outcome(scripted(stored(b"x", 1 << 40))[0]), ObjectDamaged)
    assert isinstance(outcome(scripted(stored(b"x", 1 << 40))[0], "a//b"), ObjectDamaged)


@pytest.mark.parametrize("failures", [[answer(503, "SlowDown")] * 3, ["close", answer(500), "reset"]])
def test_what_passes_is_tried_again(scripted: Any, failures: list[Answer]) -> None:
    reader, server = scripted(*failures, stored(b"body"), attempts=None)
    assert outcome(reader) == StoredObject(b"body", {})
    assert len(server.requests) == 1 + len(failures) + 1


def test_a_body_that_was_cut_off_is_read_anew_as_a_whole(scripted: Any) -> None:
    reader, server = scripted(stored(b"bo", 4), stored(b"body"), attempts=None)
    assert outcome(reader) == StoredObject(b"body", {})
    assert "range" not in server.requests[-1].headers


def test_a_part_that_nobody_asked_for_is_not_taken_for_the_object(scripted: Any) -> None:
    part = stored(b"dy", Content_Range="bytes 2-3/4").replace(b"200 OK", b"206 Partial Content")
    assert isinstance(outcome(scripted(part)[0]), CouldNotRead)


def test_what_does_not_pass_is_not_tried_again(scripted: Any) -> None:
    reader, server = scripted(answer(403, "AccessDenied"), attempts=None)
    assert isinstance(outcome(reader), CouldNotRead)
    assert len(server.requests) == 2


def test_a_server_that_says_nothing_is_given_up(scripted: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_buckets, "PATIENCE", 1)
    began = time.monotonic()
    found = outcome(scripted("silent")[0])
    assert isinstance(found, CouldNotRead)
    assert "too slow" in str(found)
    assert time.monotonic() - began < 15


def test_a_port_that_nobody_listens_on_could_not_be_reached(reading: Reading) -> None:
    with socket.socket() as kept:  # nobody gets the port meanwhile, and nobody listens on it
        kept.bind(("127.0.0.1", 0))
        reader = reading(f"http://127.0.0.1:{kept.getsockname()[1]}", attempts=1)
        assert "Could not connect to server" in str(outcome(reader))
        with pytest.raises(CouldNotRead):
            list(reader.list("trail-logs", ""))


def test_without_credentials_nothing_could_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    reader = S3Reader("us-east-1")
    assert "Unable to locate credentials" in str(outcome(reader))
    with pytest.raises(CouldNotRead, match="Unable to locate credentials"):
        list(reader.folders("trail-logs", ""))


@pytest.mark.parametrize("bucket", ["", "a/b", "..", "ü", "a b", "\ud800", "arn:aws:s3:us-east-1:1:accesspoint/x"])
def test_what_can_be_no_bucket_could_not_be_read(scripted: Any, bucket: str) -> None:
    reader, server = scripted(stored(b"body"))
    assert isinstance(outcome(reader, bucket=bucket), CouldNotRead)
    assert not server.requests


LOCATION = (
    '<?xml version="1.0"?><LocationConstraint xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{}</LocationConstraint>'
)


@pytest.mark.parametrize(("said", "region"), [("", "us-east-1"), ("EU", "eu-west-1"), ("eu-central-2", "eu-central-2")])
def test_a_bucket_is_asked_in_its_own_region(reading: Reading, said: str, region: str) -> None:
    with serving() as serve:
        location = LOCATION.format(said).encode()
        server = serve(stored(location), stored(b"body"))
        reader = reading(server.endpoint, region="ap-south-1")
        assert outcome(reader) == StoredObject(b"body", {})
        assert outcome(reader) == StoredObject(b"body", {})
    assert [request.line.split()[1] for request in server.requests] == [
        "/trail-logs?location",
        *["/trail-logs/a/b"] * 2,
    ]
    assert "/ap-south-1/s3/" in server.requests[0].headers["authorization"]
    assert f"/{region}/s3/" in server.requests[1].headers["authorization"]


def test_who_may_not_ask_for_the_region_takes_the_one_asked_for(scripted: Any) -> None:
    reader, server = scripted(stored(b"body"))
    assert outcome(reader) == StoredObject(b"body", {})
    assert "/us-east-1/s3/" in server.requests[1].headers["authorization"]


@pytest.mark.parametrize("said", [answer(403), stored(b""), stored(b"<hr><p>Bad Gateway").replace(b"200 OK", b"502 x")])
def test_a_gateway_that_answers_in_place_of_s3_does_not_tell_the_region(reading: Reading, said: Answer) -> None:
    with serving() as serve:
        server = serve(said, stored(b"body"))
        assert outcome(reading(server.endpoint, attempts=1)) == StoredObject(b"body", {})
    assert "/us-east-1/s3/" in server.requests[1].headers["authorization"]


def page(keys: list[str], token: str | None) -> bytes:
    more = (
        f"<IsTruncated>true</IsTruncated><NextContinuationToken>{token}</NextContinuationToken>"
        if token
        else "<IsTruncated>false</IsTruncated>"
    )
    entries = "".join(
        f"<Contents><Key>{key}</Key><LastModified>2026-03-01T10:00:00.500Z</LastModified></Contents>" for key in keys
    )
    return stored(f"<ListBucketResult>{more}{entries}</ListBucketResult>".encode())


def test_a_list_that_fails_on_a_later_page_is_not_a_shorter_list(scripted: Any) -> None:
    reader, _ = scripted(page(["a", "b"], "t"), answer(503, "SlowDown"))
    entries = reader.list("trail-logs", "")
    assert [next(entries).key, next(entries).key] == ["a", "b"]
    with pytest.raises(CouldNotRead):
        next(entries)


@pytest.mark.parametrize(
    "given",
    [
        answer(404, "NoSuchBucket"),
        answer(403, "AccessDenied"),
        "close",
        stored(b"<a>"),
        stored(b"<a/>", 9),
        page(["a"], None).replace(b"2026-03-01T10:00:00.500Z", b"some time in March 2026!"),
        page(["a"], None).replace(b"LastModified", b"LastModifier"),
    ],
)
def test_a_list_that_does_not_come_could_not_be_read(scripted: Any, given: Answer) -> None:
    with pytest.raises(CouldNotRead):
        list(scripted(given)[0].list("trail-logs", ""))


def test_a_list_that_goes_on_for_ever_ends(scripted: Any) -> None:
    with pytest.raises(CouldNotRead):
        list(scripted(page(["a"], "t"))[0].list("trail-logs", ""))
