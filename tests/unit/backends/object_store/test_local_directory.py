"""The local directory: what lies on the disk, and what an intruder cannot do unseen."""

from __future__ import annotations

import base64
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from opentrail_backends.key_management.local_keys import LocalKeys
from opentrail_backends.object_store.local_directory import LocalDirectoryObjectStore
from opentrail_backends.object_store.local_listing import list_keys
from opentrail_backends.object_store.port import (
    ObjectNotFound,
    ObjectStoreError,
    PutOptions,
)
from tests.unit.backends.object_store.local_directory_samples import BUCKET, KEY, OPTIONS, refusal


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


def test_what_is_deleted_leaves_no_empty_folders(store: LocalDirectoryObjectStore, root: Path) -> None:
    store.put(BUCKET, "parked/trail/one", b"", PutOptions())
    store.put(BUCKET, "parked/other", b"", PutOptions())
    store.delete(BUCKET, "parked/trail/one")
    assert sorted(path.relative_to(root / BUCKET) for path in (root / BUCKET).rglob("*")) == [
        Path("parked"),
        Path("parked/other"),
    ]
    store.delete(BUCKET, "parked/other")
    assert list((root / BUCKET).iterdir()) == []
    store.put(BUCKET, "parked/trail/one", b"again", PutOptions())
    assert store.get(BUCKET, "parked/trail/one").body == b"again"


def test_a_put_survives_deletes_that_remove_its_folder(store: LocalDirectoryObjectStore) -> None:
    with ThreadPoolExecutor(8) as pool:

        def put_and_delete(number: int) -> None:
            for time in range(20):
                key = f"parked/{number}-{time}"
                store.put(BUCKET, key, b"body", PutOptions())
                assert store.get(BUCKET, key).body == b"body"
                store.delete(BUCKET, key)

        list(pool.map(put_and_delete, range(8)))
    assert not list(store.list(BUCKET))


def test_a_put_survives_a_delete_in_the_moment_after_a_folder_was_found(
    store: LocalDirectoryObjectStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`Path.mkdir` finds the folder, somebody deletes it, `mkdir` looks what it was and finds no folder."""
    folder, is_dir = root / BUCKET / "parked", Path.is_dir
    folder.mkdir()
    deletions: list[Path] = []

    def deleted_right_before(path: Path) -> bool:
        if path == folder and not deletions:
            deletions.append(path)
            path.rmdir()
        return is_dir(path)

    monkeypatch.setattr(Path, "is_dir", deleted_right_before)
    store.put(BUCKET, "parked/one", b"body", PutOptions())
    assert deletions == [folder]
    assert store.get(BUCKET, "parked/one").body == b"body"
