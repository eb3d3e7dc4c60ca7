"""What the validator counts, for Prometheus. Labels have bounded numbers of values."""

from __future__ import annotations

from collections import Counter as Counts
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from opentrail_validator.findings import FACTS, Verdict
from opentrail_validator.service.book import ChainMemory
from opentrail_validator.service.open_findings import Change, What
from opentrail_validator.service.port import WatchedChain
from opentrail_validator.service.tally import Tally

MOST_LAGS: Final = 200
"""Chains whose lag is shown one by one: those that lag the most. The greatest lag of all is shown beside them."""
_PREFIX = "opentrail_validator_"


class ValidatorMetrics:
    """Metrics of one validator process. `registry` None makes one that nobody reads (tests)."""

    def __init__(self, registry: CollectorRegistry | None, now: Callable[[], float]) -> None:
        registry = registry or CollectorRegistry()
        self._cycles = Counter(
            f"{_PREFIX}cycles",
            "Cycles that ended: complete, incomplete (something could not be checked), failed (which chains there are "
            "is not known).",
            ["outcome"],
            registry=registry,
        )
        self._duration = Gauge(f"{_PREFIX}cycle_duration_seconds", "Of the last cycle that ended.", registry=registry)
        self._last = Gauge(f"{_PREFIX}last_cycle_timestamp_seconds", "When a cycle ended last.", registry=registry)
        self._last_complete = Gauge(
            f"{_PREFIX}last_complete_cycle_timestamp_seconds",
            "When a cycle ended last in which everything could be checked.",
            registry=registry,
        )
        self._chains = Gauge(f"{_PREFIX}chains", "Chains that are watched.", registry=registry)
        self._digests = Counter(f"{_PREFIX}digests_checked", "Digests that were read and checked.", registry=registry)
        self._log_files = Counter(
            f"{_PREFIX}log_files_checked", "Log files that were read and checked.", registry=registry
        )
        self._bytes = Counter(f"{_PREFIX}bytes_checked", "Uncompressed bytes of log files.", registry=registry)
        self._unchecked = Gauge(
            f"{_PREFIX}unchecked", "What could not be checked in the last cycle that ended.", registry=registry
        )
        self._open = Gauge(
            f"{_PREFIX}findings_open", "Open findings, by kind and severity.", ["kind", "severity"], registry=registry
        )
        self._opened = Counter(f"{_PREFIX}findings_opened", "Findings opened, by kind.", ["kind"], registry=registry)
        self._repaired = Counter(
            f"{_PREFIX}findings_repaired", "Findings repaired, by kind.", ["kind"], registry=registry
        )
        self._notices = Counter(
            f"{_PREFIX}notices", "Notices, by what became of them: taken, failed.", ["outcome"], registry=registry
        )
        self._untold = Gauge(
            f"{_PREFIX}findings_untold", "Opened and repaired findings that no notice has told yet.", registry=registry
        )
        self._lags = _Lags(now)
        registry.register(self._lags)
        for kind, facts in FACTS.items():
            if facts.verdict is Verdict.INVALID:
                self._open.labels(kind, facts.severity)

    def chain_checked(self, tally: Tally) -> None:
        """A pass over a chain has ended."""
        self._digests.inc(tally.digests)
        self._log_files.inc(tally.log_files)
        self._bytes.inc(tally.size)

    def changed(self, change: Change) -> None:
        """A finding was opened or repaired."""
        counter = self._opened if change.what is What.OPENED else self._repaired
        counter.labels(change.finding.kind).inc()

    def cycle_ended(self, ended_at: float, seconds: float, unchecked: int) -> None:
        """All chains were passed over."""
        self._cycles.labels("incomplete" if unchecked else "complete").inc()
        self._duration.set(seconds)
        self._last.set(ended_at)
        if not unchecked:
            self._last_complete.set(ended_at)
        self._unchecked.set(unchecked)

    def cycle_failed(self) -> None:
        """It is not known which chains there are."""
        self._cycles.labels("failed").inc()

    def show(self, chains: Mapping[str, WatchedChain], memories: Mapping[str, ChainMemory], untold: int) -> None:
        """Shows what is open, how far each chain is behind, and how much is untold."""
        self._chains.set(len(chains))
        self._untold.set(untold)
        counts = Counts(each.finding.kind for memory in memories.values() for each in memory.open)
        for kind, facts in FACTS.items():
            if facts.verdict is Verdict.INVALID:
                self._open.labels(kind, facts.severity).set(counts[kind])
        self._lags.show(chains, memories)

    def noticed(self, taken: bool) -> None:
        """A notice was taken over, or was not."""
        self._notices.labels("taken" if taken else "failed").inc()


class _Lags(Collector):
    """How far the newest verified digest of each chain lies back, at the time of asking."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._ends: tuple[tuple[int, tuple[str, str, str]], ...] = ()

    def show(self, chains: Mapping[str, WatchedChain], memories: Mapping[str, ChainMemory]) -> None:
        """Chains whose trail logs; one that is paused does not lag."""
        now = int(self._now())
        ends: dict[tuple[str, str, str], int] = {}
        for id_, chain in chains.items():
            newest = memories[id_].newest if id_ in memories else None
            if newest is not None and not any(pause.start <= now < pause.end for pause in chain.pauses):
                labels = (chain.trail_arn, chain.place.account_id, chain.place.region)
                ends[labels] = min(newest.end, ends.get(labels, newest.end))
        self._ends = tuple(sorted((end, labels) for labels, end in ends.items()))

    def collect(self) -> Iterator[Metric]:
        """The metrics, made when they are asked for."""
        now = self._now()
        lags = GaugeMetricFamily(
            f"{_PREFIX}chain_lag_seconds",
            f"Now less the end of a chain's newest verified digest; the {MOST_LAGS} greatest.",
            labels=["trail_arn", "account_id", "region"],
        )
        for end, labels in self._ends[:MOST_LAGS]:
            lags.add_metric(labels, now - end)
        yield lags
        if self._ends:
            yield GaugeMetricFamily(
                f"{_PREFIX}chain_lag_greatest_seconds", "The greatest lag of all chains.", now - self._ends[0][0]
            )
