"""Every durable step, made to fail: its effect lost, or kept but reported as failed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from opentrail_backends.object_store import port as object_store
from opentrail_backends.state import port as state
from tests.crash.world import Crash


class Effect(StrEnum):
    """What became of the step."""

    LOST = "lost"
    KEPT = "kept but reported as failed"


class Then(StrEnum):
    """What the process does."""

    DIES = "the process dies"
    GOES_ON = "the process is told of the failure and goes on"


@dataclass(frozen=True)
class Step:
    """A durable step: which port does it, and by which call."""

    number: int
    what: str
    port: str
    method: str
    applies: Callable[..., bool] = lambda *_, **__: True

    def error(self) -> Exception:
        """How its port reports that the outcome is not known."""
        return object_store.OutcomeUnknown("injected") if self.port == "store" else state.OutcomeUnknown("injected")


def _is_digest(bucket: str, key: str, *_: Any) -> bool:
    return "/CloudTrail-Digest/" in key


def _is_head(bucket: str, key: str, *_: Any) -> bool:
    return "/OpenTrail-Head/" in key


STEPS = [
    Step(1, "own the partition", "ledger", "own"),
    Step(3, "write the intent", "ledger", "write_intent"),
    Step(4, "put a log file", "store", "put", lambda *args, **_: not (_is_digest(*args) or _is_head(*args))),
    Step(5, "deliver", "ledger", "deliver"),
    Step(6, "commit the offset", "reader", "commit"),
    Step(7, "add the signing key", "public_keys", "add"),
    Step(7, "start the chain", "chains", "ensure_chains"),
    Step(8, "append the digest", "chains", "append"),
    Step(9, "put the digest", "store", "put", _is_digest),
    Step(10, "mark it published, with its head", "chains", "mark_published"),
    Step(11, "put the head", "store", "put", _is_head),
    Step(11, "note that it is put", "chains", "mark_heads_put"),
]


class Faulty:
    """A port whose call fails once, at its first use after `arm`."""

    def __init__(self, port: Any, step: Step, effect: Effect, then: Then) -> None:
        self._port = port
        self._step = step
        self._effect = effect
        self._then = then
        self.fired = False

    def __getattr__(self, name: str) -> Any:
        member = getattr(self._port, name)
        if name != self._step.method:
            return member

        def call(*args: Any, **kwargs: Any) -> Any:
            if self.fired or not self._step.applies(*args, **kwargs):
                return member(*args, **kwargs)
            self.fired = True
            if self._effect is Effect.KEPT:
                member(*args, **kwargs)
            raise Crash if self._then is Then.DIES else self._step.error()

        return call
