"""What someone who writes to the bucket, or a broken clock, must not make of a cycle."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from opentrail_validator import Finding, Kind, Subject
from opentrail_validator.readers.port import ApiNotReached
from opentrail_validator.service.book_file import read_book, write_book
from tests.unit.validator.service.fakes import DAY, HOUR, NOW, SINCE, Installation, digest, log_finding, watched


def test_digests_that_a_first_pass_could_not_read_are_read_by_the_next() -> None:
    made = Installation()
    made.validate.first = SINCE + 40 * DAY
    made.run(Finding(Kind.NOT_CHECKED, Subject.DIGEST, "logs", "a"))
    made.validate.first = SINCE
    made.run()
    assert [questions[0].start for questions in made.validate.asked] == [SINCE - HOUR, SINCE - HOUR]
    assert made.book.memory(watched()).covered_from == SINCE


def test_another_digest_in_the_place_of_the_newest_stays_open() -> None:
    made, chain = Installation(), watched()
    made.run()
    known = made.book.memory(chain).newest
    assert known is not None
    forged = digest(chain, known.end, "ee" * 32)
    scripted = made.validate.result
    made.validate.result = lambda question: replace(scripted(question), newest=forged)  # type: ignore[method-assign]
    valid = Finding(Kind.VALID, Subject.DIGEST, forged.bucket, forged.key)
    opened, _ = made.run(valid)
    assert [finding.kind for finding in opened] == [Kind.CHAIN_BROKEN]
    assert made.run(valid) == ([], [])


def test_a_clock_that_was_set_back_makes_nothing_missing() -> None:
    made = Installation()
    made.run()
    known = made.book.memory(watched()).newest
    made.now -= DAY
    assert made.run() == ([], [])
    assert made.book.memory(watched()).newest == known
    made.now += DAY
    made.validate.newest_ago = 5 * HOUR
    assert [finding.kind for finding in made.run()[0]] == [Kind.NEWEST_MISSING]


def test_what_a_forged_object_says_of_itself_is_kept_only_in_part() -> None:
    made = Installation()
    made.run(log_finding(Kind.UNKNOWN_KEY, detail="f" * 50_000_000))
    (each,) = made.book.memory(watched()).open
    assert 1_000 <= len(each.finding.detail) < 1_010


def test_a_name_with_line_breaks_makes_no_line_of_its_own_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    made = Installation()
    made.run(Finding(Kind.MALFORMED, Subject.DIGEST, "logs", "a\n2026-04-01 [info] all is well\x1b[2J"))
    assert "malformed" in caplog.text
    assert r"s3://logs/a\n2026-04-01 [info] all is well\x1b[2J" in caplog.text


def test_a_reason_that_is_no_unicode_can_be_kept_and_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    made = Installation()
    made.validate.failures = {"eu-west-1": ApiNotReached("no file \udcff" + "x" * 5_000)}
    made.run()
    write_book(tmp_path / "book.json", made.book.content)
    (memory,) = read_book(tmp_path / "book.json").chains.values()
    assert memory.failure.startswith(r"no file \udcff")
    assert caplog.text.encode().count(b"x") < 1_010
    assert (len(memory.failure) < 1_010, memory.checked_at) == (True, NOW + HOUR)
