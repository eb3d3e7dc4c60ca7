"""What S3's answers mean, and those that never come: against an HTTP server that misbehaves as told."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from opentrail_backends.object_store import Credentials
from opentrail_backends.object_store.port import (
    BucketNotFound,
    ObjectAlreadyExists,
    ObjectNotFound,
    OutcomeUnknown,
    PutOptions,
    PutRefused,
    StoreThrottled,
)
from opentrail_backends.object_store.s3 import S3ObjectStore
from opentrail_backends.object_store.s3_settings import S3Settings
from tests.contracts.scripted_s3 import STORED, Answer, Serve, answer, failure, open_store, serving


@pytest.fixture
def serve() -> Iterator[Serve]:
    with serving() as start:
        yield start


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
