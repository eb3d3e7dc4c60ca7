"""Stand-ins for what a chain's process asks of: an event bus, and threads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from typing import Any

from opentrail_backends.event_bus.port import Bounds, Partition, Topic


class Inline(Executor):
    """Does at once what is submitted."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as error:
            future.set_exception(error)
        return future


class Bus:
    """As much of an event bus as a builder asks for: topics and where they end."""

    def __init__(self, *regions: str) -> None:
        self.of_region = {region: Topic(region, f"events-{region}", f"topic-{region}", 1) for region in regions}
        self.ends = dict.fromkeys(regions, 0)

    def topics(self) -> Mapping[str, Topic]:
        return self.of_region

    def lag(self, _group: str) -> Mapping[Partition, tuple[None, Bounds]]:
        return {Partition(region, 0): (None, Bounds(0, end)) for region, end in self.ends.items()}
