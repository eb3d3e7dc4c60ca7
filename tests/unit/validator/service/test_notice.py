"""What a notice says, and that it fits into a message whatever there is to tell."""

from __future__ import annotations

import json

from opentrail_validator import Kind
from opentrail_validator.service.book import BookContent
from opentrail_validator.service.notice import MOST_BYTES, notice
from tests.unit.validator.service.fakes import ARN, NOW, Installation, log_finding, watched


def told(content: BookContent) -> dict[str, object]:
    text = notice(content, {watched().id: watched()}, NOW)
    assert len(text) <= MOST_BYTES
    return dict(json.loads(text))


def test_what_a_notice_says() -> None:
    made, bad = Installation(), log_finding(detail="it differs", events=5, size=6)
    made.run(bad)
    made.run(log_finding(Kind.VALID))
    fields = {
        "trailARN": ARN,
        "awsAccountId": "111122223333",
        "region": "eu-west-1",
        "kind": "hash-mismatch",
        "severity": "critical",
        "subject": "log",
        "s3Bucket": "logs",
        "s3Object": bad.key,
        "detail": "it differs",
        "events": 5,
        "bytes": 6,
    }
    assert told(made.book.content) == {
        "noticeVersion": 1,
        "source": "opentrail-validator",
        "notice": 1,
        "time": "2026-04-01T00:00:00Z",
        "openedCount": 1,
        "repairedCount": 1,
        "openCount": 0,
        "opened": [{**fields, "time": "2026-04-01T01:00:00Z"}],
        "repaired": [{**fields, "time": "2026-04-01T02:00:00Z"}],
    }


def test_a_time_is_told_with_its_span() -> None:
    made = Installation()
    made.run(log_finding(start=NOW, end=NOW + 60))
    opened = told(made.book.content)["opened"]
    assert isinstance(opened, list)
    assert (opened[0]["startTime"], opened[0]["endTime"]) == ("2026-04-01T00:00:00Z", "2026-04-01T00:01:00Z")
    assert "events" not in opened[0]


def test_of_very_many_changes_the_first_are_told_and_all_are_counted() -> None:
    chains = [watched(account=f"{number:012}") for number in range(12)]
    made = Installation(*chains)
    many = [log_finding(name=f"{number:016}", detail="\x00\udc80" * 5_000) for number in range(150)]
    made.run(*many)
    body = told(made.book.content)
    assert (body["openedCount"], body["openCount"]) == (12 * 150, 12 * 150)
    assert isinstance(body["opened"], list)
    assert 5 <= len(body["opened"]) <= 100
