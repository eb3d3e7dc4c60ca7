import uuid

from opentrail.evidence.digest import PreviousDigest
from opentrail.evidence.digest_chain import first_end, link, next_end

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


PREVIOUS = link(b"{}", "ab", "bucket", "key")


def test_a_link_holds_the_hash_of_the_uncompressed_bytes():
    # SHA-256 of "{}", from any other tool.
    assert PREVIOUS.hash_value == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"


def test_a_link_is_a_value():
    assert link(b"{}", "ab", "bucket", "key") == PreviousDigest("bucket", "key", PREVIOUS.hash_value, "ab")
