"""How many requests an account may make in a region (reference §5.7, *TPS per account+region*).

The state store counts, so that all processes count together. A flood costs it little: who was refused is refused by
this process until then without another question, and what comes while a question is under way is in the next one,
all together.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import NamedTuple
from weakref import WeakValueDictionary

from opentrail_backends.state.port import RequestRates
from opentrail_control_plane.errors import ApiError
from opentrail_control_plane.roles import is_read

_MOST_REMEMBERED = 10_000


class Limit(NamedTuple):
    """So many requests in any window of that length."""

    requests: int
    window_ms: int = 1_000


LIMITS: Mapping[str, Limit] = {
    "read": Limit(10),
    "write": Limit(1),
    "lookup": Limit(2),
    "insights-metric": Limit(1),
    "query": Limit(3),
    "generate-query": Limit(4, 60_000),
    "audit-events": Limit(100),
    "organizations": Limit(10),
    "sts": Limit(100),
}
"""Each class of operations by itself. CloudTrail's numbers; those of the last two services are ours."""

NO_LIMITS: Mapping[str, Limit] = {}

_CLASSES = {
    "LookupEvents": "lookup",
    "ListInsightsData": "lookup",
    "ListInsightsMetricData": "insights-metric",
    "StartQuery": "query",
    "CancelQuery": "query",
    "GenerateQuery": "generate-query",
    "PutAuditEvents": "audit-events",
    "RegisterOrganizationDelegatedAdmin": "read",
    "DeregisterOrganizationDelegatedAdmin": "read",
}


def operation_class(service: str, operation: str) -> str:
    """The class whose limit an operation falls under."""
    if service in {"organizations", "sts"}:
        return service
    return _CLASSES.get(operation) or ("read" if is_read(operation) else "write")


class _Line:
    """Requests of one account, region and class, between two questions to the store."""

    def __init__(self) -> None:
        self.turn = threading.Lock()
        self.waiting: list[Future[bool]] = []


class Rates:
    """Takes requests, or refuses them. Safe for use by several threads."""

    def __init__(
        self,
        store: RequestRates,
        limits: Mapping[str, Limit] = LIMITS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock` gives seconds that only rise. A class that has no limit among `limits` is not limited."""
        self._store = store
        self._limits = limits
        self._clock = clock
        self._refused_until: dict[tuple[str, str, str], float] = {}
        self._lines: WeakValueDictionary[tuple[str, str, str], _Line] = WeakValueDictionary()
        self._lock = threading.Lock()

    def take(self, account_id: str, region: str, service: str, operation: str) -> None:
        """Takes one request of an operation. Raises ApiError, ThrottlingException, and StateError."""
        name = operation_class(service, operation)
        limit = self._limits.get(name)
        if limit is None:
            return
        key = (account_id, region, name)
        if self._clock() < self._refused_until.get(key, 0.0):
            raise _throttled()
        if not self._ask(key, limit):
            raise _throttled()

    def _ask(self, key: tuple[str, str, str], limit: Limit) -> bool:
        """Whether one request is taken. Who comes first asks for all that are in line by then."""
        mine: Future[bool] = Future()
        with self._lock:
            line = self._lines.setdefault(key, _Line())
            line.waiting.append(mine)
        with line.turn:
            if not mine.done():
                with self._lock:
                    together, line.waiting = line.waiting, []
                self._ask_for_all(together, key, limit)
        return mine.result()

    def _ask_for_all(self, together: list[Future[bool]], key: tuple[str, str, str], limit: Limit) -> None:
        try:
            taken, wait_ms = self._store.take(*key, limit.requests, limit.window_ms, len(together))
        except BaseException as error:  # each of them raises it
            for one in together:
                one.set_exception(error)
            return
        if taken < len(together):
            self._remember(key, self._clock() + wait_ms / 1000)
        for place, one in enumerate(together):
            one.set_result(place < taken)

    def _remember(self, key: tuple[str, str, str], until: float) -> None:
        with self._lock:
            if len(self._refused_until) >= _MOST_REMEMBERED:
                now = self._clock()
                still = {known: end for known, end in self._refused_until.items() if end > now}
                # Forgetting costs a question to the store, nothing else.
                self._refused_until = still if len(still) < _MOST_REMEMBERED else {}
            self._refused_until[key] = until


def _throttled() -> ApiError:
    return ApiError("ThrottlingException", "Rate exceeded")
