"""What is in the book is there again after a restart, and a damaged file is told."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from opentrail_validator import Finding, Kind, Subject
from opentrail_validator.service.book import BookContent
from opentrail_validator.service.book_file import BookUnusable, read_book, write_book
from tests.unit.validator.service.fakes import Installation, log_finding, watched

CUT = b'{"version": 1, "book": {"chains": {"a\xff": {}}}}'


def content() -> BookContent:
    made = Installation(watched(), watched(region="us-east-1"))
    odd = Finding(Kind.PLANTED, Subject.LOG_FILE, "logs", "a\udc80/ü", "d", 1, 2, 3, 4)
    made.run(log_finding(events=5, size=6), odd)
    made.run()
    return made.book.content


def test_what_is_kept_is_read_again(tmp_path: Path) -> None:
    made = content()
    write_book(tmp_path / "book.json", made)
    again = read_book(tmp_path / "book.json")
    assert again.cycle == made.cycle == 2
    assert again.chains.keys() == made.chains.keys()
    assert [each.finding.key for each in again.untold.changes][1:2] == ["a\\udc80/ü"]
    assert stat.S_IMODE((tmp_path / "book.json").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["book.json"]


def test_every_field_is_kept(tmp_path: Path) -> None:
    made = Installation()
    made.run(log_finding(events=5, size=6, detail="d", start=1, end=2))
    write_book(tmp_path / "book.json", made.book.content)
    assert read_book(tmp_path / "book.json") == made.book.content


def test_without_a_file_the_book_is_empty(tmp_path: Path) -> None:
    assert read_book(tmp_path / "none.json") == BookContent()


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b'{"version": 1}', b'{"version": 1, "book": {"chains": 5}}', b"\xff", CUT]
)
def test_a_damaged_file_is_told_with_what_to_do(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "book.json").write_bytes(data)
    with pytest.raises(BookUnusable, match="Move it away"):
        read_book(tmp_path / "book.json")


def test_a_file_of_a_later_release_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "book.json").write_bytes(b'{"version": 2, "book": {}}')
    with pytest.raises(BookUnusable, match="version 2"):
        read_book(tmp_path / "book.json")


def test_what_cannot_be_written_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "book.json"
    write_book(path, BookContent(cycle=1))

    def fails(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(BookUnusable, match="No space left"):
        write_book(path, BookContent(cycle=2))
    assert read_book(path).cycle == 1
    assert [each.name for each in tmp_path.iterdir()] == ["book.json"]


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(BookUnusable, match="cannot be read"):
        read_book(tmp_path)
