"""The validator's gRPC server: TLS, health, reflection, and its end."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from opentrail_validator.generated import validator_pb2, validator_pb2_grpc
from opentrail_validator.service.server import SERVICE_NAME, WATCHING_NAME, ValidatorService
from opentrail_validator.service.settings import Listener, ServerSettings, TlsFiles, WatchSettings
from tests.integration.cli_process import self_signed, wait_for
from tests.unit.validator.service.fakes import MadeUpCatalogue, Told, watched

TOKEN = "otv_0123456789abcdef0123456789abcdef"
BEARER = (("authorization", f"Bearer {TOKEN}"),)
SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


def service(folder: Path, clock: Callable[[], float] = time.monotonic, **listener: Any) -> ValidatorService:
    """One whose chains cannot be asked for."""
    settings = ServerSettings(
        listener=Listener(**listener), token_sha256=hashlib.sha256(TOKEN.encode()).digest(), max_watchers=1
    )
    catalogue = MadeUpCatalogue([watched()], is_away=True)
    return ValidatorService(settings, WatchSettings(), catalogue, Told(), folder / "book.json", clock=clock)


def health_of(channel: grpc.Channel, name: str) -> Any:
    stub = health_pb2_grpc.HealthStub(channel)
    return stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=20).status


def stub_of(channel: grpc.Channel) -> Any:
    return validator_pb2_grpc.ValidatorStub(channel)  # type: ignore[no-untyped-call]  # generated


def test_health_tells_calls_and_cycles_apart(tmp_path: Path) -> None:
    now = [0.0]
    made = service(tmp_path, lambda: now[0])
    with grpc.insecure_channel(f"127.0.0.1:{made.start()}") as channel:
        assert [health_of(channel, name) for name in ("", SERVICE_NAME, WATCHING_NAME)] == [SERVING] * 3
        now[0] = 3 * 3600 + 1
        wait_for(lambda: health_of(channel, WATCHING_NAME) == NOT_SERVING)
        assert [health_of(channel, name) for name in ("", SERVICE_NAME)] == [SERVING] * 2
        with pytest.raises(grpc.RpcError) as refused:
            list(stub_of(channel).ListChains(validator_pb2.ListChainsRequest(), metadata=BEARER, timeout=20))
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE  # type: ignore[attr-defined]  # a call, too
        assert made.stop(20)


def test_reflection_needs_no_token(tmp_path: Path) -> None:
    made = service(tmp_path)
    with grpc.insecure_channel(f"127.0.0.1:{made.start()}") as channel:
        asked = reflection_pb2.ServerReflectionRequest(list_services="")
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        answer = next(stub.ServerReflectionInfo(iter([asked]), timeout=20))
        assert SERVICE_NAME in {each.name for each in answer.list_services_response.service}
        assert made.stop(20)


def test_over_tls(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    tls = TlsFiles(certificate_chain=certificate.read_bytes(), private_key=key.read_bytes())
    made = service(tmp_path, tls=tls)
    port = made.start()
    trusted = grpc.ssl_channel_credentials(certificate.read_bytes())
    with grpc.secure_channel(f"127.0.0.1:{port}", trusted) as channel:
        assert health_of(channel, SERVICE_NAME) == SERVING
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel, pytest.raises(grpc.RpcError):
        health_of(channel, SERVICE_NAME)
    assert made.stop(20)


def test_a_watcher_does_not_hold_up_the_end(tmp_path: Path) -> None:
    made = service(tmp_path)
    codes: list[Any] = []
    with grpc.insecure_channel(f"127.0.0.1:{made.start()}") as channel:
        call = stub_of(channel).WatchFindings(validator_pb2.WatchFindingsRequest(), metadata=BEARER)
        call.initial_metadata()
        with pytest.raises(grpc.RpcError) as refused:  # there is one place
            next(stub_of(channel).WatchFindings(validator_pb2.WatchFindingsRequest(), metadata=BEARER, timeout=20))
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED  # type: ignore[attr-defined]  # as above

        def read() -> None:
            with pytest.raises(grpc.RpcError):
                list(call)
            codes.append(call.code())

        reader = threading.Thread(target=read)
        reader.start()
        began = time.monotonic()
        assert made.stop(60)
        assert time.monotonic() - began < 30
        reader.join(20)
    assert codes == [grpc.StatusCode.UNAVAILABLE]


def test_an_idle_stream_does_not_hold_up_the_end(tmp_path: Path) -> None:
    made, ended = service(tmp_path), threading.Event()
    with grpc.insecure_channel(f"127.0.0.1:{made.start()}") as channel:

        def questions() -> Iterator[Any]:
            yield reflection_pb2.ServerReflectionRequest(list_services="")
            ended.wait(60)

        answers = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(questions())
        assert next(answers).HasField("list_services_response")
        began = time.monotonic()
        made.stop(60)
        assert time.monotonic() - began < 20
        ended.set()


def test_a_silent_server_does_not_hold_up_the_end(tmp_path: Path) -> None:
    made = service(tmp_path)
    asked, answers = threading.Event(), threading.Event()

    def chains() -> list[Any]:
        asked.set()
        answers.wait(60)
        return []

    made._watching._catalogue.chains = chains  # type: ignore[method-assign]  # the made-up one
    made.start()
    assert asked.wait(20)
    began = time.monotonic()
    assert not made.stop(20)
    assert time.monotonic() - began < 10
    answers.set()


def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    first = service(tmp_path)
    port = first.start()
    second = service(tmp_path, address=f"127.0.0.1:{port}")
    with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1:{port}"):
        second.start()
    second.stop(5)
    assert first.stop(20)
