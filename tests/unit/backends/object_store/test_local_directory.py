"""The local directory: what lies on the disk, what survives a crash, and what an intruder cannot do unseen."""

from __future__ import annotations

import base64
import errno
import fcntl
import json
import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from opentrail_backends.key_management.local_keys import LocalKeys
from opentrail_backends.object_store import local_directory
from opentrail_backends.object_store.local_directory import LocalDirectoryObjectStore, list_keys
from opentrail_backends.object_store.port import (
    ObjectAlreadyExists,
    ObjectNotFound,
    ObjectStoreError,
    OutcomeUnknown,
    PutOptions,
    PutRefused,
)

BUCKET, KEY = "trail-logs", "AWSLogs/111122223333/ü.json.gz"
OPTIONS = PutOptions({"signature": "0a"}, kms_key_id="arn:k", encryption_context={"aws:cloudtrail:arn": "arn:t"})


@pytest.fixture
def keys(tmp_path: Path) -> LocalKeys:
    return LocalKeys(tmp_path / "keys")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "objects"


@pytest.fixture
def store(root: Path, keys: LocalKeys) -> LocalDirectoryObjectStore:
    store = LocalDirectoryObjectStore(root, keys)
    store.create_bucket(BUCKET)
    return store


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(PutRefused) as raised:
        call()
    return raised.value.code


def test_a_file_is_readable_by_its_description_alone(
    store: LocalDirectoryObjectStore, root: Path, keys: LocalKeys
) -> None:
    """An independent reader: the format of docs/object-store.md, and the storage key that an auditor was given."""
    store.put(BUCKET, KEY, b"body", OPTIONS)
    first, second, ciphertext = (root / BUCKET / KEY).read_bytes().split(b"\n", 2)
    assert first == b"OPENTRAIL-OBJECT 1"
    header: dict[str, Any] = json.loads(second)
    encryption = header.pop("encryption")
    assert header == {
        "bucket": BUCKET,
        "key": KEY,
        "metadata": {"signature": "0a"},
        "content_type": "application/json",
        "content_encoding": "gzip",
    }
    assert encryption["algorithm"] == "AES-256-GCM"
    assert encryption["key_id"] == "arn:k"
    assert encryption["context"] == {"aws:s3:arn": f"arn:aws:s3:::{BUCKET}/{KEY}", "aws:cloudtrail:arn": "arn:t"}
    storage_key = base64.b64decode((root.parent / "keys" / "storage.key").read_text().strip())
    wrapped = base64.b64decode(encryption["wrapped_key"])
    context = json.dumps(encryption["context"], sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    data_key = AESGCM(storage_key).decrypt(wrapped[:12], wrapped[12:], context)
    plain = AESGCM(data_key).decrypt(base64.b64decode(encryption["nonce"]), ciphertext, first + b"\n" + second + b"\n")
    assert plain == b"body"


def test_without_keys_the_body_follows_the_header_as_it_is(root: Path) -> None:
    store = LocalDirectoryObjectStore(root)
    store.create_bucket(BUCKET)
    store.put(BUCKET, KEY, b"a\nb", PutOptions())
    _, header, body = (root / BUCKET / KEY).read_bytes().split(b"\n", 2)
    assert json.loads(header)["encryption"] is None
    assert body == b"a\nb"


def test_equal_bodies_do_not_look_equal(store: LocalDirectoryObjectStore, root: Path) -> None:
    for key in ("a", "b"):
        store.put(BUCKET, key, b"body" * 100, OPTIONS)
    a, b = ((root / BUCKET / key).read_bytes().split(b"\n", 2)[2] for key in ("a", "b"))
    assert a != b
    assert b"bodybody" not in a


def test_every_changed_byte_is_noticed(store: LocalDirectoryObjectStore, root: Path) -> None:
    store.put(BUCKET, KEY, b"body", OPTIONS)
    path = root / BUCKET / KEY
    content = path.read_bytes()
    path.chmod(0o600)
    for position in range(len(content)):
        changed = bytearray(content)
        changed[position] ^= 1
        path.write_bytes(bytes(changed))
        assert refusal(lambda: store.get(BUCKET, KEY)) in {"ObjectDamaged", "KMS.KeyUnavailable"}
    for length in (0, 5, len(content) - 1):
        path.write_bytes(content[:length])
        assert refusal(lambda: store.get(BUCKET, KEY)) == "ObjectDamaged"
    path.write_bytes(content)
    assert store.get(BUCKET, KEY).body == b"body"


def test_an_object_moved_to_another_key_is_noticed(store: LocalDirectoryObjectStore, root: Path) -> None:
    store.put(BUCKET, KEY, b"body", OPTIONS)
    (root / BUCKET / "moved").write_bytes((root / BUCKET / KEY).read_bytes())
    assert refusal(lambda: store.get(BUCKET, "moved")) == "ObjectDamaged"
    assert refusal(lambda: store.metadata(BUCKET, "moved")) == "ObjectDamaged"


@pytest.mark.parametrize(
    "header",
    [
        "", "null", "[]", "1", '"text"', "{}", '{"bucket":"trail-logs","key":1}', "[" * 10_000,
        '{"bucket":"trail-logs","key":"key","metadata":{"a":1},"encryption":null}',
        '{"bucket":"trail-logs","key":"key","metadata":[],"encryption":null}',
        '{"bucket":"trail-logs","key":"key","metadata":{},"encryption":[]}',
        '{"bucket":"trail-logs","key":"key","metadata":{},"encryption":{"algorithm":"none"}}',
        '{"bucket":"trail-logs","key":"key","metadata":{},"encryption":{"algorithm":"AES-256-GCM","nonce":"%%"}}',
        '{"bucket":"trail-logs","key":"key","metadata":{},"encryption":{"algorithm":"AES-256-GCM","nonce":"AA=="}}',
    ],
)  # fmt: skip
def test_a_header_that_is_none_is_damage(store: LocalDirectoryObjectStore, root: Path, header: str) -> None:
    (root / BUCKET / "key").write_text(f"OPENTRAIL-OBJECT 1\n{header}\n")
    assert refusal(lambda: store.get(BUCKET, "key")) == "ObjectDamaged"


def test_a_foreign_file_is_listed_but_not_read(store: LocalDirectoryObjectStore, root: Path) -> None:
    (root / BUCKET / "foreign").write_bytes(b"12345")
    (root / BUCKET / "link").symlink_to("/etc/hostname")
    (root / BUCKET / os.fsdecode(b"\xff")).write_bytes(b"")
    assert list(store.list(BUCKET)) == [("foreign", 5)]
    assert refusal(lambda: store.get(BUCKET, "foreign")) == "ObjectDamaged"
    with pytest.raises(ObjectNotFound):
        store.get(BUCKET, "link")


def test_an_encrypted_object_needs_its_keys(store: LocalDirectoryObjectStore, root: Path, tmp_path: Path) -> None:
    store.put(BUCKET, KEY, b"body", OPTIONS)
    assert refusal(lambda: LocalDirectoryObjectStore(root).get(BUCKET, KEY)) == "ObjectDamaged"
    other = LocalDirectoryObjectStore(root, LocalKeys(tmp_path / "other keys"))
    assert refusal(lambda: other.get(BUCKET, KEY)) == "KMS.KeyUnavailable"
    assert other.metadata(BUCKET, KEY) == {"signature": "0a"}


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
    sync = local_directory._sync_folder

    def fail_at_the_end(folder: Path) -> None:
        if folder.name == "111122223333":
            raise OSError(errno.ENOSPC, "full")
        sync(folder)

    monkeypatch.setattr(local_directory, "_sync_folder", fail_at_the_end)
    with pytest.raises(OutcomeUnknown):
        store.put(BUCKET, KEY, b"body", OPTIONS)


def test_a_key_that_needs_a_name_too_long_for_the_file_system_is_refused(store: LocalDirectoryObjectStore) -> None:
    assert refusal(lambda: store.put(BUCKET, "é" * 128, b"", OPTIONS)) == "KeyTooLongError"
    with pytest.raises(ObjectNotFound):
        store.get(BUCKET, "é" * 128)


def test_a_key_cannot_be_an_object_and_a_folder_at_once(store: LocalDirectoryObjectStore) -> None:
    store.put(BUCKET, "a", b"", OPTIONS)
    store.put(BUCKET, "b/c", b"", OPTIONS)
    assert refusal(lambda: store.put(BUCKET, "a/b", b"", OPTIONS)) == "KeyConflict"
    assert refusal(lambda: store.put(BUCKET, "b", b"", OPTIONS)) == "KeyConflict"


def test_an_object_may_not_be_written_by_anyone_again(store: LocalDirectoryObjectStore, root: Path) -> None:
    store.put(BUCKET, KEY, b"", OPTIONS)
    assert (root / BUCKET / KEY).stat().st_mode & 0o337 == 0


def test_a_root_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ObjectStoreError, match="cannot open"):
        LocalDirectoryObjectStore(tmp_path / "file" / "below")


def test_without_a_data_key_nothing_is_put(store: LocalDirectoryObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    from opentrail_backends.key_management.port import KeyManagementError

    def refuse(_context: object) -> None:
        raise KeyManagementError("disabled")

    monkeypatch.setattr(store._keys, "generate_data_key", refuse)
    assert refusal(lambda: store.put(BUCKET, KEY, b"", OPTIONS)) == "KMS.KeyUnavailable"
    assert not list(store.list(BUCKET))


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


PARTS = st.text(alphabet="ab-.0é\uffee🦉", min_size=1, max_size=3).filter(lambda part: part not in {".", ".."})
KEYS = st.sets(st.lists(PARTS, min_size=1, max_size=4).map("/".join), max_size=12)


@given(keys=KEYS, prefix=st.text(alphabet="ab-./", max_size=4), after=st.text(alphabet="ab-./", max_size=4))
def test_a_walk_gives_what_sorting_all_keys_gives(
    tmp_path_factory: pytest.TempPathFactory, keys: set[str], prefix: str, after: str
) -> None:
    folders = {key[:at] for key in keys for at in range(len(key)) if key[at] == "/"}
    keys -= folders  # a file system cannot have both
    bucket = tmp_path_factory.mktemp("bucket")
    for key in keys:
        (bucket / key).parent.mkdir(parents=True, exist_ok=True)
        (bucket / key).touch()
    expected = [key for key in sorted(keys, key=str.encode) if key.startswith(prefix) and key.encode() > after.encode()]
    assert list(list_keys(os.fsencode(bucket), prefix.encode(), after.encode())) == expected
