"""The tamper matrix (docs/tamper-matrix.md), measured: each kind is caught, and nothing that nobody touched is blamed.

The evidence is made by the whole pipeline; the tampering (tests/tampering/attacker) shares no code with it. Each kind
is done on MinIO, where the unmodified AWS CLI judges beside us, and in an encrypted local directory.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from opentrail_validator import LocalDirectory
from opentrail_validator.readers.port import ObjectReader
from opentrail_validator.readers.s3 import S3Reader
from tests.servers.aws_cli import AwsCli
from tests.servers.s3 import S3Server
from tests.tampering.attacker.kind import REFUSED, Kind
from tests.tampering.attacker.kinds import ALL, DISK_KINDS, HARMLESS, KINDS
from tests.tampering.attacker.places import LocalPlace, S3Place
from tests.tampering.attacker.scene import Scene
from tests.tampering.attacker.stolen_keys import storage_key
from tests.tampering.judging import found_by_aws, found_by_us, s3_environment, state_of
from tests.tampering.matrix import TABLE, asked_aws, committed_rows, done, row_of
from tests.tampering.naming import Names
from tests.tampering.real_evidence import DIGESTS, evidence_in, evidence_on

ROOT = Path(__file__).parents[2]
IN_S3 = [*KINDS, *HARMLESS]
OnMinio = tuple[Scene, S3Place, ObjectReader, Names]
OnDisk = tuple[Scene, LocalPlace, Callable[[], ObjectReader], Names]


def by_name(kind: Kind) -> str:
    return kind.name


@pytest.fixture(scope="module")
def on_minio(tmp_path_factory: pytest.TempPathFactory, minio: S3Server) -> Iterator[OnMinio]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in s3_environment(minio).items():
            patch.setenv(name, value)
        with evidence_on(minio, tmp_path_factory.mktemp("on-minio")) as (scene, place):
            reader = S3Reader(minio.region)
            scene.state = state_of(scene, reader)
            yield scene, place, reader, Names(scene)


@pytest.fixture(scope="module")
def on_disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OnDisk]:
    folder = tmp_path_factory.mktemp("on-disk")
    with evidence_in(folder) as (scene, place):
        key = storage_key(folder / "keys")
        scene.state = state_of(scene, LocalDirectory(place.root, key))
        yield scene, place, lambda: LocalDirectory(place.root, key), Names(scene)


# --- The table


def test_the_table_has_every_kind_and_no_other() -> None:
    assert committed_rows().keys() == {kind.name for kind in ALL}, f"write {TABLE} anew: python -m tests.tampering"
    assert len({kind.name for kind in ALL}) == len(ALL)
    assert len(KINDS) + len(DISK_KINDS) >= 40


def test_what_tampers_knows_nothing_of_what_is_tampered_with() -> None:
    program = "import sys, tests.tampering.attacker.kinds; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    modules = run.stdout.split()
    assert not [name for name in modules if name.startswith("opentrail")]
    ours = {name for name in modules if name.startswith("tests.")} - {"tests.tampering"}
    assert ours
    assert not [name for name in ours if not name.startswith("tests.tampering.attacker")]


# --- Untouched


@pytest.mark.s3
def test_the_evidence_is_as_real_as_it_has_to_be(on_minio: OnMinio) -> None:
    scene = on_minio[0]
    assert len(scene.main.digests) == DIGESTS
    for chain in scene.chains:
        assert len(chain.digests) >= 6
        for digest in chain.digests[1:]:
            entries = scene.document(digest)["logFiles"]
            assert len(entries) >= 2
            assert all({"recordsMerkleRoot", "recordCount"} <= entry.keys() for entry in entries)
    assert {scene.main.account, scene.account.account} == {"444455556666", "777788889999"}
    assert len(scene.heads) == sum(len(chain.digests) for chain in scene.chains)
    assert len(scene.keys[scene.main.region]) > 1, "the keys were never changed"


@pytest.mark.s3
def test_untouched_evidence_on_minio_is_valid(on_minio: OnMinio, minio: S3Server, aws_cli: list[AwsCli]) -> None:
    scene, _, reader, names = on_minio
    assert found_by_us(scene, scene, reader) == set()
    verdict = found_by_aws(scene, names, scene.chains, aws_cli[0], minio)
    assert (verdict.code, verdict.text) == (0, "")


def test_untouched_evidence_on_disk_is_valid(on_disk: OnDisk) -> None:
    scene, _, reader, _ = on_disk
    assert found_by_us(scene, scene, reader()) == set()


# --- Tampered


@pytest.mark.s3
@pytest.mark.parametrize("kind", IN_S3, ids=by_name)
def test_on_minio(kind: Kind, on_minio: OnMinio, minio: S3Server, aws_cli: list[AwsCli]) -> None:
    scene, place, reader, names = on_minio
    with done(kind, scene, place) as (tampered, expected):
        found = found_by_us(tampered, scene, reader, kind.ask)
        aws = asked_aws(kind, tampered, names, aws_cli[0], minio)
    assert found == expected
    assert bool(found) == (kind not in HARMLESS)
    # Whatever the AWS CLI calls invalid we call invalid, and name the same object.
    assert aws.invalid <= {key for _, key in found}
    assert aws.code == 0 or found
    assert REFUSED not in found or aws.code == 255
    assert str(row_of(kind, found, aws, names)) == committed_rows()[kind.name], (
        "python -m tests.tampering writes it anew"
    )


@pytest.mark.parametrize("kind", ALL, ids=by_name)
def test_on_disk(kind: Kind, on_disk: OnDisk) -> None:
    scene, place, reader, names = on_disk
    with done(kind, scene, place) as (tampered, expected):
        found = found_by_us(tampered, scene, reader(), kind.ask)
    assert found == expected
    if kind in DISK_KINDS:
        assert str(row_of(kind, found, None, names)) == committed_rows()[kind.name]


# --- Restored


@pytest.mark.s3
def test_what_was_put_back_on_minio_is_valid_again(on_minio: OnMinio, minio: S3Server, aws_cli: list[AwsCli]) -> None:
    scene, place, reader, names = on_minio
    assert place.objects() == scene.objects
    assert found_by_us(scene, scene, reader) == set()
    assert found_by_aws(scene, names, [scene.main], aws_cli[0], minio).code == 0


def test_what_was_put_back_on_disk_is_valid_again(on_disk: OnDisk) -> None:
    scene, place, reader, _ = on_disk
    assert place.objects() == scene.objects
    assert found_by_us(scene, scene, reader()) == set()
