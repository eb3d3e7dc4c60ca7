import json
import shutil
from contextlib import closing
from pathlib import Path

import pytest

from opentrail_validator import Checks, Kind, LocalDirectory, PinnedKeys, Sources, read_public_keys
from opentrail_validator.bundle_reader import Bundle, BundleReader
from opentrail_validator.readers.port import (
    ApiNotReached,
    CouldNotRead,
    PublicKey,
)
from opentrail_validator.summary import Origins
from tests.evidence_maker.in_memory import InMemory, question_of
from tests.evidence_maker.maker import Chain, change_content, listed_key, private_key
from tests.evidence_maker.scenarios import SCENARIOS
from tests.unit.validator.bundle_runs import collected, findings, replayed


def freeze(root: Path):
    """As on read-only media: nothing can be written, no file can be made."""
    for path in (root, *root.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)


def thaw(root: Path):
    for path in (root, *root.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


# --- The same findings


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_moved_bundle_gives_the_findings_of_the_run_that_collected_it(name, tmp_path):
    chain = SCENARIOS[name]("bucket", "other").chain
    question = question_of(chain)
    there = collected(tmp_path / "first", question, InMemory(chain.objects))
    shutil.move(tmp_path / "first", tmp_path / "second")
    freeze(tmp_path / "second")
    before = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*"))
    assert replayed(tmp_path / "second") == there
    assert sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*")) == before
    thaw(tmp_path / "second")


def test_the_times_of_puts_are_kept(tmp_path):
    chain = Chain().hours(4)
    planted = (chain.bucket, chain.logs[0][1].replace("Z_", "Z_PLANTED"))
    chain.objects[planted] = chain.objects[chain.logs[0]]
    began = question_of(chain).start
    modified = dict.fromkeys(chain.objects, began + 60.0) | {
        place: began + 3600.0 * (number + 1) + 60 for number, place in enumerate(chain.digests)
    }
    modified[planted] = began + 2000.0
    question = question_of(chain, hours=4)
    there = collected(tmp_path / "b", question, InMemory(chain.objects, modified=modified))
    assert Kind.PLANTED in [finding.kind for finding in there]
    assert replayed(tmp_path / "b") == there


@pytest.mark.parametrize(
    ("lost", "unlistable"),
    [(("logs", 1), ()), (("digests", 1), ()), (None, ("trail-logs",))],
)
def test_what_could_not_be_read_then_cannot_be_read_now_for_the_same_reason(lost, unlistable, tmp_path):
    chain = Chain().hours(3)
    places = () if lost is None else (getattr(chain, lost[0])[lost[1]],)
    reader = InMemory(chain.objects, lost=places, unlistable=unlistable)
    there = collected(tmp_path / "b", question_of(chain), reader)
    assert "connection reset" in [finding.detail for finding in there]
    assert replayed(tmp_path / "b") == there


def test_a_narrower_question_is_answered_a_wider_one_is_not_guessed(tmp_path):
    chain = Chain().hours(6)
    question = question_of(chain, hours=5, checks=Checks(coverage=False))
    collected(tmp_path / "b", question, InMemory(chain.objects))
    narrow = replayed(tmp_path / "b", start=question.start + 3600, end=question.start + 3 * 3600)
    assert {finding.kind for finding in narrow} == {Kind.VALID}
    assert len(narrow) == 4 * 3
    with pytest.raises(ApiNotReached, match="not in this bundle"):
        replayed(tmp_path / "b", start=question.start - 7200)


def test_the_log_files_that_were_not_asked_for_are_not_missing(tmp_path):
    chain = Chain().hours(3)
    collected(tmp_path / "b", question_of(chain), InMemory(chain.objects))
    shutil.rmtree(tmp_path / "b" / "objects" / chain.bucket)
    found = replayed(tmp_path / "b")
    assert {finding.detail for finding in found if finding.kind is Kind.NOT_CHECKED} >= {"not in this bundle"}
    assert Kind.NOT_FOUND not in {finding.kind for finding in found}


def test_a_bundle_that_was_tampered_with_is_caught_like_any_place(tmp_path):
    chain = Chain().hours(3)
    collected(tmp_path / "b", question_of(chain), InMemory(chain.objects))
    change_content(chain.objects, chain.logs[2], b"Get", b"Put")
    bucket, key = chain.logs[2]
    (tmp_path / "b" / "objects" / bucket / key).write_bytes(chain.objects[chain.logs[2]].body)
    assert [
        (finding.kind, finding.key) for finding in replayed(tmp_path / "b") if finding.kind is Kind.HASH_MISMATCH
    ] == [(Kind.HASH_MISMATCH, key)]


# --- What lies in it


def test_objects_lie_as_aws_s3_sync_leaves_them_and_another_program_can_validate_them(tmp_path):
    chain = Chain().hours(2)
    question = question_of(chain)
    there = collected(tmp_path / "b", question, InMemory(chain.objects))
    directory = LocalDirectory(tmp_path / "b" / "objects")
    plain = Sources(objects=directory, public_keys=read_public_keys(tmp_path / "b" / "keys.json"))
    assert [finding.kind for finding in findings(question, plain)] == [finding.kind for finding in there]
    manifest = json.loads((tmp_path / "b" / "manifest.json").read_text())
    assert manifest["format"] == "opentrail evidence bundle 1"
    assert manifest["collected"] == "2026-03-03T10:07:31Z"
    sizes = sum(len(made.body) for made in chain.objects.values())
    assert manifest["objects"] == {"read": 6, "bytes": sizes, "missing": 0, "damaged": 0, "unreadable": 0}
    assert manifest["publicKeys"] == {"origins": ["pinned in keys.json"], "pinned": True}
    (key,) = json.loads((tmp_path / "b" / "keys.json").read_text())["PublicKeyList"]
    assert key == listed_key(private_key(0))


def test_what_is_missing_is_told_object_by_object(tmp_path):
    chain = Chain().hours(3)
    del chain.objects[chain.logs[0]]
    collected(tmp_path / "b", question_of(chain), InMemory(chain.objects, lost=(chain.logs[1],)))
    lines = [json.loads(line) for line in (tmp_path / "b" / "not-collected.jsonl").read_text().splitlines()]
    assert {(line["key"], line["outcome"], line["detail"]) for line in lines} == {
        (chain.logs[0][1], "missing", chain.logs[0][1]),
        (chain.logs[1][1], "unreadable", "connection reset"),
    }


class Heads:
    def __init__(self, *bodies: bytes, failure: str | None = None) -> None:
        self.bodies, self.failure = bodies, failure

    def heads(self, bucket, folder, start, end):
        if self.failure:
            raise CouldNotRead(self.failure)
        return self.bodies

    def origin(self):
        return "made up"


def test_heads_are_kept_also_those_that_cannot_be_read(tmp_path):
    chain = Chain().hours(2)
    heads = Heads(b'{"headVersion":1}', b"\xff not JSON")
    there = collected(
        tmp_path / "b", question_of(chain), InMemory(chain.objects), heads, Origins({}, are_pinned=True, heads="h")
    )
    assert [finding.kind for finding in there].count(Kind.BAD_HEAD) >= 1
    assert json.loads((tmp_path / "b" / "heads.json").read_text()) == {"Heads": [{"headVersion": 1}]}
    mine = [finding for finding in replayed(tmp_path / "b") if finding.kind is Kind.BAD_HEAD]
    assert len(mine) == [finding.kind for finding in there].count(Kind.BAD_HEAD)


def test_heads_that_could_not_be_read_stay_unread(tmp_path):
    chain = Chain().hours(2)
    origins = Origins({}, are_pinned=True, heads="h")
    there = collected(tmp_path / "b", question_of(chain), InMemory(chain.objects), Heads(failure="403"), origins)
    assert "403" in " ".join(finding.detail for finding in there)
    assert "403" in " ".join(finding.detail for finding in replayed(tmp_path / "b"))


def test_pinned_keys_take_the_place_of_those_in_the_bundle(tmp_path):
    chain = Chain().hours(2)
    collected(tmp_path / "b", question_of(chain), InMemory(chain.objects))
    with closing(Bundle(tmp_path / "b")) as bundle:
        (question,) = bundle.questions
        other = PinnedKeys({"0" * 32: PublicKey(b"")})
        found = findings(question, Sources(objects=BundleReader(bundle), public_keys=other))
    assert {finding.kind for finding in found if finding.subject.value == "digest"} == {Kind.UNKNOWN_KEY}
