"""Cycle after cycle: when they run, what is kept, and that a notice is given until it is taken over."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from opentrail_validator import Finding, Kind
from opentrail_validator.readers.port import ApiNotReached
from opentrail_validator.service.book import Book
from opentrail_validator.service.book_file import read_book, write_book
from opentrail_validator.service.watching import Watching
from tests.unit.validator.service.fakes import HOUR, Installation, Told, log_finding, watched


class Run(Installation):
    """Watching at a time that moves while it waits; ends after some hours."""

    def __init__(self, folder: Path | None = None, book: Book | None = None, **settings: Any) -> None:
        super().__init__(book=book, **settings)
        self.told = Told()
        self.waits: list[float] = []
        self.during: Callable[[], None] = lambda: None
        self.began = self.now
        self.watching = Watching(
            self.settings,
            self.catalogue,
            self.book,
            self.cycle,
            self.told,
            self.metrics,
            book_file=folder / "book.json" if folder else None,
            now=lambda: self.now,
            clock=lambda: self.now,
            wait=self.wait,
        )

    def hours(self, hours: float) -> None:
        self.until = self.now + hours * HOUR
        self.watching.run()

    def wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        self.now += seconds
        self.during()
        return self.now >= self.until

    def will_find(self, *findings: Finding) -> None:
        self.validate.findings = {"eu-west-1": list(findings)}

    def restarted(self, folder: Path) -> Run:
        """Another process, a while later: the same bucket and book file."""
        again = Run(folder, Book(read_book(folder / "book.json")))
        again.now = self.now + 600
        again.validate.were_newest = self.validate.were_newest
        return again


def notices(run: Run) -> list[tuple[int, list[str], list[str]]]:
    return [
        (each["notice"], [one["kind"] for one in each["opened"]], [one["kind"] for one in each["repaired"]])
        for each in run.told.messages
    ]


def test_a_cycle_begins_when_the_last_one_began_and_the_interval_is_over() -> None:
    run = Run(cycle_seconds=HOUR)
    run.validate.findings = {"eu-west-1": [log_finding(Kind.VALID)]}

    def takes_ten_minutes() -> None:
        run.now += 600

    run.validate.at_answer = takes_ten_minutes
    run.hours(3)
    asked = [questions[0].now - run.began for questions in run.validate.asked]
    assert asked == [0, HOUR, 2 * HOUR]
    # The second and third pass also tell of the digests that were the newest before, each ten minutes more.
    assert run.waits == [HOUR - 600, HOUR - 1200, HOUR - 1800]


def test_a_cycle_that_takes_too_long_is_followed_at_once() -> None:
    run = Run(cycle_seconds=HOUR)
    run.validate.findings = {"eu-west-1": [log_finding(Kind.VALID)]}
    lasts = [5000.0, 10.0]

    def takes() -> None:
        run.now += lasts.pop(0) if lasts else 0

    run.validate.at_answer = takes
    run.hours(2)
    assert [questions[0].now - run.began for questions in run.validate.asked][:2] == [0, 5000]


def test_one_notice_a_cycle_tells_what_changed() -> None:
    run = Run()
    run.will_find(log_finding(), log_finding(Kind.NOT_FOUND, "B" * 16))
    run.during = lambda: run.will_find(log_finding())
    run.hours(3)
    assert notices(run) == [(1, ["hash-mismatch", "not-found"], []), (2, [], ["not-found"])]


def test_where_nothing_changed_nobody_is_told() -> None:
    run = Run()
    run.hours(3)
    assert run.told.messages == []


def test_a_notice_that_was_not_taken_is_given_again_before_the_next_cycle() -> None:
    run = Run(retry_seconds=60)
    run.told.refusals = 3
    run.will_find(log_finding())
    run.hours(1)
    assert run.waits == [60, 60, 60, HOUR - 180]
    assert notices(run) == [(1, ["hash-mismatch"], [])]


def test_a_fault_of_who_is_told_ends_no_watching() -> None:
    run = Run(retry_seconds=60)
    faults = [RuntimeError("a fault")] * 3
    told = run.told.notify

    def notify(message: str) -> None:
        if faults:
            raise faults.pop()
        told(message)

    run.told.notify = notify  # type: ignore[method-assign]
    run.will_find(log_finding())
    run.hours(2)
    assert len(run.validate.asked) == 2
    assert notices(run) == [(1, ["hash-mismatch"], [])]


def test_what_was_open_before_a_restart_is_shown_while_the_first_cycle_takes_its_time(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.will_find(log_finding())
    run.hours(1)
    again = run.restarted(tmp_path)
    shown: list[tuple[float | None, float | None]] = []

    def look() -> None:
        labels = {"kind": "hash-mismatch", "severity": "critical"}
        value = again.registry.get_sample_value
        shown.append((value("opentrail_validator_findings_open", labels), value("opentrail_validator_chains")))

    again.validate.at_answer = look
    again.will_find(log_finding())
    again.hours(1)
    assert shown[0] == (1, 1)


def test_what_was_not_told_is_told_after_a_restart(tmp_path: Path) -> None:
    run = Run(tmp_path, retry_seconds=HOUR)
    run.told.refusals = 100
    run.will_find(log_finding())
    run.hours(1)
    assert run.told.messages == []
    again = run.restarted(tmp_path)
    again.will_find(log_finding())
    again.hours(1)
    assert notices(again) == [(1, ["hash-mismatch"], [])]
    third = again.restarted(tmp_path)
    third.will_find(log_finding())
    third.hours(1)
    assert third.told.messages == []


def test_what_was_opened_before_a_crash_within_a_cycle_is_opened_again(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.hours(1)
    run.will_find(log_finding())
    run.cycle.run(run.catalogue.watched, lambda: False)  # and nothing of it was kept
    again = run.restarted(tmp_path)
    again.will_find(log_finding())
    again.hours(1)
    assert notices(again) == [(1, ["hash-mismatch"], [])]


def test_a_book_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    run = Run(tmp_path / "missing")
    run.will_find(log_finding())
    run.hours(2)
    assert len(run.told.messages) == 1


def test_while_the_chains_cannot_be_asked_those_known_are_watched() -> None:
    run = Run()
    run.catalogue.is_away = True
    run.hours(1)
    assert run.validate.asked == []
    run.catalogue.is_away = False
    run.hours(1)
    run.catalogue.is_away = True
    run.will_find(log_finding())
    run.hours(1)
    assert len(run.validate.asked) == 2
    assert notices(run) == [(1, ["hash-mismatch"], [])]


def test_a_cycle_that_breaks_down_is_followed_by_the_next() -> None:
    run = Run()

    def breaks() -> None:
        run.validate.at_answer = lambda: None
        raise RuntimeError("a fault")

    run.validate.at_answer = breaks
    run.will_find(log_finding())
    run.hours(2)
    assert len(run.validate.asked) == 2
    assert notices(run) == [(1, ["hash-mismatch"], [])]


def test_watching_is_overdue_while_no_cycle_ends() -> None:
    run = Run()
    run.hours(1)
    assert not run.watching.is_overdue
    run.catalogue.watched = [watched()]
    run.validate.failures = {"eu-west-1": ApiNotReached("connection reset")}
    run.hours(5)  # cycles end, though nothing could be checked: metrics tell of that
    assert not run.watching.is_overdue
    run.now += 2 * HOUR  # an hour has passed already
    assert not run.watching.is_overdue
    run.now += 1
    assert run.watching.is_overdue


def test_a_stop_ends_a_thread_that_waits() -> None:
    made = Installation()
    watching = Watching(
        made.settings,
        made.catalogue,
        made.book,
        made.cycle,
        Told(),
        made.metrics,
        book_file=None,
        now=lambda: made.now,
        clock=lambda: made.now,
    )
    watching.start()
    assert watching.stop(10)
    assert [chain.id for chain in watching.chains] == [watched().id]


def test_the_book_is_kept_before_anyone_is_told(tmp_path: Path) -> None:
    run = Run(tmp_path)
    kept: list[int] = []

    def notify(_message: str) -> None:
        kept.append(len(read_book(tmp_path / "book.json").untold.changes))

    run.told.notify = notify  # type: ignore[method-assign]
    run.will_find(log_finding())
    run.hours(1)
    assert kept == [1]
    assert read_book(tmp_path / "book.json").untold.changes == ()
    write_book(tmp_path / "book.json", run.book.content)
