"""A bundle that somebody made to harm who validates it: he hears that it cannot be read, and of nothing else."""

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from opentrail_validator import Kind
from opentrail_validator.bundle_reader import Bundle
from opentrail_validator.readers.port import ApiNotReached, ReaderUnavailable
from tests.evidence_maker.in_memory import InMemory, question_of
from tests.evidence_maker.maker import Chain
from tests.unit.validator.bundle_runs import collected, replayed


@pytest.fixture
def chain():
    return Chain().hours(3)


@pytest.fixture
def root(tmp_path, chain) -> Path:
    """A bundle of the chain, on which every finding is good."""
    found = collected(tmp_path / "b", question_of(chain), InMemory(chain.objects))
    assert found == replayed(tmp_path / "b")
    return tmp_path / "b"


def kinds(root):
    return {finding.kind for finding in replayed(root)}


def make_pipe(path):
    path.unlink()
    os.mkfifo(path)


def make_device(path):
    path.unlink()
    path.symlink_to("/dev/zero")


def make_huge(path):
    os.truncate(path, 1 << 40)  # it takes no space


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        ("manifest.json", make_pipe),
        ("manifest.json", make_device),
        ("manifest.json", make_huge),
        ("index.db", make_pipe),
        ("index.db", make_device),
    ],
)
def test_a_part_that_is_no_file_or_has_no_end_is_not_read(root, name, spoil):
    spoil(root / name)
    with pytest.raises(ReaderUnavailable):
        Bundle(root)


@pytest.mark.parametrize("spoil", [make_pipe, make_device])
def test_an_object_that_is_no_file_is_not_in_the_bundle(root, chain, spoil):
    spoil(root / "objects" / Path(*chain.logs[1]))
    unread = [finding for finding in replayed(root) if finding.kind is Kind.NOT_CHECKED]
    assert [(finding.key, finding.detail) for finding in unread] == [(chain.logs[1][1], "not in this bundle")]


def test_an_object_without_an_end_is_damaged(root, chain):
    make_huge(root / "objects" / Path(*chain.logs[1]))
    assert [finding.key for finding in replayed(root) if finding.kind is Kind.MALFORMED] == [chain.logs[1][1]]


def test_metadata_without_an_end_cannot_be_read(root, chain):
    bucket, key = chain.digests[1]
    make_huge(root / "objects" / bucket / f"{key}.metadata.json")
    (unread,) = [finding for finding in replayed(root) if finding.key == key]
    assert unread.kind is Kind.NOT_CHECKED
    assert "metadata" in unread.detail


NUMBERS = ["'x'", "x'00'", "9e999", "-1e300"]


def change(root, statement):
    with closing(sqlite3.connect(root / "index.db")) as index:
        assert index.execute(statement).rowcount
        index.commit()


@pytest.mark.parametrize("time", NUMBERS)
def test_times_in_a_list_that_are_none_are_a_list_that_cannot_be_read(root, time):
    change(root, f"UPDATE entries SET modified = {time}")
    assert Kind.NOT_CHECKED in kinds(root)


@pytest.mark.parametrize("name", ["ValidityStartTime", "ValidityEndTime"])
@pytest.mark.parametrize("time", ["'x'", "1.5", "json('[]')", "json('true')"])
def test_times_of_keys_that_are_none_are_keys_that_cannot_be_read(root, name, time):
    change(root, f"UPDATE keys SET answer = json_set(answer, '$.PublicKeyList[0].{name}', {time})")
    with pytest.raises(ApiNotReached, match="cannot be read"):
        replayed(root)


TEXT = [None, 5, 1.5, True, [], {}]
TIME = [None, "x", 1.5, True, [], {}, -1, 10**30]
RECORD = [None, 5, "x", []]


@pytest.mark.parametrize(
    ("path", "value"),
    [(path, value) for path in ("bucket", "region", "trail_name", "trail_arn") for value in TEXT]
    + [(path, value) for path in ("start", "end", "now") for value in TIME]
    + [(path, value) for path in ("checks", "place") for value in RECORD],
)
def test_a_question_of_another_form_is_refused(root, path, value):
    manifest = json.loads((root / "manifest.json").read_text())
    (question,) = manifest["questions"]
    fields = question["place"] if path in question["place"] else question
    assert path in fields
    fields[path] = value
    (root / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ReaderUnavailable, match="cannot be read"):
        Bundle(root)
