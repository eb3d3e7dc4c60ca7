"""Listed digests that the walk passed by."""

import functools

import pytest

from opentrail_validator import Checks, Kind, Subject, Verdict
from opentrail_validator.digest_lists import DigestLists
from tests.evidence_maker import in_memory
from tests.evidence_maker.in_memory import BEGIN, InMemory, place_of, wrong
from tests.evidence_maker.maker import HOUR, Chain, MadeObject, change_content

findings_of = functools.partial(in_memory.findings_of, checks=Checks(coverage=False, unlisted=False))


def put_back(chain, place, later):
    """An object's bytes under another name."""
    chain.objects[later] = chain.objects[place]
    return later


def test_a_digest_put_back_between_others_is_looked_at():
    chain = Chain().hours(3)
    place = chain.digests[0]
    later = put_back(chain, place, (place[0], place[1].replace("T110731Z", "T123731Z")))
    assert wrong(findings_of(chain)) == [(Kind.MOVED, later)]


def test_a_well_signed_digest_that_nothing_leads_to_is_a_fork():
    chain = Chain().hours(2)
    other = Chain(chain.objects, now=chain.now + 60, previous=chain.previous).hours(1)
    chain.hours(2)
    assert wrong(findings_of(chain)) == [(Kind.FORK, other.digests[0])]


def test_a_chain_of_its_own_between_the_digests_is_a_fork():
    chain = Chain().hours(4)
    other = Chain(chain.objects, now=BEGIN + 600).hours(2)
    assert wrong(findings_of(chain)) == [(Kind.FORK, place) for place in reversed(other.digests)]


def test_the_end_of_an_older_chain_after_the_next_one_began_is_no_fork():
    """Logging was off and on again within the hour: nothing leads to the last digests of before."""
    older = Chain().hours(5)
    newer = Chain(older.objects, now=older.now - 2 * HOUR - 1200).hours(6)
    findings = findings_of(newer)
    assert {kind for kind, _ in wrong(findings)} == {Kind.GAP}
    valid = {(f.bucket, f.key) for f in findings if f.verdict is Verdict.VALID}
    assert valid == {*older.digests, *older.logs, *newer.digests, *newer.logs}
    change_content(older.objects, older.logs[-1], b"Get", b"Put")
    assert (Kind.HASH_MISMATCH, older.logs[-1]) in wrong(findings_of(newer))


def test_two_ends_of_an_older_chain_are_a_fork():
    older = Chain().hours(4)
    second = Chain(older.objects, now=older.now - HOUR + 60, previous=None)
    second.previous = Chain().hours(3).previous
    second.hours(1)
    newer = Chain(older.objects, now=older.now - HOUR - 1200).hours(6)
    assert [place for kind, place in wrong(findings_of(newer)) if kind is Kind.FORK] == second.digests


def test_a_fork_that_does_not_answer_is_not_checked():
    chain = Chain().hours(2)
    other = Chain(chain.objects, now=chain.now + 60, previous=chain.previous).hours(1)
    chain.hours(2)
    findings = findings_of(chain, InMemory(chain.objects, lost=(other.digests[0],)))
    assert wrong(findings) == [(Kind.NOT_CHECKED, other.digests[0])]


def test_a_trail_that_came_back_to_an_earlier_bucket_is_no_fork():
    chain = Chain(bucket="one").hours(2)
    for bucket in ("two", "one", "three", "one"):
        chain.bucket = bucket
        chain.hours(2)
    findings = findings_of(chain)
    assert wrong(findings) == []
    digests = [(f.bucket, f.key) for f in findings if f.subject is Subject.DIGEST]
    assert digests == chain.digests[::-1]


def test_what_another_chain_put_later_into_an_earlier_bucket_is_not_of_this_walk():
    chain = Chain(bucket="old").hours(2)
    chain.bucket = "new"
    chain.hours(2)
    Chain(chain.objects, bucket="old", now=chain.now).hours(2)
    assert wrong(findings_of(chain, hours=3)) == []


@pytest.mark.parametrize("end", [2, 3, 4])
def test_digests_around_the_time_asked_for_are_no_forks(end):
    chain = Chain(now=BEGIN - 3 * HOUR).hours(3).restart(2 * HOUR).hours(5)
    assert {kind for kind, _ in wrong(findings_of(chain, hours=end))} <= {Kind.GAP}


def test_a_digest_that_is_put_while_the_walk_goes_on_is_no_fork():
    chain = Chain().hours(3)

    class Growing(InMemory):
        def get(self, bucket, key):
            if chain.now == BEGIN + 3 * HOUR:
                chain.hours(1)
            return super().get(bucket, key)

    assert wrong(findings_of(chain, Growing(chain.objects))) == []
    assert len(chain.digests) == 4


def test_backfill_digests_whose_links_pass_one_by_are_all_checked():
    chain = Chain().hours(4)
    late = Chain(chain.objects, backfill=True, now=BEGIN).hours(1)
    first = late.previous
    skipped = late.hour()
    late.previous = first
    late.hour()
    findings = findings_of(chain)
    assert wrong(findings) == []
    backfills = [(f.bucket, f.key) for f in findings if f.subject is Subject.BACKFILL_DIGEST]
    assert backfills == [late.digests[2], late.digests[0], skipped]
    assert {(f.bucket, f.key) for f in findings if f.subject is Subject.LOG_FILE} == {*chain.logs, *late.logs}


def test_many_backfill_digests_that_a_link_passes_by_are_not_looked_for_one_by_one(monkeypatch):
    chain = Chain().hours(1)
    late = Chain(chain.objects, backfill=True, now=BEGIN - HOUR).hours(1)
    late.now = BEGIN + 3 * HOUR
    late.hours(1)
    names = [str(place_of(chain).key(BEGIN + second)).replace("Z.", "Z_backfill.") for second in range(1, 201)]
    chain.objects |= {(chain.bucket, name): MadeObject(b"not gzip", {}) for name in names}
    asked = []
    listed = DigestLists.listed
    monkeypatch.setattr(DigestLists, "listed", lambda lists: asked.append(lists) or listed(lists))
    assert wrong(findings_of(chain)) == [(Kind.MALFORMED, (chain.bucket, name)) for name in reversed(names)]
    assert len(asked) < 5


STRANGE_NAMES = {
    "a name that the AWS CLI takes for a digest's": lambda key: key.replace("_20260301T12", "_copy of_20260301T12"),
    "another day's folder": lambda key: key.replace("/2026/03/01/", "/2026/03/02/"),
    "any other name": lambda key: key.rpartition("/")[0] + "/notes (1).txt",
}


@pytest.mark.parametrize("name", STRANGE_NAMES)
def test_what_lies_among_the_digests_and_is_not_named_like_one_is_told(name):
    chain = Chain().hours(3)
    bucket, key = chain.digests[1]
    strange = put_back(chain, (bucket, key), (bucket, STRANGE_NAMES[name](key)))
    assert strange != (bucket, key)
    assert wrong(findings_of(chain)) == [(Kind.MALFORMED, strange)]


def test_a_folder_that_a_console_made_is_nothing_strange():
    chain = Chain().hours(3)
    bucket, key = chain.digests[1]
    put_back(chain, chain.logs[0], (bucket, key.rpartition("/")[0] + "/"))
    assert not wrong(findings_of(chain))


def test_a_stray_that_is_taken_away_before_it_is_read_is_not_told():
    """Nothing says that it should be there."""
    chain = Chain().hours(3)
    place = chain.digests[0]
    later = put_back(chain, place, (place[0], place[1].replace("T110731Z", "T123731Z")))
    objects = InMemory(chain.objects)
    listed = list(objects.list(later[0], later[1].rpartition("/")[0]))
    del chain.objects[later]
    objects.list = lambda _bucket, prefix, after="": (
        entry for entry in listed if entry.key.startswith(prefix) and entry.key > after
    )
    assert wrong(findings_of(chain, objects)) == []
