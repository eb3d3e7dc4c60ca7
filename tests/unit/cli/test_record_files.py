from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from opentrail_cli.record_files import FoundRecord, UnreadableFile, records_in

ODD = b'{ "awsRegion" :"eu-west-1","recipientAccountId":"111122223333", "n": 1.0e2, "u":"\\u00e9\xc3\xa9" }'


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


@pytest.mark.parametrize("name", ["a.json", "a.json.gz"])
@pytest.mark.parametrize("form", [b'{"Records": [%s , {}]}', b"[%s , {}]", b'{"Other":1,"Records":[%s,{}]}'])
def test_records_of_a_log_file_keep_their_bytes(tmp_path: Path, name: str, form: bytes) -> None:
    file = write(tmp_path / name, form % ODD)
    assert list(records_in(file)) == [
        FoundRecord(file, 1, ODD, "111122223333", "eu-west-1"),
        FoundRecord(file, 2, b"{}", None, None),
    ]


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
def test_lines_keep_their_bytes_and_their_numbers(tmp_path: Path, name: str) -> None:
    file = write(tmp_path / name, b"\n" + ODD + b"\r\n\n" + ODD)
    assert [(found.position, found.record) for found in records_in(file)] == [(2, ODD), (4, ODD)]


def test_a_line_that_is_no_json_goes_to_the_service_all_the_same(tmp_path: Path) -> None:
    file = write(tmp_path / "a.jsonl", b'{"awsRegion": 7, "recipientAccountId": null}\n{broken\n\xff\n')
    assert [(found.record[:2], found.account_id, found.region) for found in records_in(file)] == [
        (b'{"', None, None),
        (b"{b", None, None),
        (b"\xff", None, None),
    ]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.txt", b"{}", "its name must end with"),
        ("a.json", b"{}", "neither"),
        ("a.json", b'{"Records": {}}', "neither"),
        ("a.json", b"{", "neither"),
        ("a.json", b"", "neither"),
        ("a.json", b"[" * 100_000, "neither"),
        ("b.json.gz", None, "No such file"),
    ],
)
def test_files_that_cannot_be_read(tmp_path: Path, name: str, content: bytes | None, said: str) -> None:
    if content is not None:
        write(tmp_path / name, content)
    with pytest.raises(UnreadableFile, match=said):
        list(records_in(tmp_path / name))


@pytest.mark.parametrize("suffix", [".json.gz", ".jsonl.gz"])
def test_a_gzip_file_that_is_cut_off_damaged_or_none(tmp_path: Path, suffix: str) -> None:
    whole = gzip.compress(json.dumps({"Records": [{"a": "b" * 1000}]}).encode())
    file = tmp_path / f"a{suffix}"
    for content in (whole[:-9], whole[:30] + b"\0\0\0" + whole[33:], b"not gzip"):
        file.write_bytes(content)
        with pytest.raises(UnreadableFile, match="no whole gzip file"):
            list(records_in(file))


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "a.json").mkdir()
    with pytest.raises(UnreadableFile, match="directory"):
        list(records_in(tmp_path / "a.json"))


@pytest.mark.parametrize("name", ["a.json", "a.json.gz", "a.jsonl", "a.jsonl.gz"])
def test_a_copy_is_read_in_the_files_place(tmp_path: Path, name: str) -> None:
    file = write(tmp_path / name, b"[" + ODD + b"]" if "jsonl" not in name else ODD)
    with file.open("rb") as content:
        copied = list(records_in(tmp_path / "gone" / name, content))
    assert [found.record for found in copied] == [found.record for found in records_in(file)] == [ODD]
