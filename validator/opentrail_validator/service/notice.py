"""A notice: what a notification's body says, as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from opentrail.evidence.times import format_time
from opentrail_validator.findings import Finding
from opentrail_validator.service.book import BookContent
from opentrail_validator.service.open_findings import Change, What
from opentrail_validator.service.port import WatchedChain

NOTICE_VERSION: Final = 1
MOST_BYTES: Final = 200_000
"""Amazon SNS takes 256 KiB."""
_MOST_TOLD: Final = 100


def notice(content: BookContent, chains: Mapping[str, WatchedChain], at: int) -> str:
    """The notice of all that is untold: the first changes one by one, and how many there are in all.

    `at` is the time in epoch seconds. The same notice that comes twice has the same `notice` number.
    """
    untold = content.untold
    opened = [change for change in untold.changes if change.what is What.OPENED]
    repaired = [change for change in untold.changes if change.what is What.REPAIRED]
    body = {
        "noticeVersion": NOTICE_VERSION,
        "source": "opentrail-validator",
        "notice": content.notice + 1,
        "time": format_time(at),
        "openedCount": len(opened) + untold.opened_beyond,
        "repairedCount": len(repaired) + untold.repaired_beyond,
        "openCount": sum(len(memory.open) + memory.beyond for memory in content.chains.values()),
        "opened": _told(opened, chains),
        "repaired": _told(repaired, chains),
    }
    return _bounded(body)


def _told(changes: Sequence[Change], chains: Mapping[str, WatchedChain]) -> list[dict[str, Any]]:
    return [_one(change, chains.get(change.chain)) for change in changes[:_MOST_TOLD]]


def _one(change: Change, chain: WatchedChain | None) -> dict[str, Any]:
    of_chain = {
        "trailARN": chain.trail_arn if chain else change.chain.partition(" ")[0],
        "awsAccountId": chain.place.account_id if chain else None,
        "region": chain.place.region if chain else None,
    }
    return {**of_chain, **finding_fields(change.finding), "time": format_time(change.at)}


def finding_fields(finding: Finding) -> dict[str, Any]:
    """A finding's fields; what is not known is left out."""
    fields = {
        "kind": str(finding.kind),
        "severity": str(finding.kind.severity),
        "subject": str(finding.subject),
        "s3Bucket": finding.bucket,
        "s3Object": finding.key,
        "detail": finding.detail or None,
        "startTime": None if finding.start is None else format_time(finding.start),
        "endTime": None if finding.end is None else format_time(finding.end),
        "events": finding.events,
        "bytes": finding.size,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _bounded(body: dict[str, Any]) -> str:
    """Fewer changes are told one by one until the text fits: the counts tell of the others."""
    text = json.dumps(body)
    while len(text) > MOST_BYTES:
        longer = max("opened", "repaired", key=lambda name: len(body[name]))
        body[longer] = body[longer][: len(body[longer]) // 2]
        text = json.dumps(body)
    return text
