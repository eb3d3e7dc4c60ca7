"""Which digests a walk looks at, and what is told of those that do not answer."""

import dataclasses
import functools

import pytest

from opentrail_validator import Checks, Kind, Subject
from tests.evidence_maker import in_memory
from tests.evidence_maker.in_memory import BEGIN, InMemory, wrong
from tests.evidence_maker.maker import HOUR, Chain, change_content

findings_of = functools.partial(in_memory.findings_of, checks=Checks(coverage=False, unlisted=False))


# --- Which digests


def test_digests_of_other_trails_regions_and_accounts_are_left_alone():
    chain = Chain().hours(1)
    for other in (
        {"trail": "audit_eu-west-1_x"},
        {"region": "eu-west-11"},
        {"account": "999999999999"},
        {"prefix": "p"},
    ):
        strange = Chain(chain.objects, **other).hours(1)
        change_content(chain.objects, strange.digests[0], b'"logFiles"', b' "logFiles"')
    assert wrong(findings_of(chain)) == []


def test_digests_before_the_start_are_not_read():
    chain = Chain(now=BEGIN - 3 * HOUR).hours(4)
    digests = [f.key for f in findings_of(chain) if f.subject is Subject.DIGEST]
    # The one that ends at the start is still read, as by the AWS CLI.
    assert digests == [chain.digests[3][1], chain.digests[2][1]]


def test_a_digest_that_ends_at_the_start_is_listed():
    chain = Chain(now=BEGIN - HOUR).hours(1)
    assert [f.key for f in findings_of(chain)] == [chain.digests[0][1], *(place[1] for place in chain.logs)]


def test_a_digest_up_to_an_hour_after_the_end_is_read():
    chain = Chain().hours(4)
    digests = [f.key for f in findings_of(chain, hours=2) if f.subject is Subject.DIGEST]
    assert digests == [place[1] for place in reversed(chain.digests[:3])]


def test_nothing_is_kept_of_an_object_that_is_larger_than_any_digest():
    """Many of them are read ahead; sparse files of a directory would fill the memory."""
    chain = Chain().hours(3)
    place = chain.digests[1]
    chain.objects[place] = dataclasses.replace(chain.objects[place], body=bytes((1 << 24) + 1))
    (found,) = [f for f in findings_of(chain) if f.kind is Kind.MALFORMED]
    assert (found.bucket, found.key) == place
    assert found.detail == "it has 16,777,217 bytes, no digest has more than 16,777,216"


# --- Could not be checked


@pytest.mark.parametrize("lost", ["digest", "log"])
def test_an_object_that_does_not_answer_is_not_checked_and_the_rest_is(lost):
    chain = Chain().hours(3)
    place = chain.digests[1] if lost == "digest" else chain.logs[3]
    findings = findings_of(chain, InMemory(chain.objects, lost=(place,)))
    assert wrong(findings) == [(Kind.NOT_CHECKED, place)]
    assert [f.detail for f in findings if f.kind is Kind.NOT_CHECKED] == ["connection reset"]
    assert {f.key for f in findings if f.subject is Subject.DIGEST} == {place[1] for place in chain.digests}


def test_a_bucket_that_cannot_be_listed_is_one_finding():
    chain = Chain().hours(1)
    findings = findings_of(chain, InMemory(chain.objects, unlistable=("trail-logs",)))
    assert [(f.kind, f.subject) for f in findings] == [(Kind.NOT_CHECKED, Subject.LISTING)]


def test_an_earlier_bucket_that_cannot_be_listed_stops_only_there():
    chain = Chain(bucket="old").hours(1)
    chain.bucket = "new"
    chain.hours(1)
    findings = findings_of(chain, InMemory(chain.objects, unlistable=("old",)))
    assert wrong(findings) == [(Kind.NOT_CHECKED, ("old", f"AWSLogs/{chain.account}/CloudTrail-Digest/eu-west-1/"))]
    assert findings[0].kind is Kind.VALID


def without_metadata(chain):
    return {place: dataclasses.replace(made, metadata=None) for place, made in chain.objects.items()}


def test_of_a_copy_without_metadata_only_the_newest_digest_cannot_be_checked():
    chain = Chain().hours(3)
    findings = findings_of(chain, InMemory(without_metadata(chain)))
    assert wrong(findings) == [(Kind.NOT_CHECKED, chain.digests[2])]
    assert len([f for f in findings if f.subject is Subject.LOG_FILE]) == 4


def test_a_change_in_a_copy_without_metadata_is_found():
    chain = Chain().hours(4)
    change_content(chain.objects, chain.digests[1], b'"logFiles"', b' "logFiles"')
    findings = findings_of(chain, InMemory(without_metadata(chain)))
    assert (Kind.BAD_SIGNATURE, chain.digests[1]) in wrong(findings)


def test_the_signature_that_an_unproven_digest_recorded_convicts_nobody():
    chain = Chain().hours(2)
    chain.hour(previousDigestSignature="ab" * 256)
    findings = findings_of(chain, InMemory(without_metadata(chain)))
    assert {kind for kind, _ in wrong(findings)} == {Kind.NOT_CHECKED}


def test_nor_does_the_hash_that_an_unproven_digest_recorded():
    chain = Chain().hours(2)
    newest = chain.hour(previousDigestHashValue="0" * 64)
    assert wrong(findings_of(chain, InMemory(without_metadata(chain)))) == [(Kind.NOT_CHECKED, newest)]
