"""Reports on made-up runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from opentrail_validator import Checks, Finding, Kind, Question, Span, Subject, TrailPlace
from opentrail_validator.chain_validation import NoPublicKeys
from opentrail_validator.readers.port import ApiNotReached, ApiRefused
from opentrail_validator.reports.port import Report, RunInfo
from opentrail_validator.summary import Origins, Summary
from opentrail_validator.walked import ChainResult

HOUR = 3600
ARN = "arn:aws:cloudtrail:eu-west-1:111122223333:trail/audit"
ACCOUNT = "111122223333"
DIGESTS = (
    f"AWSLogs/{ACCOUNT}/CloudTrail-Digest/eu-west-1/1970/01/01/{ACCOUNT}_CloudTrail-Digest_eu-west-1_audit_eu-west-1_"
)
LOGS = f"AWSLogs/{ACCOUNT}/CloudTrail/eu-west-1/1970/01/01/{ACCOUNT}_CloudTrail_eu-west-1_"
D1, D2 = f"{DIGESTS}19700101T010000Z.json.gz", f"{DIGESTS}19700101T020000Z.json.gz"
L1, L2 = f"{LOGS}19700101T0015Z_A.json.gz", f"{LOGS}19700101T0120Z_B.json.gz"

VALID = Finding(Kind.VALID, Subject.DIGEST, "b", D1, start=-60, end=HOUR)
LOG = Finding(Kind.VALID, Subject.LOG_FILE, "b", L1, events=3, size=30)
BAD = Finding(Kind.HASH_MISMATCH, Subject.LOG_FILE, "b", L2, events=5, size=1200)
LOST = Finding(Kind.NOT_CHECKED, Subject.LOG_FILE, "b", L1, "connection reset")
GAP = Finding(Kind.GAP, Subject.DIGEST, "b", D2, start=0, end=HOUR)
UNCOVERED = Finding(Kind.NOT_COVERED, Subject.CHAIN, "b", "AWSLogs/", "no valid digest", HOUR, 2 * HOUR)

Failure = NoPublicKeys | ApiRefused | ApiNotReached


def question(account: str = ACCOUNT, region: str = "eu-west-1", *, now: int = 24 * HOUR, **checks: bool) -> Question:
    place = TrailPlace(
        bucket="b",
        prefix=None,
        organization_id=None,
        account_id=account,
        region=region,
        trail_name="audit",
        home_region="eu-west-1",
    )
    return Question(trail_arn=ARN, place=place, start=0, end=2 * HOUR, now=now, checks=Checks(**checks))


Chain = tuple[Question, Sequence[Finding], Sequence[Span] | Failure]


def tell(
    report: Report,
    chains: Iterable[Chain],
    *,
    verbose: bool = False,
    has_heads: bool = False,
    origins: Origins | None = None,
    notices: Sequence[str] = (),
) -> Summary:
    """Tells a report of chains: what was asked, what was found, what is covered or why nothing was validated."""
    chains = list(chains)
    summary = Summary()
    questions = [asked for asked, _, _ in chains]
    report.begin(RunInfo(questions, has_heads=has_heads, verbose=verbose, notices=notices))
    for asked, findings, end in chains:
        chain = summary.begin_chain(asked)
        report.begin_chain(asked)
        for finding in findings:
            summary.add(finding)
            report.add(asked, finding)
        failed = isinstance(end, Exception)
        chain.end(end if failed else ChainResult(question=asked, newest=None, covered=tuple(end)))
        report.end_chain(chain)
    summary.origins = origins or Origins({"pinned in keys.json": 2}, are_pinned=True)
    report.finish(summary)
    return summary


def one(*findings: Finding, covered: Sequence[Span] = (Span(0, 2 * HOUR),), **checks: bool) -> list[Chain]:
    """One chain."""
    return [(question(**checks), findings, covered)]
