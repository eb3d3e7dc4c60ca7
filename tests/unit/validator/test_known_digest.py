"""What a run before has verified is not read again, and must still be what the chain leads to."""

import gzip
import hashlib
from dataclasses import replace

from opentrail_validator import Checks, Kind, Sources, Span, Subject, Verdict
from opentrail_validator.chain_validation import ChainValidation
from opentrail_validator.walked import VerifiedDigest
from tests.evidence_maker.heads import ListedHeads, made_head
from tests.evidence_maker.in_memory import BEGIN, InMemory, findings_of, pinned, place_of, question_of, wrong
from tests.evidence_maker.maker import HOUR, Chain, listed_key, private_key

KEYS = pinned(listed_key(private_key(0)))


def run(chain, hours, *, known=None, heads=None, objects=None, **changes):
    """The findings and the result."""
    question = question_of(chain, hours, **changes)
    sources = Sources(objects=objects or InMemory(chain.objects), public_keys=KEYS, heads=heads)
    validation = ChainValidation(question, sources, known)
    return list(validation.findings()), validation.result


def known_of(chain, place):
    made = chain.objects[place]
    data = gzip.decompress(made.body)
    (digest,) = [f for f in findings_of(chain) if (f.bucket, f.key) == place and f.kind is Kind.VALID]
    return VerifiedDigest(
        bucket=place[0],
        key=place[1],
        start=digest.start,
        end=digest.end,
        sha256=hashlib.sha256(data).hexdigest(),
        signature=made.metadata["signature"],
        previous_signature=None,
        fingerprint=listed_key(private_key(0))["Fingerprint"],
    )


def test_only_what_is_newer_than_the_known_digest_is_read():
    chain = Chain().hours(5)
    objects = InMemory(chain.objects)
    known = known_of(chain, chain.digests[2])
    findings, result = run(chain, 5, known=known, objects=objects, checks=Checks(unlisted=False))
    assert wrong(findings) == []
    assert set(objects.read) - {*chain.digests[3:], *chain.logs[6:]} <= {chain.digests[2]}
    assert result.covered == (Span(BEGIN, BEGIN + 5 * HOUR),)
    assert result.known_until == BEGIN + 3 * HOUR
    assert (result.newest.bucket, result.newest.key) == chain.digests[-1]


def test_where_nothing_is_newer_the_known_digest_itself_is_looked_at():
    chain = Chain().hours(3)
    known = known_of(chain, chain.digests[2])
    objects = InMemory(chain.objects)
    findings, result = run(chain, 3, known=known, objects=objects)
    assert [(f.kind, (f.bucket, f.key)) for f in findings] == [(Kind.VALID, chain.digests[2])]
    assert (result.newest.key, result.known_until) == (known.key, known.end)
    assert result.covered == (Span(BEGIN, BEGIN + 3 * HOUR),)
    assert not set(objects.read) & set(chain.logs)


def test_after_a_pause_the_known_digest_is_met_by_listing():
    chain = Chain().hours(3)
    known = known_of(chain, chain.digests[2])
    chain.restart(2 * HOUR).hours(2)
    findings, result = run(chain, 7, known=known, checks=Checks(coverage=False))
    assert {kind for kind, _ in wrong(findings)} == {Kind.GAP}
    assert result.known_until == known.end


def test_a_known_digest_that_was_removed_is_missing_and_everything_is_read():
    chain = Chain().hours(4)
    known = known_of(chain, chain.digests[3])
    del chain.objects[chain.digests[3]]
    findings, result = run(chain, 4, known=known, checks=Checks(coverage=False))
    assert wrong(findings) == [(Kind.NOT_FOUND, chain.digests[3])]
    assert {(f.bucket, f.key) for f in findings if f.kind is Kind.VALID} == {*chain.digests[:3], *chain.logs[:6]}
    assert result.known_until is None


def test_a_known_digest_in_an_earlier_bucket_is_where_the_walk_begins_if_nothing_is_newer():
    chain = Chain(bucket="old").hours(3)
    known = known_of(chain, chain.digests[2])
    findings, result = run(chain, 3, known=known, place=place_of(Chain(bucket="new")))
    assert [(f.kind, f.bucket, f.key) for f in findings] == [(Kind.VALID, *chain.digests[2])]
    assert result.known_until == known.end


def test_a_history_that_was_written_anew_is_seen_at_the_known_digest():
    """All is well signed: only the run before knows that it was another."""
    chain = Chain().hours(5)
    known = known_of(chain, chain.digests[2])
    anew = Chain().hours(2)
    anew.hour(note="another one")
    anew.hours(2)
    findings, result = run(anew, 5, known=known, checks=Checks(coverage=False))
    assert wrong(findings) == [(Kind.CHAIN_BROKEN, chain.digests[2])]
    assert "an earlier run" in next(f.detail for f in findings if f.kind is Kind.CHAIN_BROKEN)
    assert len([f for f in findings if f.subject is Subject.DIGEST]) == 5
    assert result.known_until is None


def test_a_history_that_leaves_the_known_digest_out_is_a_fork():
    chain = Chain().hours(3)
    known = known_of(chain, chain.digests[2])
    anew = Chain(dict(chain.objects)).hours(2)
    anew.hour(digestS3Object=chain.digests[2][1].replace("T130731Z", "T130730Z"))
    anew.hours(2)
    findings, result = run(anew, 5, known=known, checks=Checks(coverage=False, unlisted=False))
    assert wrong(findings) == [(Kind.FORK, chain.digests[2])]
    assert "an earlier run" in next(f.detail for f in findings if f.kind is Kind.FORK)
    assert {(f.bucket, f.key) for f in findings if f.kind is Kind.VALID} >= {*anew.digests, *anew.logs}
    assert result.known_until is None


def test_a_known_digest_that_cannot_be_read_is_not_checked():
    chain = Chain().hours(3)
    known = known_of(chain, chain.digests[2])
    objects = InMemory(chain.objects, lost=(chain.digests[2],))
    findings, result = run(chain, 3, known=known, objects=objects)
    assert {f.verdict for f in findings} == {Verdict.VALID, Verdict.UNCHECKED}
    assert result.known_until is None


def test_a_known_digest_of_after_the_time_asked_for_is_no_help_and_no_harm():
    chain = Chain().hours(6)
    findings, result = run(chain, 1, known=known_of(chain, chain.digests[5]))
    assert wrong(findings) == []
    assert result.known_until is None


def test_nor_is_one_of_before_it():
    chain = Chain(now=BEGIN - HOUR).hours(6)
    findings, result = run(chain, 5, known=replace(known_of(chain, chain.digests[1]), end=BEGIN))
    assert wrong(findings) == []
    assert result.known_until is None


# --- Heads


def test_heads_of_before_the_known_digest_are_not_asked_for():
    chain = Chain().hours(5)
    heads = ListedHeads([made_head(chain, place) for place in chain.digests])
    known = known_of(chain, chain.digests[2])
    findings, _ = run(chain, 5, known=known, heads=heads)
    assert wrong(findings) == []
    assert [(start, end) for _, _, start, end in heads.asked] == [(known.end, BEGIN + 6 * HOUR)]


def test_where_the_known_digest_is_passed_by_all_heads_count():
    """Nothing but its head tells of the last digest before a pause."""
    chain = Chain().hours(2).restart().hours(4)
    heads = ListedHeads([made_head(chain, place) for place in chain.digests])
    known = known_of(chain, chain.digests[4])
    removed = [chain.digests[number] for number in (1, 4, 5)]
    for place in removed:
        del chain.objects[place]
    findings, _ = run(chain, 11, known=known, heads=heads, checks=Checks(coverage=False))
    told = {place for kind, place in wrong(findings) if kind is Kind.NOT_FOUND}
    assert told == set(removed)
    assert [start for _, _, start, _ in heads.asked] == [known.end, BEGIN]


def test_an_end_that_the_known_digests_head_tells_of_is_remembered():
    chain = Chain().hours(5)
    heads = ListedHeads([made_head(chain, place, chainEnded=place == chain.digests[-1]) for place in chain.digests])
    findings, _ = run(chain, 40, known=known_of(chain, chain.digests[-1]), heads=heads)
    assert wrong(findings) == []
