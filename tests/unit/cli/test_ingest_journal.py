"""The journal of `opentrail ingest`: what it holds, whom it refuses, and that it is never half written."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from opentrail_cli.errors import CommandFailed
from opentrail_cli.ingest_journal import JournalFile, open_journal

SHA256_OF_ONE = "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b"
Make = Callable[..., list[Path]]


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "journal"


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def files(**contents: str) -> list[Path]:
        paths = [tmp_path / f"{name}.json" for name in contents]
        for path, content in zip(paths, contents.values(), strict=True):
            path.write_text(content)
        return paths

    return files


def client_id_of(journal: Path, files: Sequence[Path]) -> bytes:
    with open_journal(journal, files) as opened:
        return opened.client_id


def refused(journal: Path, files: Sequence[Path]) -> str:
    before = journal.read_bytes()
    with pytest.raises(CommandFailed) as caught, open_journal(journal, files):
        pytest.fail("it was opened")
    assert journal.read_bytes() == before
    return str(caught.value)


def test_it_is_on_disk_before_anything_is_sent_and_keeps_its_id(journal: Path, make: Make) -> None:
    files = make(a="1", b="2")
    with open_journal(journal, files[:1]) as opened:
        content = json.loads(journal.read_bytes())
        assert content == {
            "version": 1,
            "clientId": opened.client_id.hex(),
            "files": [{"name": "a.json", "sha256": SHA256_OF_ONE}],
        }
        assert len(opened.client_id) == 16
    first = journal.read_bytes()
    assert client_id_of(journal, files[:1]) == opened.client_id
    assert journal.read_bytes() == first
    with open_journal(journal, files) as more:
        assert more.client_id == opened.client_id
        assert [file.name for file in more.files] == ["a.json", "b.json"]
        assert more.files[0] == JournalFile("a.json", SHA256_OF_ONE)
    assert client_id_of(journal, files) == opened.client_id
    assert sorted(path.name for path in journal.parent.iterdir()) == ["a.json", "b.json", "journal"]


def test_two_journals_have_two_ids(tmp_path: Path, make: Make) -> None:
    files = make(a="1")
    assert client_id_of(tmp_path / "one", files) != client_id_of(tmp_path / "two", files)


def test_files_that_moved_to_another_folder_are_the_same(journal: Path, make: Make, tmp_path: Path) -> None:
    (file,) = make(a="1")
    known = client_id_of(journal, [file])
    (tmp_path / "folder").mkdir()
    assert client_id_of(journal, [file.rename(tmp_path / "folder" / "a.json")]) == known


def test_a_file_that_changed_is_refused(journal: Path, make: Make) -> None:
    files = make(a="1", b="2")
    client_id_of(journal, files)
    files[1].write_text("22")
    said = refused(journal, files)
    assert f"{files[1]} has changed since the journal {journal} noted it" in said
    assert "Put back what it was and repeat the command" in said


def test_other_files_another_order_and_fewer_files_are_refused(journal: Path, make: Make) -> None:
    a, b, c = make(a="1", b="2", c="3")
    client_id_of(journal, [a, b])
    assert f"File 1 of the journal {journal} is a.json, and {b} was given in its place" in refused(journal, [b, a])
    assert f"File 2 of the journal {journal} is b.json, and {c} was given" in refused(journal, [a, c, b])
    assert "names 2 files, and 1 were given; the next is b.json" in refused(journal, [a])
    client_id_of(journal, [a, b, c])


def test_a_file_with_another_ending_is_another_file_though_its_bytes_are_the_same(journal: Path, make: Make) -> None:
    (file,) = make(a="1")
    client_id_of(journal, [file])
    assert "was given in its place" in refused(journal, [file.rename(file.with_suffix(".jsonl"))])


@pytest.mark.parametrize("name", ["missing.json", "."])
def test_with_a_file_that_cannot_be_read_nothing_is_begun(journal: Path, make: Make, name: str) -> None:
    (file,) = make(a="1")
    with (
        pytest.raises(CommandFailed, match="With a journal every file must be readable"),
        open_journal(journal, [file, file.parent / name]),
    ):
        pytest.fail("it was opened")
    assert not journal.exists()


def test_what_can_be_read_only_once_is_refused(journal: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.json"
    os.mkfifo(pipe)
    end = os.open(pipe, os.O_RDWR)
    try:
        with pytest.raises(CommandFailed, match="no file that can be read again"), open_journal(journal, [pipe]):
            pytest.fail("it was opened")
    finally:
        os.close(end)


@pytest.mark.parametrize(
    "content",
    [
        '{"Records": []}',
        "[1]",
        "{",
        "\x00",
        '{"version": 1, "clientId": "xy", "files": []}',
        '{"version": 1, "clientId": 7, "files": []}',
        '{"version": 1, "clientId": "00", "files": [], "more": 1}',
        "[" * 100_000,
    ],
)
def test_what_is_no_journal_is_never_written_over(journal: Path, make: Make, content: str) -> None:
    journal.write_text(content)
    assert "is no journal of `opentrail ingest`" in refused(journal, make(a="1"))


@pytest.mark.parametrize("change", [{"version": 2}, {"clientId": "00" * 15}])
def test_a_journal_of_another_release_is_refused(journal: Path, make: Make, change: dict[str, object]) -> None:
    client_id_of(journal, make(a="1"))
    journal.write_text(json.dumps({**json.loads(journal.read_bytes()), **change}))
    assert "written by another release" in refused(journal, make(a="1"))


def test_a_journal_that_was_only_just_begun_is_empty(journal: Path, make: Make) -> None:
    journal.write_bytes(b"")
    assert client_id_of(journal, make(a="1")) == client_id_of(journal, make(a="1"))


def test_only_one_run_uses_it(journal: Path, make: Make) -> None:
    files = make(a="1", b="2")
    with open_journal(journal, files[:1]):
        assert "Another run uses the journal" in refused(journal, files)
    with open_journal(journal, files):
        assert "Another run uses the journal" in refused(journal, files)
    client_id_of(journal, files)


def test_a_place_where_nothing_can_be_written_is_said(make: Make, tmp_path: Path) -> None:
    with (
        pytest.raises(CommandFailed, match="cannot be used: No such file"),
        open_journal(tmp_path / "nowhere" / "journal", make(a="1")),
    ):
        pytest.fail("it was opened")


def test_a_new_journal_takes_the_old_ones_place_whole_and_durably(
    journal: Path, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = make(a="1", b="2")
    known = client_id_of(journal, files[:1])
    done: list[str] = []
    replace, sync = Path.replace, os.fsync

    def replaced(self: Path, target: Path) -> Path:
        assert json.loads(self.read_bytes())["clientId"] == known.hex()
        done.append("replace")
        return replace(self, target)

    def synced(descriptor: int) -> None:
        done.append("sync folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "sync file")
        sync(descriptor)

    monkeypatch.setattr(Path, "replace", replaced)
    monkeypatch.setattr(os, "fsync", synced)
    client_id_of(journal, files)
    assert done == ["sync file", "replace", "sync folder"]


def test_a_run_that_died_while_it_wrote_the_journal_harms_nothing(
    journal: Path, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = make(a="1", b="2")
    known = client_id_of(journal, files[:1])

    class Died(BaseException):
        pass

    def die(*_: object) -> None:
        raise Died

    for place, name in ((os, "fsync"), (Path, "replace")):
        with monkeypatch.context() as patched:
            patched.setattr(place, name, die)
            with pytest.raises(Died), open_journal(journal, files):
                pytest.fail("it was opened")
    assert client_id_of(journal, files[:1]) == known
    assert client_id_of(journal, files) == known


def test_only_the_content_that_was_noted_is_ever_sent(journal: Path, make: Make) -> None:
    a, b = make(a="1", b="2")
    with open_journal(journal, [a, b]) as opened:
        with opened.content(0, a) as content:
            a.write_text("changed")
            assert content.read() == b"1"
        b.write_text("changed")
        with pytest.raises(CommandFailed, match="has changed since"), opened.content(1, b):
            pytest.fail("it was opened")
