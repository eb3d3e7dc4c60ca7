from __future__ import annotations

import gzip
import json

import pytest

from opentrail_validator import LocalDirectory
from opentrail_validator.proof import Outcome, check_proof
from opentrail_validator.prove import MARGIN, Reason
from tests.evidence_maker.in_memory import BEGIN, InMemory
from tests.evidence_maker.layouts import lay_plain
from tests.evidence_maker.maker import (
    HOUR,
    Chain,
    MadeObject,
    flip,
    iso,
)
from tests.evidence_maker.proofs import hour, ids, log_file, made_proof, record
from tests.unit.validator.prove_samples import KEYS, ask, chain, refused

__all__ = ["chain"]


# --- Found


@pytest.mark.parametrize(("event_id", "digest", "log"), [("a-2", 0, 0), ("b-39", 0, 1), ("c-0", 2, 2)])
def test_the_proof_is_the_one_that_a_second_hand_makes(chain, event_id, digest, log):
    letter, index = event_id.split("-")
    records = ids(Chain(now=BEGIN + digest * HOUR), {"a": 3, "b": 40, "c": 5}[letter], letter)
    expected = made_proof(chain, chain.digests[digest], chain.logs[log], records, int(index))
    data = ask(event_id, chain)
    assert json.loads(data) == expected
    assert check_proof(data, KEYS.between(0, 0)).outcome is Outcome.PROVEN


def test_the_same_bucket_gives_the_same_bytes(chain):
    assert ask("b-7", chain) == ask("b-7", chain) == ask("b-7", chain, time=BEGIN - HOUR + 7)


def test_a_digest_that_was_compressed_otherwise_goes_into_the_proof_as_it_is(chain):
    place = chain.digests[0]
    made = chain.objects[place]
    chain.objects[place] = MadeObject(gzip.compress(gzip.decompress(made.body), 1, mtime=9), made.metadata)
    assert check_proof(ask("a-0", chain), KEYS.between(0, 0)).outcome is Outcome.PROVEN


def test_a_signature_in_capitals_is_written_in_small_letters(chain):
    place = chain.digests[2]
    made = chain.objects[place]
    capitals = made.metadata | {"signature": made.metadata["signature"].upper()}
    chain.objects[place] = MadeObject(made.body, capitals)
    assert json.loads(ask("c-0", chain))["digestSignature"] == made.metadata["signature"]


def test_a_copy_without_metadata_takes_the_signature_from_the_next_digest(chain, tmp_path):
    lay_plain(chain.objects, tmp_path, with_metadata=False)
    assert ask("a-1", chain, LocalDirectory(tmp_path)) != b""
    error = refused("c-1", chain, LocalDirectory(tmp_path))
    assert error.reason is Reason.NOT_CHECKED
    assert "no metadata" in str(error)


def test_an_event_in_two_digests_is_taken_from_the_newest():
    made = Chain()
    hour(made, [record("x", BEGIN)])
    hour(made, [record("x", BEGIN)])
    assert json.loads(ask("x", made))["logFile"]["s3Object"] == made.logs[1][1]


def test_more_digests_than_are_read_at_once():
    made = Chain()
    hour(made, ids(made, 3))
    for _ in range(70):
        hour(made)
    assert check_proof(ask("e-1", made, hours=80), KEYS.between(0, 0)).outcome is Outcome.PROVEN


def test_a_trail_that_had_another_bucket_and_prefix_before():
    made = Chain(bucket="old", prefix="then")
    hour(made, ids(made, 3))
    made.restart()
    hour(made, ids(made, 3, "o"))
    made.bucket, made.prefix = "new", "now/here"
    hour(made, ids(made, 3, "n"))
    for event_id in ("e-2", "o-2", "n-2"):
        assert check_proof(ask(event_id, made), KEYS.between(0, 0)).outcome is Outcome.PROVEN


def test_the_walk_goes_on_before_a_gap_and_past_a_damaged_digest(chain):
    chain.restart()
    hour(chain, ids(chain, 2, "d"))
    flip(chain.objects, chain.digests[1], 30)
    assert ask("a-1", chain)


def test_log_files_that_cannot_hold_the_event_are_not_read(chain):
    objects = InMemory(chain.objects)
    ask("c-3", chain, objects, time=BEGIN + HOUR + 3)
    assert [place for place in objects.read if place in chain.logs] == [chain.logs[2]]


@pytest.mark.parametrize("off", [-MARGIN, MARGIN + 4])
def test_the_time_of_an_event_may_be_rounded_to_the_minute(chain, off):
    assert ask("c-3", chain, time=BEGIN + HOUR + off)
    beyond = off + (1 if off > 0 else -1)
    assert refused("c-3", chain, time=BEGIN + HOUR + beyond).reason is Reason.NOT_FOUND


def test_a_log_file_without_times_may_hold_any_event():
    made = Chain()
    entry = log_file(made, ids(made, 3), made.now) | {"oldestEventTime": None, "newestEventTime": None}
    made.hour(0, logFiles=[entry])
    assert ask("e-1", made, time=5)


# --- Not found


def test_what_was_searched_is_told(chain):
    error = refused("nowhere", chain)
    assert error.reason is Reason.NOT_FOUND
    assert str(error) == (
        "The event nowhere was not found.\n"
        f"Searched: {chain.arn}, account 111122223333, eu-west-1, log files delivered from {iso(BEGIN)} to "
        f"{iso(BEGIN + 48 * HOUR)}: 3 digests in s3://trail-logs/AWSLogs/111122223333/CloudTrail-Digest/eu-west-1/, "
        "3 log files."
    )


def test_digests_of_another_time_are_not_searched(chain):
    assert refused("a-0", chain, start=BEGIN + 2 * HOUR, end=BEGIN + 3 * HOUR).reason is Reason.NOT_FOUND
    assert refused("c-0", chain, start=BEGIN - HOUR, end=BEGIN).reason is Reason.NOT_FOUND
    assert ask("c-0", chain, start=BEGIN + 2 * HOUR, end=BEGIN + 2 * HOUR + 1)


def test_an_empty_place_has_no_digests(chain):
    assert "0 digests" in str(refused("a-0", Chain(trail="another", objects=chain.objects)))


def test_digests_without_roots_are_told_apart():
    made = Chain()
    hour(made, ids(made, 3), ids(made, 4, "f"), with_root=False)
    error = refused("e-1", made)
    assert error.reason is Reason.NO_ROOTS
    assert "2 log files were not read: their digests have no Merkle root" in str(error)
    assert "record_proofs" in str(error)


def test_digests_without_roots_do_not_hide_those_that_have_them():
    made = Chain()
    hour(made, ids(made, 3), with_root=False)
    hour(made, ids(made, 3, "f"))
    hour(made, ids(made, 3, "g"), with_root=False)
    assert ask("f-1", made)
    assert refused("e-1", made).reason is Reason.NO_ROOTS
