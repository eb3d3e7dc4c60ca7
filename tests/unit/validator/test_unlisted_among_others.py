"""Log files in no digest, where several trails write, where not all can be read, and from one run to the next."""

from itertools import pairwise

import pytest

from opentrail_validator import Checks, Kind, Subject
from tests.evidence_maker.folder import MINUTE, Folder, at, end_of
from tests.evidence_maker.in_memory import BEGIN
from tests.evidence_maker.maker import Chain, MadeObject
from tests.evidence_maker.walked import walked_of

# --- other trails in the same folder ------------------------------------------------------------


def test_files_of_another_trail_that_its_digests_name_are_not_planted():
    chain = Chain().hours(6)
    other = Chain(chain.objects, trail="other", now=BEGIN + 17 * MINUTE).hours(6)
    assert Folder(chain, other).told() == []
    assert Folder(chain, other).told(times=False) == []


def test_a_forged_digest_of_another_trail_names_nothing():
    chain = Chain().hours(6)
    other = Chain(chain.objects, trail="other", key_number=8)
    planted = other._log_file(at(2, 30), 5)
    other.hours(4)
    other.hour(0, logFiles=[planted])
    folder = Folder(chain, other)
    assert planted["s3Object"] in folder.planted_found()


def test_a_file_that_waits_for_another_trails_digest_is_not_planted():
    """Its digests are due at other minutes, and may be put later."""
    chain = Chain().hours(6)
    other = Chain(chain.objects, trail="other", now=BEGIN - 10 * MINUTE).hours(6)
    folder = Folder(chain, other)
    folder.plant(at(4, 55))
    assert folder.planted_found() == []
    early = folder.plant(at(4, 40), unique="B")
    assert folder.planted_found() == [early]


def test_a_file_of_another_trails_lost_digest_is_not_planted():
    chain = Chain().hours(8)
    other = Chain(chain.objects, trail="other", now=BEGIN + 17 * MINUTE).hours(8)
    del chain.objects[other.digests.pop(3)]
    folder = Folder(chain, other)
    assert folder.told() == []


def test_a_trail_that_ended_owes_nothing_later():
    chain = Chain().hours(12)
    other = Chain(chain.objects, trail="other").hours(2)
    folder = Folder(chain, other)
    key = folder.plant(at(6, 30))
    assert folder.planted_found() == [key]


def test_backfill_digests_of_another_trail_name_files_too():
    chain = Chain().hours(6)
    Chain(chain.objects, trail="other", backfill=True, now=BEGIN + 40 * MINUTE).hours(3)
    assert Folder(chain).told(times=False) == []


def test_a_copy_without_metadata_proves_other_trails_digests_by_their_links():
    chain = Chain().hours(6)
    other = Chain(chain.objects, trail="other", now=BEGIN + 17 * MINUTE).hours(6)
    folder = Folder(chain, other)
    walked = folder.walked(times=False)
    for place in other.digests:
        chain.objects[place] = MadeObject(chain.objects[place].body, None)
    assert folder.told(times=False, walked=walked) == []
    planted = folder.plant(at(2, 30))
    assert folder.planted_found(times=False, walked=walked) == [planted]


# --- what cannot be checked ---------------------------------------------------------------------


def test_after_an_incomplete_walk_nothing_is_judged():
    folder = Folder(Chain().hours(6))
    folder.plant(at(2, 30))
    walked = folder.walked()
    walked.complete = False
    (finding,) = folder.told(walked=walked)
    assert (finding.kind, finding.subject) == (Kind.NOT_CHECKED, Subject.LISTING)


def test_a_list_that_fails_is_not_checked():
    folder = Folder(Chain().hours(6))
    (finding,) = folder.told(reader=folder.reader(unlistable=("trail-logs",)))
    assert finding.kind is Kind.NOT_CHECKED
    assert "connection reset" in finding.detail
    assert finding.key == "AWSLogs/111122223333/CloudTrail/eu-west-1/"


def test_another_trails_digest_that_cannot_be_read_leaves_it_open():
    chain = Chain().hours(6)
    other = Chain(chain.objects, trail="other").hours(6)
    folder = Folder(chain, other)
    folder.plant(at(2, 30))
    assert [finding.kind for finding in folder.told(reader=folder.reader(lost=(other.digests[2],)))] == [
        Kind.NOT_CHECKED
    ]


def test_without_the_check_nothing_is_read():
    folder = Folder(Chain().hours(6))
    folder.plant(at(2, 30))
    reader = folder.reader(unlistable=("trail-logs",))
    assert folder.told(reader=reader, checks=Checks(unlisted=False)) == []


# --- runs that go on from a known digest --------------------------------------------------------


def known(folder, until):
    newer = [place for place in folder.chain.digests if end_of(folder.chain, place) > at(until)]
    walked = walked_of(Chain(folder.chain.objects, digests=newer), put_at=folder.put_at)
    walked.reached_known, walked.known_until = True, at(until)
    return walked


@pytest.mark.parametrize("until", [60, 55, 40])
def test_after_a_known_digest_no_file_of_before_is_called_planted(until):
    folder = Folder(Chain().hours(60))
    assert folder.told(walked=known(folder, until)) == []


@pytest.mark.parametrize("until", [60, 59, 55])
def test_a_file_that_waited_when_the_run_before_looked_is_told_now(until):
    folder = Folder(Chain().hours(60))
    key = folder.plant(at(58, 30))
    assert folder.planted_found(walked=known(folder, until)) == [key]


def test_runs_one_after_another_tell_every_planted_file():
    folder = Folder(Chain().hours(70))
    planted = {folder.plant(at(hour, 20), unique=f"P{hour}") for hour in range(40, 67)}
    found = set()
    for before, now in pairwise(range(39, 71)):
        part = Folder(Chain(folder.objects, digests=folder.chain.digests[:now], now=at(now)))
        found |= {finding.key for finding in part.told(reader=folder.reader(), walked=known(part, before))}
    assert found == planted
