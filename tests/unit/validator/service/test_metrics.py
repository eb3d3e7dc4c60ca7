"""What Prometheus is shown, with a bounded number of label values."""

from __future__ import annotations

from dataclasses import replace

from prometheus_client import CollectorRegistry

from opentrail_validator import Kind, Span, Verdict
from opentrail_validator.findings import FACTS
from opentrail_validator.service.book import ChainMemory
from opentrail_validator.service.metrics import MOST_LAGS, ValidatorMetrics
from opentrail_validator.service.open_findings import Change, OpenFinding, What
from opentrail_validator.service.port import WatchedChain
from opentrail_validator.service.tally import Tally
from tests.unit.validator.service.fakes import ACCOUNT, ARN, HOUR, NOW, digest, log_finding, watched


class Shown:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.now = float(NOW)
        self.metrics = ValidatorMetrics(self.registry, lambda: self.now)

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"opentrail_validator_{name}", labels)

    def lags(self) -> dict[str, float]:
        name = "opentrail_validator_chain_lag_seconds"
        (metric,) = (each for each in self.registry.collect() if each.name == name)
        return {sample.labels["account_id"]: sample.value for sample in metric.samples}


def memory(chain: WatchedChain, lag: int | None = None, *findings: Kind) -> ChainMemory:
    newest = None if lag is None else digest(chain, NOW - lag)
    return ChainMemory(
        trail_arn=ARN,
        account_id=chain.place.account_id,
        region="eu-west-1",
        newest=newest,
        open=tuple(OpenFinding(log_finding(kind), NOW) for kind in findings),
    )


def test_cycles() -> None:
    shown = Shown()
    shown.metrics.cycle_ended(NOW, 12.5, 0)
    shown.metrics.cycle_ended(NOW + 60, 13.5, 4)
    shown.metrics.cycle_failed()
    outcomes = {name: shown.value("cycles_total", outcome=name) for name in ("complete", "incomplete", "failed")}
    assert outcomes == {"complete": 1, "incomplete": 1, "failed": 1}
    assert shown.value("cycle_duration_seconds") == 13.5
    assert shown.value("last_cycle_timestamp_seconds") == NOW + 60
    assert shown.value("last_complete_cycle_timestamp_seconds") == NOW
    assert shown.value("unchecked") == 4


def test_what_was_checked() -> None:
    shown = Shown()
    shown.metrics.chain_checked(Tally(digests=2, log_files=3, size=400))
    shown.metrics.chain_checked(Tally(digests=1, log_files=1, size=50))
    counts = [shown.value(f"{name}_checked_total") for name in ("digests", "log_files", "bytes")]
    assert counts == [3, 4, 450]


def test_what_is_open_by_kind_and_severity() -> None:
    shown, chain = Shown(), watched()
    shown.metrics.show(
        {chain.id: chain}, {chain.id: memory(chain, HOUR, Kind.PLANTED, Kind.PLANTED, Kind.NOT_FOUND)}, 5
    )
    for kind, facts in FACTS.items():
        expected = {Kind.PLANTED: 2, Kind.NOT_FOUND: 1}.get(kind, 0) if facts.verdict is Verdict.INVALID else None
        assert shown.value("findings_open", kind=kind, severity=facts.severity) == expected
    assert (shown.value("findings_untold"), shown.value("chains")) == (5, 1)
    shown.metrics.show({chain.id: chain}, {chain.id: memory(chain, HOUR)}, 0)
    assert shown.value("findings_open", kind="planted", severity="critical") == 0


def test_what_was_opened_and_repaired() -> None:
    shown = Shown()
    for what in (What.OPENED, What.OPENED, What.REPAIRED):
        shown.metrics.changed(Change(what, "chain", log_finding(), NOW))
    shown.metrics.noticed(True)
    shown.metrics.noticed(False)
    assert shown.value("findings_opened_total", kind="hash-mismatch") == 2
    assert shown.value("findings_repaired_total", kind="hash-mismatch") == 1
    assert shown.value("notices_total", outcome="taken") == shown.value("notices_total", outcome="failed") == 1


def test_the_lag_of_a_chain_grows_while_nobody_looks() -> None:
    shown, chain = Shown(), watched()
    shown.metrics.show({chain.id: chain}, {chain.id: memory(chain, HOUR)}, 0)
    shown.now += 100
    assert shown.lags() == {ACCOUNT: HOUR + 100}
    assert shown.value("chain_lag_greatest_seconds") == HOUR + 100


def test_a_chain_without_digest_or_that_pauses_has_no_lag() -> None:
    shown = Shown()
    new, over = watched(account="1" * 12), watched(account="2" * 12, pauses=(Span(NOW - 5, 1 << 40),))
    shown.metrics.show({new.id: new, over.id: over}, {new.id: memory(new), over.id: memory(over, HOUR)}, 0)
    assert shown.lags() == {}
    assert shown.value("chain_lag_greatest_seconds") is None


def test_of_very_many_chains_those_that_lag_the_most_are_shown() -> None:
    shown = Shown()
    chains = [watched(account=f"{number:012}") for number in range(MOST_LAGS + 50)]
    memories = {chain.id: memory(chain, number) for number, chain in enumerate(chains)}
    shown.metrics.show({chain.id: chain for chain in chains}, memories, 0)
    assert set(shown.lags()) == {f"{number:012}" for number in range(50, MOST_LAGS + 50)}
    assert shown.value("chain_lag_greatest_seconds") == MOST_LAGS + 49


def test_trails_of_one_name_one_after_the_other_are_shown_once() -> None:
    shown, one, other = Shown(), watched(), watched("other")
    memories = {one.id: memory(one, HOUR), other.id: replace(memory(other, 2 * HOUR))}
    shown.metrics.show({one.id: one, other.id: other}, memories, 0)
    assert shown.lags() == {ACCOUNT: 2 * HOUR}
