"""The local directory: crashes, full disks, and several writers at once."""

from __future__ import annotations

import errno
import fcntl
import multiprocessing
import os
from pathlib import Path
from typing import Any

import pytest

from opentrail_backends.key_management.local_keys import LocalKeys
from opentrail_backends.object_store import local_directory
from opentrail_backends.object_store.local_directory import LocalDirectoryObjectStore
from opentrail_backends.object_store.port import (
    ObjectAlreadyExists,
    ObjectStoreError,
    OutcomeUnknown,
    PutRefused,
)
from tests.unit.backends.object_store.local_directory_samples import BUCKET, KEY, OPTIONS


def test_what_a_crash_left_is_never_listed_and_gone_after_the_next_start(
    store: LocalDirectoryObjectStore, root: Path, keys: LocalKeys
) -> None:
    dead = root / ".temporary" / "dead"
    dead.write_bytes(b"half")
    alive = root / ".temporary" / "alive"
    with alive.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        LocalDirectoryObjectStore(root, keys)
        assert alive.exists()
    assert not dead.exists()
    assert not list(store.list(BUCKET))


def test_a_put_whose_file_was_taken_for_a_left_over_one_starts_again(
    store: LocalDirectoryObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = os.link
    calls: list[Path] = []

    def link_after_a_cleaner(source: Path, target: Path, **arguments: Any) -> None:
        calls.append(source)
        if len(calls) == 1:
            source.unlink()
        link(source, target, **arguments)

    monkeypatch.setattr(local_directory.os, "link", link_after_a_cleaner)
    store.put(BUCKET, KEY, b"body", OPTIONS)
    assert len(calls) == 2
    assert store.get(BUCKET, KEY).body == b"body"


def test_a_folder_that_somebody_removed_is_made_again(store: LocalDirectoryObjectStore, root: Path) -> None:
    store.put(BUCKET, "folder/key", b"", OPTIONS)
    (root / BUCKET / "folder" / "key").unlink()
    (root / BUCKET / "folder").rmdir()
    store.put(BUCKET, "folder/key", b"body", OPTIONS)
    assert store.get(BUCKET, "folder/key").body == b"body"


def test_everything_is_synced_before_a_put_returns(
    store: LocalDirectoryObjectStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file before it gets its name; each new folder in the one above; the name itself. Also by the loser."""
    steps: list[str] = []
    fsync, link, mkdir = os.fsync, os.link, os.mkdir

    def name(path: object) -> str:
        return str(path).removeprefix(f"{root}/")

    def seen_fsync(descriptor: int) -> None:
        path = name(Path(f"/proc/self/fd/{descriptor}").readlink())
        steps.append("sync " + ("file" if path.startswith(".temporary") else path))
        fsync(descriptor)

    def seen_link(source: Path, target: Path, **arguments: Any) -> None:
        steps.append(f"link {name(target)}")
        link(source, target, **arguments)

    def seen_mkdir(path: object, *arguments: Any, **named: Any) -> None:
        steps.append(f"mkdir {name(path)}")
        mkdir(path, *arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "fsync", seen_fsync)
    monkeypatch.setattr(os, "link", seen_link)
    monkeypatch.setattr(os, "mkdir", seen_mkdir)
    store.put(BUCKET, "a/b/key", b"", OPTIONS)
    made = [f"mkdir {BUCKET}/a", f"sync {BUCKET}", f"mkdir {BUCKET}/a/b", f"sync {BUCKET}/a"]
    named = ["sync file", f"link {BUCKET}/a/b/key", f"sync {BUCKET}/a/b"]
    assert steps == made + named
    steps.clear()
    with pytest.raises(ObjectAlreadyExists):
        store.put(BUCKET, "a/b/key", b"", OPTIONS)
    assert steps == named


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.ENOSPC, "InsufficientStorage"),
        (errno.EDQUOT, "InsufficientStorage"),
        (errno.EROFS, "AccessDenied"),
        (errno.EACCES, "AccessDenied"),
        (errno.EXDEV, "AccessDenied"),
        (errno.EIO, None),
    ],
)
def test_what_the_file_system_says_no_to(
    store: LocalDirectoryObjectStore, root: Path, monkeypatch: pytest.MonkeyPatch, number: int, code: str | None
) -> None:
    def fail(*_arguments: Any, **_named: Any) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(local_directory.os, "link", fail)
        with pytest.raises(ObjectStoreError) as raised:
            store.put(BUCKET, KEY, b"body", OPTIONS)
    assert type(raised.value) is (PutRefused if code else OutcomeUnknown)
    assert getattr(raised.value, "code", None) == code
    assert not list(store.list(BUCKET))
    assert not list((root / ".temporary").iterdir())


def test_a_name_that_cannot_be_synced_is_an_unknown_outcome(
    store: LocalDirectoryObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync = local_directory.sync_folder

    def fail_at_the_end(folder: Path) -> None:
        if folder.name == "111122223333":
            raise OSError(errno.ENOSPC, "full")
        sync(folder)

    monkeypatch.setattr(local_directory, "sync_folder", fail_at_the_end)
    with pytest.raises(OutcomeUnknown):
        store.put(BUCKET, KEY, b"body", OPTIONS)


def _create_all(root: Path, keys: Path, barrier: Any, answers: Any) -> None:
    barrier.wait(60)
    won = 0
    for number in range(40):
        store = LocalDirectoryObjectStore(root, LocalKeys(keys))  # opening also removes left-over files
        try:
            store.put(BUCKET, f"{number % 5}/{number}", str(os.getpid()).encode(), OPTIONS)
            won += 1
        except ObjectAlreadyExists:
            pass
    answers.put(won)


def test_of_several_processes_exactly_one_creates_each_object(
    store: LocalDirectoryObjectStore, root: Path, tmp_path: Path
) -> None:
    spawn = multiprocessing.get_context("spawn")
    barrier, answers = spawn.Barrier(3), spawn.Queue()
    arguments = (root, tmp_path / "keys", barrier, answers)
    processes = [spawn.Process(target=_create_all, args=arguments) for _ in range(3)]
    for process in processes:
        process.start()
    assert sum(answers.get(timeout=60) for _ in processes) == 40
    for process in processes:
        process.join(60)
    assert {store.get(BUCKET, info.key).body for info in store.list(BUCKET)} <= {
        str(process.pid).encode() for process in processes
    }
    assert len(list(store.list(BUCKET))) == 40
    assert not list((root / ".temporary").iterdir())
