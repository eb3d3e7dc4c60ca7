import sqlite3
from contextlib import closing

import pytest

from opentrail_validator import Kind, Sources
from opentrail_validator.bundle import BundleWriter
from opentrail_validator.bundle_reader import Bundle
from opentrail_validator.bundle_recording import RecordingReader
from opentrail_validator.readers.port import (
    ApiNotReached,
    ReaderUnavailable,
)
from tests.evidence_maker.in_memory import InMemory, question_of
from tests.evidence_maker.maker import Chain
from tests.unit.validator.bundle_runs import collected, findings, keys, replayed

# --- Where it cannot be written or read


def test_a_directory_that_is_not_empty_is_left_alone(tmp_path):
    (tmp_path / "mine").write_text("thesis")
    with pytest.raises(ReaderUnavailable, match="is not empty"):
        BundleWriter(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_finished_bundle_is_not_overwritten(tmp_path):
    chain = Chain().hours(1)
    collected(tmp_path / "b", question_of(chain), InMemory(chain.objects))
    with pytest.raises(ReaderUnavailable, match="is not empty"):
        BundleWriter(tmp_path / "b")


def test_a_collection_that_was_cut_off_is_no_bundle_and_can_be_begun_again(tmp_path):
    chain = Chain().hours(2)
    with closing(BundleWriter(tmp_path / "b")) as writer:
        findings(
            question_of(chain), Sources(objects=RecordingReader(InMemory(chain.objects), writer), public_keys=keys())
        )
    with pytest.raises(ReaderUnavailable, match="its collection did not finish"):
        Bundle(tmp_path / "b")
    del chain.objects[chain.logs[0]]  # what was collected then must not be taken for what is there now
    there = collected(tmp_path / "b", question_of(chain), InMemory(chain.objects))
    assert Kind.NOT_FOUND in [finding.kind for finding in there]
    assert replayed(tmp_path / "b") == there


def test_a_bundle_that_cannot_be_written_ends_the_run_and_is_none(tmp_path):
    chain = Chain().hours(2)
    writer = BundleWriter(tmp_path / "b")
    (tmp_path / "b" / "objects").write_text("a file in the way")
    (tmp_path / "b" / "objects-by-hash").write_text("another")
    sources = Sources(objects=RecordingReader(InMemory(chain.objects), writer), public_keys=keys())
    with closing(writer), pytest.raises(ReaderUnavailable, match="could not be written"):
        findings(question_of(chain), sources)
    with pytest.raises(ReaderUnavailable):
        Bundle(tmp_path / "b")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "another"}', '{"format": "opentrail evidence bundle 1"}'])
def test_a_manifest_that_is_none(text, tmp_path):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(ReaderUnavailable):
        Bundle(tmp_path)


def test_an_index_that_was_damaged_is_not_tampering(tmp_path):
    chain = Chain().hours(3)
    collected(tmp_path / "b", question_of(chain), InMemory(chain.objects))
    with closing(sqlite3.connect(tmp_path / "b" / "index.db")) as index:
        index.execute("UPDATE keys SET answer = '[]'")
        index.commit()
    with pytest.raises(ApiNotReached, match="cannot be read"):
        replayed(tmp_path / "b")
    (tmp_path / "b" / "index.db").write_bytes(b"no database at all" * 1000)
    with pytest.raises(ReaderUnavailable):
        Bundle(tmp_path / "b")


ENDLESS = "CREATE VIEW absent AS WITH RECURSIVE n(bucket) AS (SELECT 1 UNION ALL SELECT bucket FROM n) SELECT * FROM n"


@pytest.mark.parametrize("statement", ["DROP TABLE entries", f"DROP TABLE absent; {ENDLESS}", "CREATE TABLE more (a)"])
def test_an_index_with_other_tables_is_refused_before_it_is_asked(tmp_path, statement):
    chain = Chain().hours(1)
    collected(tmp_path / "b", question_of(chain), InMemory(chain.objects))
    with closing(sqlite3.connect(tmp_path / "b" / "index.db")) as index:
        index.executescript(statement)
    with pytest.raises(ReaderUnavailable, match="its tables are not those"):
        Bundle(tmp_path / "b")


def test_an_index_whose_pages_are_not_whole_is_refused_before_it_is_asked(tmp_path):
    """Pages that lead to each other could give rows without end."""
    chain = Chain().hours(40)
    collected(tmp_path / "b", question_of(chain), InMemory(chain.objects))
    file = tmp_path / "b" / "index.db"
    data = bytearray(file.read_bytes())
    size = int.from_bytes(data[16:18])
    branching = next(at for at in range(size, len(data), size) if data[at] in {2, 5})
    data[branching + 8 : branching + 12] = data[branching + 12 + 2 : branching + 12 + 6]
    file.write_bytes(data)
    with pytest.raises(ReaderUnavailable, match=r"damaged|malformed"):
        Bundle(tmp_path / "b")
