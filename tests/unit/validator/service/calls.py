"""Calls as gRPC makes them, to a servicer on a made-up installation."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest

from opentrail_validator.generated import validator_pb2
from opentrail_validator.service.authentication import TokenAuthentication
from opentrail_validator.service.servicer import ValidatorServicer
from opentrail_validator.service.watching import Watching
from tests.unit.validator.service.fakes import Installation, Told

TOKEN = "otv_0123456789abcdef0123456789abcdef"
BEARER = (("authorization", f"Bearer {TOKEN}"),)


class Ended(Exception):
    """The call was ended with a status."""


class Context:
    """A call as gRPC shows it."""

    def __init__(self, metadata: Any = BEARER) -> None:
        self._metadata = metadata
        self.code: grpc.StatusCode | None = None
        self.details = ""
        self.callbacks: list[Callable[[], None]] = []
        self.active = True

    def invocation_metadata(self) -> Any:
        return self._metadata

    def is_active(self) -> bool:
        return self.active

    def add_callback(self, callback: Callable[[], None]) -> bool:
        self.callbacks.append(callback)
        return self.active

    def send_initial_metadata(self, metadata: Any) -> None:
        assert metadata == ()

    def abort(self, code: grpc.StatusCode, details: str) -> None:
        self.code, self.details = code, details
        raise Ended(code, details)


class Made(Installation):
    """A servicer and all that it stands on."""

    def __init__(self, *chains: Any, **limits: int) -> None:
        super().__init__(*chains)
        self.watching = Watching(
            self.settings,
            self.catalogue,
            self.book,
            self.cycle,
            Told(),
            self.metrics,
            book_file=None,
            now=lambda: self.now,
            clock=lambda: self.now,
        )
        self.servicer = ValidatorServicer(
            TokenAuthentication(hashlib.sha256(TOKEN.encode()).digest()),
            self.watching,
            self.catalogue,
            self.book,
            self.changes,
            max_validations=limits.get("validations", 2),
            max_watchers=limits.get("watchers", 2),
            parallel=1,
            now=lambda: self.now,
            run=self.validate,
        )

    def validated(self, **request: Any) -> list[Any]:
        return list(self.servicer.Validate(validator_pb2.ValidateRequest(**request), Context()))  # type: ignore[arg-type]

    def listed(self, **request: Any) -> list[Any]:
        return list(self.servicer.ListChains(validator_pb2.ListChainsRequest(**request), Context()))  # type: ignore[arg-type]

    def watch(self, context: Context, **request: Any) -> Iterator[Any]:
        return self.servicer.WatchFindings(validator_pb2.WatchFindingsRequest(**request), context)  # type: ignore[arg-type]


def status_of(call: Callable[[Context], Any], context: Context | None = None) -> grpc.StatusCode:
    made = context or Context()
    with pytest.raises(Ended):
        list(call(made))
    assert made.code is not None
    assert made.details
    return made.code
