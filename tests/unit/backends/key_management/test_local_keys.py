"""Local keys: what lies on the disk, who may read it, and what a lost or foreign key does."""

from __future__ import annotations

import base64
import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from opentrail_backends.key_management import open_key_management
from opentrail_backends.key_management.local_keys import LocalKeys, canonical_context
from opentrail_backends.key_management.port import KeyManagementError

REGION = "eu-central-1"


def told(call: Callable[[], object]) -> str:
    with pytest.raises(KeyManagementError) as raised:
        call()
    return str(raised.value)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "keys"


def test_the_first_start_makes_keys_that_only_the_owner_may_read(folder: Path) -> None:
    LocalKeys(folder).create_signing_key(REGION)
    assert len((folder / "master.key").read_bytes()) == 32
    assert len(base64.b64decode((folder / "storage.key").read_text().strip())) == 32
    for path in folder.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0
    assert sorted(path.name for path in folder.iterdir()) == ["master.key", "signing", "storage.key"]


def test_a_private_key_is_never_plain_on_the_disk(folder: Path) -> None:
    LocalKeys(folder).create_signing_key(REGION)
    (path,) = (folder / "signing").iterdir()
    content = path.read_bytes()
    assert content.startswith(b"OPENTRAIL-SIGNING-KEY 1\n")
    rsa_encryption = bytes.fromhex("06092a864886f70d010101")  # the object identifier in every PKCS#8 RSA key
    assert rsa_encryption not in content
    assert b"PRIVATE" not in content


@pytest.mark.parametrize(("name", "mode"), [("master.key", 0o640), ("storage.key", 0o604), (".", 0o770)])
def test_keys_that_others_may_get_at_are_refused(folder: Path, name: str, mode: int) -> None:
    LocalKeys(folder)
    (folder / name).chmod(mode)
    assert "chmod" in told(lambda: LocalKeys(folder))


@pytest.mark.parametrize("lost", ["master.key", "storage.key"])
def test_a_lost_key_is_not_made_anew(folder: Path, lost: str) -> None:
    LocalKeys(folder).create_signing_key(REGION)
    (folder / lost).unlink()
    assert f"{lost} is lost" in told(lambda: LocalKeys(folder))
    assert not (folder / lost).exists()


def test_another_master_key_is_noticed_at_the_start(folder: Path) -> None:
    LocalKeys(folder).create_signing_key(REGION)
    assert "does not open with this master key" in told(lambda: LocalKeys(folder, bytes(32)))


def test_a_given_master_key_need_not_lie_in_the_folder(folder: Path, tmp_path: Path) -> None:
    master = os.urandom(32)
    made = LocalKeys(folder, master).create_signing_key(REGION)
    assert not (folder / "master.key").exists()
    secret = tmp_path / "secret"
    secret.write_bytes(master)
    secret.chmod(0o440)
    signature = open_key_management(f"file://{folder}?master_key_file={secret}").sign(made.reference, b"message")
    assert signature == open_key_management(f"file://{folder}", master_key=master).sign(made.reference, b"message")


def test_a_given_master_key_must_be_well_kept(folder: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    assert "cannot read" in told(lambda: open_key_management(f"file://{folder}?master_key_file={secret}"))
    secret.write_bytes(bytes(32))
    secret.chmod(0o444)
    assert "chmod 0440" in told(lambda: open_key_management(f"file://{folder}?master_key_file={secret}"))


@pytest.mark.parametrize("size", [0, 16, 31, 33])
def test_a_master_key_has_32_bytes(folder: Path, size: int) -> None:
    assert f"{size} bytes" in told(lambda: LocalKeys(folder, bytes(size)))


@pytest.mark.parametrize("content", [b"", b"not base64!\n", base64.b64encode(bytes(31))])
def test_a_damaged_storage_key_is_told(folder: Path, content: bytes) -> None:
    LocalKeys(folder)
    (folder / "storage.key").write_bytes(content)
    assert "storage.key is not" in told(lambda: LocalKeys(folder))


def test_a_signing_key_under_another_ones_name_is_refused(folder: Path) -> None:
    keys = LocalKeys(folder)
    first, second = keys.create_signing_key(REGION), keys.create_signing_key(REGION)
    (folder / "signing" / first.reference).write_bytes((folder / "signing" / second.reference).read_bytes())
    assert "was changed" in told(lambda: keys.sign(first.reference, b"message"))


@pytest.mark.parametrize(
    "content", [b"", b"OPENTRAIL-SIGNING-KEY 1\n", b"OPENTRAIL-SIGNING-KEY 1\n" + bytes(50), b"x" * 99]
)
def test_a_damaged_signing_key_is_told(folder: Path, content: bytes) -> None:
    keys = LocalKeys(folder)
    reference = keys.create_signing_key(REGION).reference
    (folder / "signing" / reference).write_bytes(content)
    assert reference in told(lambda: keys.sign(reference, b"message"))


@pytest.mark.parametrize("region", ["", "../up", "a/b", "UPPER", "x" * 41])
def test_a_region_cannot_lead_out_of_the_folder(folder: Path, region: str) -> None:
    assert "no name of a region" in told(lambda: LocalKeys(folder).create_signing_key(region))


def test_a_destroyed_key_leaves_no_file(folder: Path) -> None:
    keys = LocalKeys(folder)
    reference = keys.create_signing_key(REGION).reference
    keys.destroy_signing_key(reference)
    assert not list((folder / "signing").iterdir())
    LocalKeys(folder)


def test_the_storage_key_alone_reads_but_does_not_sign(folder: Path) -> None:
    """What an auditor may be given: data keys open with it, and it opens no signing key."""
    keys = LocalKeys(folder)
    keys.create_signing_key(REGION)
    storage = base64.b64decode((folder / "storage.key").read_text().strip())
    assert storage != (folder / "master.key").read_bytes()
    assert "does not open" in told(lambda: LocalKeys(folder, storage))


def test_a_context_is_canonical_json() -> None:
    assert canonical_context({"b": "ü", "a": '"'}) == '{"a":"\\"","b":"ü"}'.encode()


def _wrap(folder: Path, barrier: multiprocessing.synchronize.Barrier, answers: multiprocessing.Queue[bytes]) -> None:
    barrier.wait(60)
    keys = LocalKeys(folder)
    keys.create_signing_key(REGION)
    answers.put(keys.generate_data_key({}).wrapped)


def test_processes_that_start_together_agree_on_the_keys(folder: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    barrier, answers = spawn.Barrier(3), spawn.Queue()
    processes = [spawn.Process(target=_wrap, args=(folder, barrier, answers)) for _ in range(3)]
    for process in processes:
        process.start()
    wrapped = [answers.get(timeout=60) for _ in processes]
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    keys = LocalKeys(folder)
    for each in wrapped:
        assert len(keys.decrypt_data_key(each, {})) == 32
    for path in (folder / "signing").iterdir():
        keys.sign(path.name, b"message")


@pytest.mark.parametrize(
    "url",
    [
        "", "file:relative", "file://host/dir", "file:///dir?x=1", "file:///dir?master_key_file=", "awskms:alias/x",
        "awskms:?key=x", "awskms:?region=a&region=b", "https://kms", "file:///dir#x",
    ],
)  # fmt: skip
def test_a_bad_url_is_told_what_is_allowed(url: str) -> None:
    with pytest.raises(ValueError, match="allowed are file:///DIRECTORY"):
        open_key_management(url)
