"""Writes docs/tamper-matrix.md: `python -m tests.tampering` does every kind of tampering and asks the judges anew.

Names of kinds as arguments: these are done and shown, and nothing is written.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from opentrail_validator import LocalDirectory
from opentrail_validator.readers.s3 import S3Reader
from tests.servers import aws_cli, s3
from tests.servers.session import ServerSession
from tests.tampering.attacker.kind import Expected, Kind
from tests.tampering.attacker.kinds import ALL, DISK_KINDS, HARMLESS, KINDS
from tests.tampering.attacker.stolen_keys import storage_key
from tests.tampering.judging import found_by_us, s3_environment, state_of
from tests.tampering.matrix import TABLE, Row, asked_aws, done, page, row_of
from tests.tampering.naming import Names
from tests.tampering.real_evidence import evidence_in, evidence_on

Measured = tuple[Row, Expected, Expected]
"""A row, what must be found, what was found."""


def main(names: Sequence[str]) -> int:
    """Measures; the exit code is 1 if what was found is not what must be found."""
    kinds = [kind for kind in ALL if not names or kind.name in names]
    with tempfile.TemporaryDirectory(prefix="opentrail-tampering-") as folder:
        on_s3, on_disk = Path(folder, "s3"), Path(folder, "disk")
        on_s3.mkdir()
        on_disk.mkdir()
        measured = [*_on_s3(on_s3, [kind for kind in kinds if kind not in DISK_KINDS])]
        measured += _on_disk(on_disk, [kind for kind in kinds if kind in DISK_KINDS])
    wrong = [(row, expected, found) for row, expected, found in measured if expected != found]
    for row, expected, found in wrong:
        print(row.kind.name, "lacks", expected - found, "and has", found - expected, sep="\n    ")
    if names:
        print(*(row for row, _, _ in measured), sep="\n")
    else:
        TABLE.write_text(page([row for row, _, _ in measured]))
        print(f"{len(KINDS) + len(DISK_KINDS)} kinds of tampering, {len(HARMLESS)} harmless changes: {TABLE}")
    return 1 if wrong else 0


def _on_s3(folder: Path, kinds: Sequence[Kind]) -> Iterator[Measured]:
    """On MinIO, beside the AWS CLI."""
    session = ServerSession.begin()
    try:
        server, cli = s3.shared_minio(session), aws_cli.get(aws_cli.VERSIONS[0])
        os.environ.update(s3_environment(server))
        reader = S3Reader(server.region)
        with evidence_on(server, folder) as (scene, place):
            names = Names(scene)
            scene.state = state_of(scene, reader)
            for kind in kinds:
                with done(kind, scene, place) as (tampered, expected):
                    found = found_by_us(tampered, scene, reader, kind.ask)
                    aws = asked_aws(kind, tampered, names, cli, server)
                yield row_of(kind, found, aws, names), expected, found
    finally:
        session.end(keep_logs=False)


def _on_disk(folder: Path, kinds: Sequence[Kind]) -> Iterator[Measured]:
    """In an encrypted local directory."""
    with evidence_in(folder) as (scene, place):
        names = Names(scene)
        for kind in kinds:
            with done(kind, scene, place) as (tampered, expected):
                found = found_by_us(tampered, scene, LocalDirectory(place.root, storage_key(folder / "keys")), kind.ask)
            yield row_of(kind, found, None, names), expected, found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
