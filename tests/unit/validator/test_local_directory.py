import base64
import json
import os

import pytest

from opentrail_validator import Kind, LocalDirectory, read_storage_key
from opentrail_validator.readers.port import CouldNotRead, ObjectDamaged, ObjectMissing, ReaderUnavailable, StoredObject
from tests.evidence_maker.in_memory import findings_of, wrong
from tests.evidence_maker.layouts import kept, lay_kept, lay_plain
from tests.evidence_maker.maker import Chain, MadeObject

KEY = bytes(range(32))
MADE = MadeObject(b"body", {"Signature": "ab"})


@pytest.fixture
def root(tmp_path):
    (tmp_path / "bucket").mkdir()
    return tmp_path


def put(root, name, data):
    file = root / "bucket" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    return file


@pytest.mark.parametrize("storage_key", [None, KEY])
def test_a_kept_object_is_read_with_its_metadata_in_lower_case(root, storage_key):
    put(root, "a/b", kept("bucket", "a/b", MADE, storage_key))
    stored = LocalDirectory(root, KEY).get("bucket", "a/b")
    assert (stored.body, stored.metadata) == (b"body", {"signature": "ab"})


def test_a_plain_file_is_read_with_the_metadata_beside_it(root):
    put(root, "k", b"body")
    assert LocalDirectory(root).get("bucket", "k").metadata is None
    put(root, "k.metadata.json", b'{"Signature": "ab"}')
    assert LocalDirectory(root).get("bucket", "k").metadata == {"signature": "ab"}


@pytest.mark.parametrize("text", [b"", b"[]", b'{"a": 1}', b"\xff"])
def test_metadata_beside_it_that_is_no_map_of_texts_is_damage(root, text):
    put(root, "k", b"body")
    put(root, "k.metadata.json", text)
    with pytest.raises(ObjectDamaged):
        LocalDirectory(root).get("bucket", "k")


@pytest.mark.parametrize(
    "key", ["absent", "folder", "file/below", "../bucket/file", "./file", "folder//x", "", "x" * 300]
)
def test_what_is_no_object_is_missing(root, key):
    put(root, "folder/x", b"")
    put(root, "file", b"")
    with pytest.raises(ObjectMissing):
        LocalDirectory(root).get("bucket", key)


def test_a_file_that_cannot_be_read_is_not_missing(root, monkeypatch):
    put(root, "k", b"")

    def denied(*_arguments, **_more):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.open", denied)
    with pytest.raises(CouldNotRead, match="Permission denied"):
        LocalDirectory(root).get("bucket", "k")


def test_without_a_storage_key_an_encrypted_object_could_not_be_read(root):
    put(root, "k", kept("bucket", "k", MADE, KEY))
    with pytest.raises(CouldNotRead):
        LocalDirectory(root).get("bucket", "k")


def test_with_another_storage_key_nothing_is_damaged(root):
    for name in ("k.json.gz", "l.json.gz"):
        put(root, name, kept("bucket", name, MADE, KEY))
    with pytest.raises(CouldNotRead):
        LocalDirectory(root, bytes(32)).get("bucket", "k.json.gz")


def test_if_the_storage_key_opens_another_object_this_one_was_altered(root):
    put(root, "l.json.gz", kept("bucket", "l.json.gz", MADE, KEY))
    put(root, "k.json.gz", kept("bucket", "k.json.gz", MADE, bytes(32)))
    with pytest.raises(ObjectDamaged):
        LocalDirectory(root, KEY).get("bucket", "k.json.gz")


def test_every_flipped_byte_of_an_encrypted_object_is_damage(root):
    put(root, "l.json.gz", kept("bucket", "l.json.gz", MADE, KEY))
    good = kept("bucket", "k", MADE, KEY)
    reader = LocalDirectory(root, KEY)
    for position in range(len(good)):
        put(root, "k", good[:position] + bytes([good[position] ^ 1]) + good[position + 1 :])
        try:
            stored = reader.get("bucket", "k")
        except ObjectDamaged:
            continue
        # Only where the file is no kept object any more: then it is no gzip either.
        assert position < len(b"OPENTRAIL-OBJECT 1\n")
        assert not stored.body.startswith(b"\x1f\x8b")


@pytest.mark.parametrize(
    "change",
    [
        {"metadata": None},
        {"metadata": {"a": 1}},
        {"encryption": "none"},
        {"encryption": {}},
        {"encryption": {"algorithm": "none", "wrapped_key": 1, "nonce": []}},
        {"encryption": {"wrapped_key": "", "nonce": "", "context": []}},
    ],
)
def test_a_header_of_the_wrong_form_is_damage(root, change):
    put(root, "l.json.gz", kept("bucket", "l.json.gz", MADE, KEY))
    magic, header, body = kept("bucket", "k", MADE).split(b"\n", 2)
    put(root, "k", b"\n".join([magic, json.dumps(json.loads(header) | change).encode(), body]))
    with pytest.raises(ObjectDamaged):
        LocalDirectory(root, KEY).get("bucket", "k")


@pytest.mark.parametrize("header", [b"", b"\n", b"{}\n", b"[]\n", b"{" * 70_000, b"\xff\n", b"[" * 50_000 + b"\n"])
def test_a_header_that_cannot_be_read_is_damage(root, header):
    put(root, "k", b"OPENTRAIL-OBJECT 1\n" + header)
    with pytest.raises(ObjectDamaged):
        LocalDirectory(root).get("bucket", "k")


def keys(reader, prefix, start_after="", bucket="bucket"):
    return [listed.key for listed in reader.list(bucket, prefix, start_after)]


def test_keys_are_listed_in_the_order_of_their_bytes(root):
    for name in ("a/b", "a/é", "a/z.metadata.json", "a/c/d", "b/x", "a-b"):
        put(root, name, b"")
    reader = LocalDirectory(root)
    assert keys(reader, "a/") == ["a/b", "a/c/d", "a/é"]
    assert keys(reader, "a/", "a/b") == ["a/c/d", "a/é"]
    assert keys(reader, "a") == ["a-b", "a/b", "a/c/d", "a/é"]


@pytest.mark.parametrize(
    ("bucket", "prefix"), [("absent", ""), ("bucket", "absent/"), ("..", ""), ("bucket", "../"), ("bucket", "\ud800/")]
)
def test_where_nothing_is_nothing_is_listed(root, bucket, prefix):
    assert keys(LocalDirectory(root), prefix, bucket=bucket) == []
    assert list(LocalDirectory(root).folders(bucket, prefix)) == []


def test_a_file_below_a_file_is_nowhere(root):
    put(root, "a", b"")
    assert keys(LocalDirectory(root), "a/") == []


def test_a_name_that_is_no_text_is_nobodys_key(root):
    put(root, "a/b", b"")
    (root / "bucket" / "a" / os.fsdecode(b"\xff")).write_bytes(b"")
    assert keys(LocalDirectory(root), "a/") == ["a/b"]


def test_links_to_files_are_files_and_links_to_folders_lead_nowhere(root):
    put(root, "a/b", b"body")
    (root / "bucket" / "a" / "c").symlink_to("b")
    (root / "bucket" / "a" / "round").symlink_to(root / "bucket")
    reader = LocalDirectory(root)
    assert keys(reader, "") == ["a/b", "a/c"]
    assert list(reader.folders("bucket", "")) == ["a"]
    assert reader.get("bucket", "a/c").body == b"body"


def test_a_folder_that_cannot_be_read_is_not_empty(root, monkeypatch):
    put(root, "a/b", b"")

    def denied(_path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.scandir", denied)
    with pytest.raises(CouldNotRead, match="Permission denied"):
        keys(LocalDirectory(root), "a/")
    with pytest.raises(CouldNotRead, match="Permission denied"):
        list(LocalDirectory(root).folders("bucket", ""))


def test_a_pipe_is_no_object(root):
    os.mkfifo(root / "bucket" / "k")
    with pytest.raises(ObjectMissing):
        LocalDirectory(root).get("bucket", "k")


def test_a_pipe_in_the_place_of_metadata_is_none(root):
    put(root, "k", b"body")
    os.mkfifo(root / "bucket" / "k.metadata.json")
    assert LocalDirectory(root).get("bucket", "k") == StoredObject(b"body", None)


def test_a_pipe_among_the_objects_that_a_key_is_tried_on_holds_nobody_up(root):
    os.mkfifo(root / "bucket" / "l.json.gz")
    put(root, "k.json.gz", kept("bucket", "k.json.gz", MADE, bytes(32)))
    with pytest.raises(CouldNotRead, match="storage key does not fit"):
        LocalDirectory(root, KEY).get("bucket", "k.json.gz")


def test_a_file_that_is_absurdly_large_is_damage(root):
    os.truncate(put(root, "k", b""), (1 << 30) + (2 << 20))  # it takes no space
    with pytest.raises(ObjectDamaged, match=r"1,075,838,976 bytes"):
        LocalDirectory(root).get("bucket", "k")


@pytest.mark.parametrize("layout", ["plain", "kept", "encrypted"])
def test_a_trail_is_validated_in_every_layout(tmp_path, layout):
    chain = Chain().hours(3)
    if layout == "plain":
        lay_plain(chain.objects, tmp_path)
    else:
        lay_kept(chain.objects, tmp_path, KEY if layout == "encrypted" else None)
    assert wrong(findings_of(chain, LocalDirectory(tmp_path, KEY), hours=3)) == []


def test_a_wrong_storage_key_makes_nothing_invalid(tmp_path):
    chain = Chain().hours(2)
    lay_kept(chain.objects, tmp_path, KEY)
    assert {kind for kind, _ in wrong(findings_of(chain, LocalDirectory(tmp_path, bytes(32))))} == {Kind.NOT_CHECKED}


def test_a_root_that_is_not_there_is_told(tmp_path):
    with pytest.raises(ReaderUnavailable):
        LocalDirectory(tmp_path / "absent")


def test_a_storage_key_is_one_line_of_base64(tmp_path):
    file = tmp_path / "key"
    file.write_bytes(base64.b64encode(KEY) + b"\n")
    assert read_storage_key(file) == KEY


@pytest.mark.parametrize("text", [b"", b"short", base64.b64encode(bytes(31)), b"*" * 44])
def test_a_file_that_holds_no_storage_key_is_told(tmp_path, text):
    (tmp_path / "key").write_bytes(text)
    with pytest.raises(ReaderUnavailable):
        read_storage_key(tmp_path / "key")


def test_a_storage_key_that_is_not_there_is_told(tmp_path):
    with pytest.raises(ReaderUnavailable):
        read_storage_key(tmp_path / "absent")
