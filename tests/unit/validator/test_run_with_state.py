"""Runs that go on from what runs before have verified."""

import json
from dataclasses import replace

from opentrail_validator import Finding, Kind, Sources, Subject
from opentrail_validator.readers.port import ApiRefused
from opentrail_validator.run import validate_chains
from opentrail_validator.state_file import StateFile
from opentrail_validator.walked import ChainResult
from tests.evidence_maker.in_memory import BEGIN, InMemory, pinned, place_of, question_of
from tests.evidence_maker.maker import HOUR, Chain, change_content, listed_key, private_key

KEYS = pinned(listed_key(private_key(0)))


def bucket(regions, hours=3):
    chains = [Chain(region=regions[0]).hours(hours)]
    chains += [Chain(chains[0].objects, region=region).hours(hours) for region in regions[1:]]
    return chains


def validated(chains, path, hours=None, **changes):
    """One run with the state file: what is not valid, and which digests were read."""
    reader = InMemory(chains[0].objects)
    end = BEGIN + (hours or len(chains[0].digests)) * HOUR
    state = StateFile.open(path)
    asked = [question_of(chain, **{"end": end, "now": end} | changes) for chain in chains]
    sources = Sources(objects=reader, public_keys=KEYS)
    said = [what for _, what in validate_chains(asked, lambda _question: sources, state, 2)]
    state.save()
    digests = {key for _, key in reader.read if "CloudTrail-Digest" in key}
    results = [what for what in said if isinstance(what, ChainResult)]
    wrong = [what for what in said if isinstance(what, Finding) and what.kind is not Kind.VALID]
    return wrong, digests, results


def test_a_second_run_reads_only_what_is_new_and_says_up_to_where_it_was_known(tmp_path):
    path = tmp_path / "state"
    chains = bucket(["eu-west-1", "us-east-1"], 30)
    wrong, digests, _ = validated(chains, path)
    assert (wrong, len(digests)) == ([], 60)
    for chain in chains:
        chain.hours(2)
    wrong, digests, results = validated(chains, path)
    assert wrong == []
    assert {place[1] for chain in chains for place in chain.digests[-2:]} <= digests
    assert len(digests) < 60
    assert [result.known_until for result in results] == [BEGIN + 30 * HOUR] * 2
    assert [result.covered[0] for result in results] == [(BEGIN, BEGIN + 32 * HOUR)] * 2
    assert StateFile.open(path).known(place_of(chains[1])).digest.key == chains[1].digests[-1][1]


def test_after_a_run_that_found_something_everything_is_read_again(tmp_path):
    path = tmp_path / "state"
    chains = bucket(["eu-west-1", "us-east-1"], 3)
    change_content(chains[0].objects, chains[0].logs[0], b"Get", b"Put")
    wrong, _, _ = validated(chains, path)
    assert [found.kind for found in wrong] == [Kind.HASH_MISMATCH]
    known = StateFile.open(path)
    assert known.known(place_of(chains[0])) is None
    assert known.known(place_of(chains[1])) is not None
    assert [found.kind for found in validated(chains, path)[0]] == [Kind.HASH_MISMATCH]


def test_a_chain_that_no_longer_leads_to_what_was_known_is_told(tmp_path):
    path = tmp_path / "state"
    chains = bucket(["eu-west-1"], 4)
    validated(chains, path)
    forged = Chain(chains[0].objects).hours(4, logs=1)
    del chains[0].objects[chains[0].digests[-1]]
    forged.hours(1)
    wrong, _, _ = validated([forged], path)
    assert wrong
    assert StateFile.open(path).known(place_of(forged)).digest.end == BEGIN + 4 * HOUR


def test_a_digest_in_the_state_that_is_not_well_signed_is_told_and_all_is_read(tmp_path):
    path = tmp_path / "state"
    chains = bucket(["eu-west-1"], 3)
    validated(chains, path)
    document = json.loads(path.read_text())
    document["chains"][0]["digest"]["digestHashValue"] = "0" * 64
    path.write_text(json.dumps(document))
    wrong, digests, results = validated(chains, path)
    (found,) = wrong
    assert (found.kind, found.subject, found.key) == (Kind.BAD_STATE, Subject.STATE, str(path))
    assert len(digests) == 3
    assert results[0].known_until is None
    assert validated(chains, path)[0] == []  # the evidence was in order: the file is good again


def test_a_damaged_file_is_told_once_and_all_is_read(tmp_path):
    path = tmp_path / "state"
    chains = bucket(["eu-west-1", "us-east-1"], 3)
    path.write_text("{")
    wrong, digests, _ = validated(chains, path)
    assert [found.kind for found in wrong] == [Kind.BAD_STATE]
    assert len(digests) == 6
    assert validated(chains, path)[0] == []


def test_without_keys_the_chain_fails_and_the_state_stays(tmp_path):
    path = tmp_path / "state"
    chains = bucket(["eu-west-1"], 3)
    validated(chains, path)
    before = path.read_bytes()
    state = StateFile.open(path)

    class Refusing:
        def between(self, _start, _end):
            raise ApiRefused("denied")

        def origin(self):
            return "nowhere"

    sources = Sources(objects=InMemory(chains[0].objects), public_keys=Refusing())
    asked = [replace(question_of(chains[0]), end=BEGIN + 3 * HOUR)]
    (said,) = [what for _, what in validate_chains(asked, lambda _question: sources, state, 2)]
    assert isinstance(said, ApiRefused)
    state.save()
    assert path.read_bytes() == before
