"""Files that keys and tokens lie in: private, whole, never replaced, and still there after a crash."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from opentrail_backends.durable_files import create_private
from opentrail_cli.credentials import operator_token_at, secret_key_at


def make(path: Path) -> bool:
    try:
        create_private(path, os.urandom(32))
    except FileExistsError:
        return False
    return True


def test_a_file_is_private_and_nothing_else_is_left(tmp_path: Path) -> None:
    create_private(tmp_path / "key", b"content")
    assert [path.name for path in tmp_path.iterdir()] == ["key"]
    assert (tmp_path / "key").read_bytes() == b"content"
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600


def test_of_many_that_make_it_at_once_one_wins(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(make, [tmp_path / "key"] * 64)) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_what_cannot_be_written_whole_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "full")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="full"):
        create_private(tmp_path / "key", b"content")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("make_it", [lambda path: create_private(path, b"x"), secret_key_at, operator_token_at])
def test_its_bytes_are_on_disk_before_its_name_and_the_name_before_it_is_used(
    make_it, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = []
    sync, link = os.fsync, os.link

    def synced(descriptor: int) -> None:
        order.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        sync(descriptor)

    def linked(*names: Path) -> None:
        order.append("name")
        link(*names)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "link", linked)
    make_it(tmp_path / "key")
    assert order == ["file", "name", "folder"]
