"""The matrix: each kind of tampering is done, the judges are asked, it is undone. It becomes docs/tamper-matrix.md."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.servers.aws_cli import AwsCli
from tests.servers.s3 import S3Server
from tests.tampering.attacker.files_on_disk import DiskKind
from tests.tampering.attacker.kind import REFUSED, Expected, Kind, Who
from tests.tampering.attacker.kinds import DISK_KINDS, HARMLESS, KINDS
from tests.tampering.attacker.places import LocalPlace, S3Place
from tests.tampering.attacker.scene import Scene
from tests.tampering.judging import AwsVerdict, found_by_aws
from tests.tampering.naming import Names

TABLE = Path(__file__).parents[2] / "docs" / "tamper-matrix.md"


@contextmanager
def done(kind: Kind, scene: Scene, place: S3Place | LocalPlace) -> Iterator[tuple[Scene, Expected]]:
    """Does it where the evidence lies, and undoes it: the tampered scene, and what must be found."""
    if isinstance(kind, DiskKind):
        assert isinstance(place, LocalPlace)
        files = place.files()
        try:
            yield scene, kind.on_disk(scene, place)
        finally:
            place.restore_files(scene.objects, files)
        return
    tampered = scene.copy()
    expected = kind.tamper(tampered)
    place.change(scene.objects, tampered.objects)
    try:
        yield tampered, expected
    finally:
        place.change(tampered.objects, scene.objects)


def asked_aws(kind: Kind, tampered: Scene, names: Names, cli: AwsCli, s3: S3Server) -> AwsVerdict:
    """What the AWS CLI makes of it."""
    chains = [chain for chain in tampered.chains if chain.name in kind.chains]
    return found_by_aws(tampered, names, chains, cli, s3, kind.ask)


@dataclass(frozen=True)
class Row:
    """A row of the table."""

    kind: Kind
    ours: str
    aws: str

    def __str__(self) -> str:
        """In Markdown."""
        cells = (f"`{self.kind.name}`", self.kind.description, self.ours, self.aws)
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def row_of(kind: Kind, found: Expected, aws: AwsVerdict | None, names: Names) -> Row:
    """What was found, in words that are the same each time."""
    by_finding: dict[str, set[str]] = {}
    for finding, key in sorted(found - {REFUSED}):
        by_finding.setdefault(finding, set()).add(key)
    said = [f"`{finding}` {names.of_all(keys)}" for finding, keys in by_finding.items()]
    said += ["nothing can be validated: no public keys"] if REFUSED in found else []
    ask = kind.ask
    options = {
        "without heads": not ask.heads,
        "keys pinned": ask.pinned,
        "with a state file": ask.state,
        "with the day before": ask.days_before,
    }
    how = [word for word, is_so in options.items() if is_so]
    ours = "<br>".join(said or ["nothing"]) + (f" ({', '.join(how)})" if how else "")
    if aws is None:
        return Row(kind, ours, "(reads S3 only)")
    return Row(kind, ours, f"{aws.code}: {aws.text or 'nothing'}")


def committed_rows() -> dict[str, str]:
    """The rows of the table as it is kept, by the names of kinds."""
    rows = [line for line in TABLE.read_text().splitlines() if line.startswith("| `")]
    return {row.split("`", 2)[1]: row for row in rows}


def page(rows: Sequence[Row]) -> str:
    """The whole document."""
    by_name = {row.kind.name: row for row in rows}
    kinds = [*KINDS, *DISK_KINDS]
    by_who = [_section(_TITLES[who], [kind for kind in kinds if kind.who is who], by_name) for who in Who]
    harmless = _section("Changes that leave the evidence what it was", HARMLESS, by_name)
    return "\n".join([_INTRODUCTION, *by_who, harmless])


def _section(title: str, kinds: Iterable[Kind], by_name: dict[str, Row]) -> str:
    head = ["| kind | what is done | what we find | the AWS CLI |", "|---|---|---|---|"]
    return "\n".join([f"## {title}", "", *head, *(str(by_name[kind.name]) for kind in kinds), ""])


_TITLES = {
    Who.STORAGE: "Who can write to the bucket",
    Who.SIGNING_KEY: "Who can write to the bucket and has the signing keys",
    Who.API: "Who answers ListPublicKeys",
    Who.HEADS: "Who can write to the bucket and where the heads are kept",
    Who.STATE: "Who can write the auditor's state file",
    Who.DISK: "Who can write the files of an encrypted local directory, without its storage key",
}

_INTRODUCTION = """# The tamper matrix

What `validate-logs` finds when evidence is tampered with, and what `aws cloudtrail validate-logs` (AWS CLI 1.46.2,
unmodified) makes of the same bucket. Every row was measured. The table is written by `python -m tests.tampering`, and
`tests/conformance/test_tamper_matrix.py` measures it again: on MinIO, and what applies there in an encrypted local
directory, with the same findings. `tests/tampering/attacker/` does the tampering and shares no code with OpenTrail.

The evidence is made by the whole pipeline of realistic events: four chains in one bucket, of two accounts, two
regions and two trails. The chain that is mostly attacked has 7 digests, number 1 is the oldest. All four are
validated each time, over the whole time of their digests, three hours after the last one; every finding is listed.
Unless a row says something else, signed heads were kept outside and the keys are asked from the API. `not-covered`
follows from a digest that is not valid: nothing proves its time any more. What the findings mean is in [validate-
logs.md](validate-logs.md#findings).

Under "the AWS CLI" stands its exit code and what it says, besides its summary. *0: nothing* means that it took the
evidence for good.
"""
