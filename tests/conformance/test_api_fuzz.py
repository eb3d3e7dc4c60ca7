"""100,000 requests with something wrong: no fault of ours in the answers, and no more work than a request may cost.

Work is counted, not timed: questions to the state store, and on a sample of the requests the calls of functions.
"""

from __future__ import annotations

import json
import socket
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator, Sequence
from types import FrameType, SimpleNamespace
from typing import Any

import pytest

from opentrail.events.record import CheckedRecord, check_records
from opentrail.trails.configuration import Kind, organization_body, trail_body
from opentrail_backends.state import open_state_store
from opentrail_backends.state.port import AccessKey, NewCall, NewChange, StateStore
from opentrail_control_plane.control_plane import ControlPlane
from opentrail_control_plane.protocol import Answer
from opentrail_control_plane.rates import NO_LIMITS
from opentrail_control_plane.server import ControlPlaneServer, ControlPlaneSettings
from opentrail_control_plane.signature_v4 import Request
from tests.conformance.api_mutations import Mutations
from tests.unit.control_plane.conftest import (
    MANAGEMENT,
    ORGANIZATION,
    PORTS,
    REGIONS,
    SECRET,
    TARGET,
    TRAILS,
    key_id,
    signed_request,
)

SEEDS = range(20)
REQUESTS_OF_A_SEED = 5_000
STATUSES = frozenset({200, 400, 403, 404})
MOST_QUESTIONS = 40
"""To the state store, of one request: five tries of a change that is always overtaken are the most."""
SAMPLED = 25
"""Of every so many requests one has its function calls counted."""


def most_calls(request: Request) -> int:
    """Of Python functions: some for each request, and a few for each byte of it."""
    return 20_000 + 5 * len(request.body)


class FuzzedState:
    """A real state store, without its cost where every request asks it, and with a count of the questions."""

    rates = None

    def __init__(self, store: StateStore) -> None:
        self._store = store
        self.questions = 0
        self.configuration = FuzzedConfiguration(self, store)
        self.calls = SimpleNamespace(record=self.record)

    def __getattr__(self, name: str) -> Any:
        """Whatever else an operation asks."""
        self.questions += 1
        return getattr(self._store, name)

    def record(self, calls: Sequence[NewCall]) -> None:
        """Every record of a call must be one that our own intake takes."""
        self.questions += 1
        for call in calls:
            [verdict] = check_records(
                [call.record],
                account_id=call.account_id,
                regions=REGIONS,
                default_region=call.region,
                now=int(time.time()),
                new_event_id=lambda _position: "none is missing",
            )
            assert isinstance(verdict, CheckedRecord), (verdict, call.record)
            assert verdict.raw == call.record


class FuzzedConfiguration:
    """The configuration, with its changes in memory."""

    def __init__(self, state: FuzzedState, store: StateStore) -> None:
        self._state = state
        self._store = store.configuration
        self._key = AccessKey(key_id(MANAGEMENT), SECRET, MANAGEMENT)
        self._known = list(store.configuration.changes_after(0))

    def __getattr__(self, name: str) -> Any:
        self._state.questions += 1
        return getattr(self._store, name)

    def access_key(self, access_key_id: str) -> AccessKey | None:
        self._state.questions += 1
        return self._key if access_key_id == self._key.access_key_id else None

    def changes_after(self, revision: int) -> Sequence[Any]:
        self._state.questions += 1
        return [change for change in self._known[-50:] if change.revision > revision]

    def apply(self, changes: Any, expected_revision: int | None = None, calls: Sequence[NewCall] = ()) -> int:
        self._state.questions += 1
        self._state.record(calls)
        last = self._known[-1].revision
        revision = self._store.apply(changes, expected_revision)
        self._known += self._store.changes_after(last)
        return revision


@pytest.fixture
def state() -> Iterator[StateStore]:
    store = open_state_store("sqlite://", secret_key=bytes(32))
    store.migrate()
    store.configuration.put_access_key(AccessKey(key_id(MANAGEMENT), SECRET, MANAGEMENT))
    store.configuration.apply(
        [
            NewChange(Kind.ORGANIZATION, ORGANIZATION.id, organization_body(ORGANIZATION)),
            *(NewChange(Kind.TRAIL, trail.incarnation, trail_body(trail)) for trail in TRAILS),
        ]
    )
    yield store
    store.close()


@pytest.fixture
def fuzzed(state: StateStore) -> tuple[ControlPlane, FuzzedState]:
    counting = FuzzedState(state)
    return ControlPlane(counting, time.time, PORTS, limits=NO_LIMITS), counting  # type: ignore[arg-type]


def check_answer(answer: Answer, about: Any) -> None:
    assert answer.status in STATUSES, (about, answer)
    if answer.content_type == "text/xml":
        root = ET.fromstring(answer.body)
        assert root.findtext(".//{*}RequestId") == answer.request_id, about
        assert (root.find(".//{*}Code") is None) is (answer.status == 200), about
        return
    value = json.loads(answer.body)
    assert isinstance(value, dict), about
    if answer.status != 200:
        assert set(value) == {"__type", "message"}, about
        assert value["message"], about


def calls_of(answer: Callable[[], Answer]) -> tuple[Answer, int]:
    """An answer, and how many Python functions were called for it."""
    count = 0

    def counting(_frame: FrameType, event: str, _argument: Any) -> None:
        nonlocal count
        count += event == "call"

    sys.setprofile(counting)
    try:
        return answer(), count
    finally:
        sys.setprofile(None)


def test_there_are_a_hundred_thousand() -> None:
    assert len(SEEDS) * REQUESTS_OF_A_SEED == 100_000


@pytest.mark.parametrize("seed", SEEDS)
def test_no_request_is_a_fault_of_ours_or_costs_without_bound(
    fuzzed: tuple[ControlPlane, FuzzedState], seed: int
) -> None:
    control_plane, state = fuzzed
    mutations = Mutations(seed)
    seen: dict[int, int] = {}
    for number in range(REQUESTS_OF_A_SEED):
        what, request, may_succeed = mutations.next()
        state.questions = 0
        if number % SAMPLED:
            answer = control_plane.answer(request)
        else:
            answer, calls = calls_of(lambda request=request: control_plane.answer(request))  # type: ignore[misc]
            assert calls <= most_calls(request), (what, request)
        check_answer(answer, (what, request))
        assert may_succeed or answer.status != 200, (what, request)
        assert state.questions <= MOST_QUESTIONS, (what, request)
        seen[answer.status] = seen.get(answer.status, 0) + 1
    # Not all stop at the same door.
    assert set(seen) == STATUSES
    assert seen[200] + seen[400] > REQUESTS_OF_A_SEED / 10


MEGABYTE = 1024 * 1024 - 100


@pytest.mark.parametrize(
    ("operation", "body"),
    [
        ("AddTags", '{"ResourceId":"a","TagsList":[' + ",".join(['{"Key":""}'] * 90_000) + "]}"),
        ("AddTags", '{"ResourceId":"a","TagsList":[' + ",".join(["null"] * 200_000) + "]}"),
        ("AddTags", '{"ResourceId":"a","TagsList":[' + ",".join(["1"] * 500_000) + "]}"),
        ("PutEventSelectors", '{"TrailName":"a","EventSelectors":[' + ",".join(["{}"] * 300_000) + "]}"),
        ("DescribeTrails", '{"trailNameList":[' + ",".join(['""'] * 300_000) + "]}"),
        ("DescribeTrails", '{"trailNameList":["' + "a" * MEGABYTE + '"]}'),
        ("StartDashboardRefresh", '{"DashboardId":"a","QueryParameterValues":{' + ",".join(
            f'"k{number}":""' for number in range(80_000)) + "}}"),
        ("GetTrail", "{" + ",".join(f'"k{number}":1' for number in range(90_000)) + "}"),
        ("GetTrail", '{"Name":"' + "a" * MEGABYTE + '"}'),
        ("GetTrail", '{"Name":"arn:' + ":" * MEGABYTE + '"}'),
        ("GetTrail", '{"Name":' + "[" * 500_000 + "]" * 500_000 + "}"),
        ("GetTrail", '{"x":' + "9" * MEGABYTE + "}"),
        ("GetTrail", '{"x":0.' + "9" * MEGABYTE + "}"),
        ("GetTrail", '{"x":1e' + "9" * MEGABYTE + "}"),
        ("StartQuery", '{"QueryStatement":"' + "\\u00e9" * 150_000 + '"}'),
        ("StartQuery", '{"DeliveryS3Uri":"s3://' + "a-" * 500_000 + '"}'),
        ("CreateChannel", '{"Name":"' + "a." * 500_000 + '","Source":"' + "é" * 1_000 + '","Destinations":[]}'),
        ("PutResourcePolicy", '{"ResourceArn":"' + "a" * 500_000 + '","ResourcePolicy":"' + "{" * 400_000 + '"}'),
    ],
    ids=lambda value: value[:40],
)  # fmt: skip
def test_the_worst_that_fits_into_a_request_costs_little(
    fuzzed: tuple[ControlPlane, FuzzedState], operation: str, body: str
) -> None:
    control_plane, _ = fuzzed
    headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": TARGET["cloudtrail"] + operation}
    request = signed_request(body.encode(), headers=headers)
    assert len(request.body) <= 1024 * 1024
    answer, calls = calls_of(lambda: control_plane.answer(request))
    check_answer(answer, operation)
    assert len(answer.body) < 200_000
    assert calls <= most_calls(request)


def test_two_thousand_come_in_over_connections(state: StateStore) -> None:
    """Their bytes are changed, too: in the lines and headers of HTTP."""
    server = ControlPlaneServer(
        ControlPlaneSettings(receive_seconds=1.0), state, time.time, ports=PORTS, limits=NO_LIMITS
    )
    port = server.start()
    mutations = Mutations(len(SEEDS))
    seen: dict[bytes, int] = {}
    for number in range(2_000):
        request = mutations.next().request
        sent = _on_the_wire(request)
        if number % 2:
            place = (number * 7_919) % max(len(sent), 1)
            sent = sent[:place] + bytes([number % 256]) + sent[place + number % 3 :]
        status = _status_of(port, sent, is_whole=number % 2 == 0)
        assert status in {b"", b"200", b"400", b"403", b"404"}, (status, sent)
        seen[status] = seen.get(status, 0) + 1
    server.stop(30)
    assert min(seen[status] for status in (b"200", b"400", b"403", b"404")) > 10


def _on_the_wire(request: Request) -> bytes:
    target = f"{request.path}?{request.query}" if request.query else request.path
    lines = [f"{request.method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in request.headers.items())]
    lines.append(f"content-length: {len(request.body)}")
    return "\r\n".join(lines).encode("latin-1", "replace") + b"\r\n\r\n" + request.body


def _status_of(port: int, sent: bytes, *, is_whole: bool) -> bytes:
    """The status of the first answer; nothing if the connection is closed without one.

    Who says that nothing more comes is not answered any more, but need not be waited for.
    """
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        received = b""
        try:
            connection.sendall(sent)
            if not is_whole:
                connection.shutdown(socket.SHUT_WR)
            while len(received) < 12 and (chunk := connection.recv(65536)):
                received += chunk
        except (ConnectionResetError, BrokenPipeError):
            pass
        return received[9:12]
