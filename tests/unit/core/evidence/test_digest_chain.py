import dataclasses
import uuid

import pytest

from opentrail.evidence.digest import Digest, PreviousDigest
from opentrail.evidence.digest_chain import LinkDefect, first_end, follows, link, next_end, rising_end

START = 1_790_000_000


def test_the_first_digest_ends_within_an_hour_after_the_start():
    ends = {first_end(START, str(uuid.UUID(int=n))) for n in range(40_000)}
    assert min(ends) == START + 1
    assert max(ends) == START + 3600


def test_chains_are_spread_over_the_hour():
    minutes = {(first_end(START, str(uuid.UUID(int=n))) - START - 1) // 60 for n in range(1000)}
    assert len(minutes) == 60


def test_the_end_depends_on_nothing_but_the_chain():
    assert first_end(START, "chain") - START == first_end(0, "chain")


def test_the_next_digest_ends_an_hour_later():
    assert next_end(START) == START + 3600


@pytest.mark.parametrize(("last", "expected"), [(None, 100), (99, 100), (100, 101), (500, 501)])
def test_the_stamps_of_one_place_rise(last, expected):
    assert rising_end(100, last) == expected


PREVIOUS = link(b"{}", "ab", "bucket", "key")
CURRENT = Digest("1" * 12, 3600, 7200, "bucket", "next", "f", (), PREVIOUS)


def test_a_link_holds_the_hash_of_the_uncompressed_bytes():
    # SHA-256 of "{}", from any other tool.
    assert PREVIOUS.hash_value == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"


def test_a_digest_that_names_its_predecessor_follows_it():
    assert follows(PREVIOUS, 3600, CURRENT) == ()


def test_the_case_of_a_signature_does_not_matter():
    assert follows(dataclasses.replace(PREVIOUS, signature="AB"), 3600, CURRENT) == ()


@pytest.mark.parametrize(
    ("change", "defect"),
    [
        ({"s3_bucket": "other"}, LinkDefect.LOCATION),
        ({"s3_object": "other"}, LinkDefect.LOCATION),
        ({"hash_value": "0" * 64}, LinkDefect.HASH),
        ({"signature": "cd"}, LinkDefect.SIGNATURE),
    ],
)
def test_each_difference_is_named(change, defect):
    found = dataclasses.replace(PREVIOUS, **change)
    assert follows(found, 3600, CURRENT) == (defect,)


@pytest.mark.parametrize("end", [3599, 3601])
def test_time_between_two_digests_is_named(end):
    assert follows(PREVIOUS, end, CURRENT) == (LinkDefect.TIME,)


def test_a_starting_digest_follows_nothing():
    starting = dataclasses.replace(CURRENT, previous=None)
    assert follows(PREVIOUS, 3600, starting) == (LinkDefect.LOCATION, LinkDefect.HASH, LinkDefect.SIGNATURE)


def test_a_link_is_a_value():
    assert link(b"{}", "ab", "bucket", "key") == PreviousDigest("bucket", "key", PREVIOUS.hash_value, "ab")
