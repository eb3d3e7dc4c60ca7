"""The newest head before the time asked for: it may say that the chain had ended."""

from itertools import pairwise

import pytest

from opentrail_validator import Checks, Kind
from opentrail_validator.heads import read_heads
from opentrail_validator.readers.port import ApiNotReached, ApiRefused
from tests.evidence_maker.heads import ListedHeads, made_head
from tests.evidence_maker.in_memory import BEGIN, pinned, question_of
from tests.evidence_maker.maker import HOUR, Chain, listed_key, private_key

KEYS = pinned(listed_key(private_key(0))).between(0, 0)
LATER = {"start": BEGIN + 30 * 24 * HOUR, "end": BEGIN + 31 * 24 * HOUR}


def read(chain, source, **changes):
    return read_heads(question_of(chain, **changes), source, [chain.bucket], KEYS)


def test_the_newest_head_before_the_time_asked_for_is_looked_for_if_there_is_none_in_it():
    chain = Chain().hours(3)
    source = ListedHeads([made_head(chain, chain.digests[2], chainEnded=True), made_head(chain, chain.digests[1])])
    heads = read(chain, source, **LATER)
    assert heads.known == ()
    assert heads.earlier is not None
    assert (heads.newest, heads.earlier.end, heads.earlier.ended) == (heads.earlier, BEGIN + 3 * HOUR, True)
    spans = sorted((start, end) for _, _, start, end in source.asked)
    assert all(end < later for (_, end), (later, _) in pairwise(spans))
    off = Checks(coverage=False)
    assert read(chain, source, **LATER, checks=off).earlier is None


def test_an_earlier_head_that_is_bad_is_not_this_questions():
    chain = Chain().hours(3)
    source = ListedHeads([made_head(chain, chain.digests[2], signed_by=5)])
    heads = read(chain, source, start=BEGIN + 3000 * HOUR, end=BEGIN + 3001 * HOUR)
    assert (heads.earlier, heads.findings, heads.complete) == (None, (), True)


class EarlierKeys:
    """The key of an earlier time, or none that can be had."""

    def __init__(self, error=None):
        self.error = error
        self.asked = []

    def between(self, start, end):
        self.asked.append((start, end))
        if self.error is not None:
            raise self.error
        return pinned(listed_key(private_key(5))).between(start, end)


def test_the_key_of_an_earlier_head_is_asked_for_where_it_is_not_of_the_time_asked_for():
    chain = Chain(key_number=5).hours(3)
    head = made_head(chain, chain.digests[2], chainEnded=True)
    keys = EarlierKeys()
    heads = read_heads(question_of(chain, **LATER), ListedHeads([head]), [chain.bucket], KEYS, keys)
    assert heads.earlier is not None
    assert heads.earlier.ended
    ((start, end),) = keys.asked
    assert start <= BEGIN + 3 * HOUR <= end


@pytest.mark.parametrize("error", [ApiRefused("no"), ApiNotReached("connection reset")])
def test_where_the_key_of_an_earlier_head_cannot_be_asked_for_it_is_open_whether_the_chain_had_ended(error):
    chain = Chain(key_number=5).hours(3)
    heads = ListedHeads([made_head(chain, chain.digests[2], chainEnded=True)])
    found = read_heads(question_of(chain, **LATER), heads, [chain.bucket], KEYS, EarlierKeys(error))
    assert [finding.kind for finding in found.findings] == [Kind.NOT_CHECKED]
    assert (found.earlier, found.complete) == (None, False)
