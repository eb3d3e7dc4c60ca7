"""The service's values as messages of the contract."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any

from opentrail_validator.findings import Finding, Verdict
from opentrail_validator.generated import validator_pb2
from opentrail_validator.run import ChainFailure
from opentrail_validator.service.book import ChainMemory
from opentrail_validator.service.failures import reason_of
from opentrail_validator.service.open_findings import Change, OpenFinding, What
from opentrail_validator.service.port import WatchedChain
from opentrail_validator.service.tally import Tally
from opentrail_validator.service.texts import as_unicode, bounded
from opentrail_validator.walked import ChainResult, VerifiedDigest

CHANGES = {What.OPENED: validator_pb2.CHANGE_OPENED, What.REPAIRED: validator_pb2.CHANGE_REPAIRED}


def enum_value(value: StrEnum) -> Any:
    """A member of findings' closed lists as the contract has it: Kind.NOT_FOUND is KIND_NOT_FOUND."""
    name = f"{type(value).__name__}_{value.name}".upper()
    return getattr(validator_pb2, name)


def chain_message(chain: WatchedChain) -> validator_pb2.Chain:
    """Which chain it is."""
    place = chain.place
    return validator_pb2.Chain(
        trail_arn=chain.trail_arn,
        account_id=place.account_id,
        region=place.region,
        bucket=place.bucket,
        folder=place.folder,
    )


def finding_message(finding: Finding) -> validator_pb2.Finding:
    """A finding."""
    return validator_pb2.Finding(
        kind=enum_value(finding.kind),
        verdict=enum_value(finding.verdict),
        severity=enum_value(finding.kind.severity),
        subject=enum_value(finding.subject),
        bucket=finding.bucket,
        key=as_unicode(finding.key),
        detail=bounded(finding.detail),
        start=finding.start,
        end=finding.end,
        events=finding.events,
        size=finding.size,
    )


def status_message(chain: WatchedChain, memory: ChainMemory) -> validator_pb2.ListChainsResponse:
    """What is known of a chain."""
    return validator_pb2.ListChainsResponse(
        chain=chain_message(chain),
        verdict=enum_value(_verdict_of(memory)),
        checked_at=memory.checked_at,
        unchecked=memory.unchecked,
        failure=bounded(memory.failure),
        newest=digest_message(memory.newest),
        open=[
            validator_pb2.OpenFinding(finding=finding_message(each.finding), opened_at=each.opened_at)
            for each in memory.open
        ],
        open_beyond=memory.beyond,
    )


def change_message(chain: WatchedChain, change: Change) -> validator_pb2.WatchFindingsResponse:
    """What happened to a finding."""
    return validator_pb2.WatchFindingsResponse(
        change=CHANGES[change.what],
        chain=chain_message(chain),
        finding=finding_message(change.finding),
        at=change.at,
    )


def open_message(chain: WatchedChain, each: OpenFinding) -> validator_pb2.WatchFindingsResponse:
    """A finding that was open already."""
    return validator_pb2.WatchFindingsResponse(
        change=validator_pb2.CHANGE_OPEN,
        chain=chain_message(chain),
        finding=finding_message(each.finding),
        at=each.opened_at,
    )


def chain_summary_message(tally: Tally, answer: ChainResult | ChainFailure) -> validator_pb2.ChainSummary:
    """What a validation of a chain came to."""
    if not isinstance(answer, ChainResult):
        verdict, failure = enum_value(Verdict.UNCHECKED), reason_of(answer)
        return validator_pb2.ChainSummary(counts=counts_message(tally), verdict=verdict, failure=failure)
    return validator_pb2.ChainSummary(
        counts=counts_message(tally),
        verdict=enum_value(tally.verdict),
        covered=[validator_pb2.Span(start=span.start, end=span.end) for span in answer.covered],
        newest=digest_message(answer.newest),
    )


def summary_message(tally: Tally, chains: Sequence[WatchedChain]) -> validator_pb2.Summary:
    """What a validation of all chains came to."""
    return validator_pb2.Summary(counts=counts_message(tally), verdict=enum_value(tally.verdict), chains=len(chains))


def counts_message(tally: Tally) -> validator_pb2.Counts:
    """Counts of findings."""
    return validator_pb2.Counts(
        digests=tally.digests,
        log_files=tally.log_files,
        bytes=tally.size,
        invalid=tally.invalid,
        unchecked=tally.unchecked,
        notes=tally.notes,
    )


def digest_message(digest: VerifiedDigest | None) -> validator_pb2.VerifiedDigest | None:
    """A digest that was verified."""
    if digest is None:
        return None
    return validator_pb2.VerifiedDigest(
        bucket=digest.bucket,
        key=digest.key,
        start=digest.start,
        end=digest.end,
        sha256=digest.sha256,
        fingerprint=digest.fingerprint,
    )


def _verdict_of(memory: ChainMemory) -> Verdict:
    if memory.open or memory.beyond:
        return Verdict.INVALID
    if memory.unchecked or memory.failure or memory.checked_at is None:
        return Verdict.UNCHECKED
    return Verdict.VALID
