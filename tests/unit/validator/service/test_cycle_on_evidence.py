"""Cycles over real evidence in a directory, by the validator itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from opentrail_validator import Kind, Question, Sources, TrailPlace
from opentrail_validator.public_keys import read_public_keys
from opentrail_validator.readers.local_directory import LocalDirectory
from opentrail_validator.run import validate_chains
from opentrail_validator.service.port import WatchedChain
from tests.evidence_maker.layouts import lay_kept
from tests.evidence_maker.maker import HOUR, START, Chain, Place, flip, listed_key, private_key
from tests.unit.validator.service.fakes import Installation

BEGIN = int(START.timestamp())


class OnDisk(Installation):
    """Watches one chain in a directory."""

    def __init__(self, chain: Chain, root: Path) -> None:
        place = TrailPlace(
            bucket=chain.bucket,
            prefix=None,
            organization_id=None,
            account_id=chain.account,
            region=chain.region,
            trail_name="audit",
            home_region=chain.region,
        )
        root.mkdir()
        lay_kept(chain.objects, root / "objects")
        (root / "keys.json").write_text(json.dumps([listed_key(private_key(0))]))
        objects, keys = LocalDirectory(root / "objects", None), read_public_keys(root / "keys.json")

        def validated(questions: Sequence[Question], *_: object) -> object:
            return validate_chains(questions, lambda _question: Sources(objects=objects, public_keys=keys), None, 1)

        watched = WatchedChain(trail_arn=chain.arn, place=place, since=BEGIN)
        super().__init__(watched, validate=validated, full_every=1)
        self.now = BEGIN + (len(chain.digests) + 1) * HOUR


def test_digests_that_were_tampered_with_before_the_first_cycle_stay_open(tmp_path: Path) -> None:
    chain = Chain().hours(12)
    for place in chain.digests[:5]:
        flip(chain.objects, place, -1)
    made = OnDisk(chain, tmp_path / "evidence")
    opened, _ = made.run()
    bad = {finding.key for finding in opened if finding.kind is not Kind.NOT_COVERED}
    assert {key for _, key in chain.digests[:5]} <= bad
    made.now -= HOUR
    assert made.run() == ([], [])


def test_a_digest_that_is_tampered_with_hides_no_planted_log_file(tmp_path: Path) -> None:
    chain = Chain().hours(12)
    bucket, key = chain.logs[8]
    planted = key.replace(key.rpartition("_")[2], "Planted0123456789.json.gz")
    chain.objects[bucket, planted] = chain.objects[bucket, key]
    made = OnDisk(chain, tmp_path / "evidence")
    opened, _ = made.run()
    assert [(finding.kind, finding.key) for finding in opened] == [(Kind.PLANTED, planted)]
    flip(chain.objects, chain.digests[4], -1)
    lay_kept(chain.objects, tmp_path / "evidence" / "objects")
    made.now -= HOUR
    opened, repaired = made.run()
    assert chain.digests[4][1] in {finding.key for finding in opened}
    assert repaired == []


@pytest.mark.parametrize(
    ("tampered", "deleted"),
    [
        (lambda chain: chain.logs[8], range(12)),
        (lambda chain: chain.logs[22], [11]),  # in the newest digest
        (lambda chain: chain.digests[4], range(12)),
        (lambda chain: chain.digests[4], [5]),  # the one that leads to it
    ],
)
def test_who_deletes_the_digests_that_tell_of_it_has_repaired_nothing(
    tampered: Callable[[Chain], Place], deleted: Sequence[int], tmp_path: Path
) -> None:
    chain = Chain().hours(12)
    made = OnDisk(chain, tmp_path / "evidence")
    assert made.run() == ([], [])
    bucket, key = tampered(chain)
    (tmp_path / "evidence" / "objects" / bucket / key).unlink()
    made.now -= HOUR
    opened, _ = made.run()
    assert key in {finding.key for finding in opened}
    for bucket, name in (chain.digests[number] for number in deleted):
        (tmp_path / "evidence" / "objects" / bucket / name).unlink(missing_ok=True)
    made.now -= HOUR
    _, repaired = made.run()
    assert key not in {finding.key for finding in repaired}
    lay_kept(chain.objects, tmp_path / "evidence" / "objects")
    made.now -= HOUR
    opened, repaired = made.run()
    assert (opened, key in {finding.key for finding in repaired}) == ([], True)
    assert made.book.memory(made.catalogue.watched[0]).open == ()


def test_digests_that_were_removed_before_the_first_cycle_stay_open(tmp_path: Path) -> None:
    chain = Chain().hours(12)
    made = OnDisk(chain, tmp_path / "evidence")
    for bucket, key in chain.digests[:5]:
        (tmp_path / "evidence" / "objects" / bucket / key).unlink()
    opened, _ = made.run()
    assert chain.digests[4][1] in {finding.key for finding in opened if finding.kind is Kind.NOT_FOUND}
    made.now -= HOUR
    assert made.run() == ([], [])
