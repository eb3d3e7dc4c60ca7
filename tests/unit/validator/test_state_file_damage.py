"""The state file: what it takes of a damaged one, and how it is written."""

import json
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opentrail_validator import Kind, Subject
from opentrail_validator.readers.port import ReaderUnavailable
from opentrail_validator.state_file import StateFile, verified_known
from opentrail_validator.walked import ChainResult
from tests.evidence_maker.in_memory import pinned, place_of, question_of
from tests.evidence_maker.maker import Chain, listed_key, private_key
from tests.evidence_maker.walked import verified

KEYS = pinned(listed_key(private_key(0))).between(0, 0)
CHAIN = Chain().hours(6)
PLACE = place_of(CHAIN)


def result(hours, chain=CHAIN):
    newest = verified(chain, chain.digests[hours - 1])
    return ChainResult(question=question_of(chain), newest=newest, covered=())


def saved(path, *results):
    state = StateFile.open(path)
    for one in results:
        state.record(one, clean=True)
    state.save()
    return StateFile.open(path)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state.json"


# --- damage -------------------------------------------------------------------------------------


def document(path):
    saved(path, result(3))
    return json.loads(path.read_text())


def without(document, *way):
    part = document
    for name in way[:-1]:
        part = part[name]
    del part[way[-1]]
    return document


def put(document, value, *way):
    part = document
    for name in way[:-1]:
        part = part[name]
    part[way[-1]] = value
    return document


DAMAGE = {
    "not a map": lambda _: [],
    "another version": lambda d: put(d, 2, "stateVersion"),
    "a version that is no number": lambda d: put(d, True, "stateVersion"),
    "no version": lambda d: without(d, "stateVersion"),
    "no chains": lambda d: without(d, "chains"),
    "a chain that is no map": lambda d: put(d, 5, "chains", 0),
    "no place": lambda d: without(d, "chains", 0, "place"),
    "no bucket": lambda d: without(d, "chains", 0, "place", "s3Bucket"),
    "no hash": lambda d: put(d, None, "chains", 0, "digest", "digestHashValue"),
    "half of a character": lambda d: put(d, "\ud800", "chains", 0, "digest", "previousDigestSignature"),
    "no time": lambda d: put(d, "yesterday", "chains", 0, "checkedFrom"),
    "a time that is no text": lambda d: put(d, 7, "chains", 0, "coveredFrom"),
    "no flag": lambda d: put(d, 1, "chains", 0, "recordsChecked"),
    "another chain's digest": lambda d: put(d, "999999999999", "chains", 0, "place", "awsAccountId"),
    "another end": lambda d: put(d, "2026-03-01T14:07:31Z", "chains", 0, "digest", "digestEndTime"),
    "times that contradict": lambda d: put(d, "2027-01-01T00:00:00Z", "chains", 0, "checkedFrom"),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_a_damaged_file_is_told_and_not_used(path, case):
    path.write_text(json.dumps(DAMAGE[case](document(path))))
    state = StateFile.open(path)
    (finding,) = state.findings
    assert (finding.kind, finding.subject, finding.key) == (Kind.BAD_STATE, Subject.STATE, str(path))
    assert state.known(PLACE) is None


@given(data=st.binary(max_size=200))
def test_whatever_the_bytes_it_opens(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_bytes(data)
    assert len(StateFile.open(path).findings) == 1


@given(data=st.data())
def test_a_file_with_a_changed_byte_says_what_it_said_or_does_not_verify_or_is_told(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "flipped.json"
    path.unlink(missing_ok=True)
    good = saved(path, result(3)).known(PLACE)
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    state = StateFile.open(path)
    known = state.known(PLACE)
    if known is not None and not state.findings and verified_known(known, KEYS) is not None:
        assert known.digest.message() == good.digest.message()


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(ReaderUnavailable, match="could not be read"):
        StateFile.open(tmp_path)


# --- writing ------------------------------------------------------------------------------------


def test_it_is_the_users_alone_and_leaves_nothing_beside_it(path):
    path.write_text("{}")
    path.chmod(0o644)
    saved(path, result(3))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_the_same_state_gives_the_same_bytes(path):
    other = Chain(region="us-east-1").hours(3)
    results = [result(3), result(3, other)]
    saved(path, *results)
    second = path.with_name("second.json")
    saved(second, *reversed(results))
    assert path.read_bytes() == second.read_bytes()
    assert len(StateFile.open(path).places()) == 2


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failure_while_it_is_written_leaves_the_old_one(path, monkeypatch, step):
    saved(path, result(3))
    old = path.read_bytes()

    def fail(*_arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(*((os, "fsync") if step == "fsync" else (Path, "replace")), fail)
    with pytest.raises(ReaderUnavailable, match="could not be written: No space left"):
        saved(path, result(5))
    assert path.read_bytes() == old
    assert list(path.parent.iterdir()) == [path]


def test_a_link_to_it_stays_a_link(path):
    target = path.with_name("target.json")
    path.symlink_to(target)
    saved(path, result(3))
    assert path.is_symlink()
    assert StateFile.open(target).known(PLACE) is not None


def test_a_folder_that_is_not_there_is_told(tmp_path):
    with pytest.raises(ReaderUnavailable, match="could not be written"):
        saved(tmp_path / "none" / "state.json", result(3))
