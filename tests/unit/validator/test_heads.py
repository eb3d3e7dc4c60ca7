"""Chain heads: which count, which contradict each other, and what is missing by their word."""

import base64

import pytest

from opentrail.evidence.chain_head import parse_head
from opentrail_validator import Kind, PublicKey, Subject
from opentrail_validator import heads as heads_module
from opentrail_validator.heads import check_heads, read_heads
from tests.evidence_maker.heads import ListedHeads, canonical, made_head
from tests.evidence_maker.in_memory import BEGIN, pinned, question_of
from tests.evidence_maker.maker import HOUR, Chain, iso, listed_key, private_key, sign
from tests.evidence_maker.walked import walked_of

KEYS = pinned(listed_key(private_key(0))).between(0, 0)


def read(chain, heads, keys=KEYS, **changes):
    source = heads if isinstance(heads, ListedHeads) else ListedHeads(heads)
    return read_heads(question_of(chain, **changes), source, [chain.bucket], keys)


def kinds(findings):
    return [finding.kind for finding in findings]


def all_heads(chain):
    return [made_head(chain, place) for place in chain.digests]


def test_without_a_source_there_are_no_heads_and_nothing_to_tell():
    heads = read_heads(question_of(Chain()), None, ["b"], KEYS)
    assert (heads.known, heads.findings, heads.complete, heads.newest) == ((), (), True, None)


def test_good_heads_are_known_newest_first_in_whatever_order_they_come():
    chain = Chain().hours(3)
    heads = read(chain, all_heads(chain))
    assert [head.digest_key for head in heads.known] == [key for _, key in reversed(chain.digests)]
    assert read(chain, reversed(all_heads(chain))) == heads
    assert heads.findings == ()


def test_the_source_is_asked_for_what_the_walk_visits():
    chain = Chain().hours(1)
    source = ListedHeads(all_heads(chain))
    read(chain, source)
    end = BEGIN + 48 * HOUR
    assert source.asked == [(chain.bucket, question_of(chain).place.folder, BEGIN, end + HOUR)]


def test_heads_of_other_trails_buckets_and_times_do_not_count_and_are_not_wrong():
    chain = Chain().hours(2)
    other_trail = Chain(chain.objects, trail="other").hours(1)
    other_bucket = Chain(chain.objects, bucket="old").hours(1)
    given = [made_head(other_trail, other_trail.digests[0]), made_head(other_bucket, other_bucket.digests[0])]
    heads = read(chain, [*given, *all_heads(chain)], hours=0)
    assert [head.end for head in heads.known] == [BEGIN + HOUR]
    assert heads.findings == ()


def altered(head):
    chain = Chain().hours(1)
    return {
        "not json": b"{",
        "no head": b"[]",
        "hash": head | {"digestHashValue": "0" * 64},
        "sequence": head | {"sequence": 9},
        "place": head | {"digestS3Object": head["digestS3Object"].replace("_audit_", "_other_")},
        "unknown field": head | {"more": 1},
        "unsigned": head | {"signature": "00"},
        "another's signature": head | {"signature": made_head(chain, chain.digests[0], sequence=7)["signature"]},
        "signed by an unknown key": made_head(chain, chain.digests[0], signed_by=5),
        "another end than its name": made_head(chain, chain.digests[0], digestEndTime=iso(BEGIN + HOUR + 1)),
        "another account": made_head(chain, chain.digests[0], awsAccountId="999999999999"),
        "no digest": made_head(chain, chain.digests[0], digestS3Object="a"),
    }


CHAIN = Chain().hours(1)


@pytest.mark.parametrize("case", altered(made_head(CHAIN, CHAIN.digests[0])))
def test_a_bad_head_is_told_and_does_not_count(case):
    head = altered(made_head(CHAIN, CHAIN.digests[0]))[case]
    heads = read(CHAIN, [head])
    assert kinds(heads.findings) == [Kind.BAD_HEAD]
    assert heads.findings[0].subject is Subject.HEAD
    assert heads.findings[0].detail
    assert heads.known == ()
    assert heads.complete


def test_what_is_no_head_is_parsed_once_however_often_the_source_gives_it(monkeypatch):
    """A look for the newest earlier head asks again and again, and a file gives what it cannot place each time."""
    parsed = []
    monkeypatch.setattr(heads_module, "parse_head", lambda data: parsed.append(data) or parse_head(data))
    source = ListedHeads([b"{"])
    assert kinds(read(CHAIN, source).findings) == [Kind.BAD_HEAD]
    assert len(source.asked) > 2
    assert parsed == [b"{"]


def test_an_unknown_key_is_named():
    head = made_head(CHAIN, CHAIN.digests[0], signed_by=5)
    assert head["publicKeyFingerprint"] in read(CHAIN, [head]).findings[0].detail


def test_other_bytes_under_the_keys_fingerprint_prove_nothing():
    head = made_head(CHAIN, CHAIN.digests[0])
    forged = head | {"signature": sign(b"OpenTrail chain head 1\n" + canonical(head), 5)}
    other = PublicKey(base64.b64decode(listed_key(private_key(5))["Value"]))
    (finding,) = read(CHAIN, [forged], {head["publicKeyFingerprint"]: other}).findings
    assert finding.kind is Kind.BAD_HEAD
    assert "another one" in finding.detail


@pytest.mark.parametrize(("valid_from", "valid_until"), [(BEGIN + HOUR + 1, None), (None, BEGIN + HOUR - 1)])
def test_a_key_that_was_not_valid_at_the_digests_end_proves_nothing(valid_from, valid_until):
    head = made_head(CHAIN, CHAIN.digests[0])
    key = PublicKey(KEYS[head["publicKeyFingerprint"]].der, valid_from, valid_until)
    heads = read(CHAIN, [head], {head["publicKeyFingerprint"]: key})
    assert kinds(heads.findings) == [Kind.BAD_HEAD]
    assert "not valid" in heads.findings[0].detail
    at_the_edge = PublicKey(key.der, BEGIN + HOUR, BEGIN + HOUR)
    assert len(read(CHAIN, [head], {head["publicKeyFingerprint"]: at_the_edge}).known) == 1


def test_a_source_that_fails_is_not_checked_and_what_it_gave_before_counts():
    chain = Chain().hours(2)
    heads = read(chain, ListedHeads([b"{", *all_heads(chain)], broken=True))
    assert kinds(heads.findings) == [Kind.BAD_HEAD, Kind.NOT_CHECKED]
    assert "a list: connection reset" in heads.findings[1].detail
    assert not heads.complete
    assert len(heads.known) == 2


def test_two_heads_of_one_digest_that_say_the_same_are_one():
    later = made_head(CHAIN, CHAIN.digests[0], headTime=iso(BEGIN + 9 * HOUR), chainEnded=True)
    heads = read(CHAIN, [later, made_head(CHAIN, CHAIN.digests[0])])
    assert [head.ended for head in heads.known] == [True]
    assert heads.findings == ()


@pytest.mark.parametrize("changes", [{"digestHashValue": "0" * 64}, {"digestSignature": "00"}])
def test_two_signed_heads_of_one_digest_that_disagree_are_a_fork(changes):
    heads = read(CHAIN, [made_head(CHAIN, CHAIN.digests[0]), made_head(CHAIN, CHAIN.digests[0], **changes)])
    assert kinds(heads.findings) == [Kind.FORK]
    assert (heads.findings[0].bucket, heads.findings[0].key) == CHAIN.digests[0]


def test_one_number_for_two_digests_is_a_fork_and_so_are_numbers_that_fall():
    chain = Chain().hours(2)
    first, second = chain.digests
    same = [made_head(chain, first, sequence=4), made_head(chain, second, sequence=4)]
    falling = [made_head(chain, first, sequence=4), made_head(chain, second, sequence=3)]
    of_two_chains = [made_head(chain, first, sequence=4), made_head(chain, second, sequence=3, chainId="chain-2")]
    assert kinds(read(chain, same).findings) == [Kind.FORK]
    assert kinds(read(chain, falling).findings) == [Kind.FORK]
    assert kinds(read(chain, of_two_chains).findings) == []


# --- compared with the walk ---------------------------------------------------------------------


def checked(chain, heads, walked, **changes):
    question = question_of(chain, **changes)
    return list(check_heads(read(chain, heads, **changes), walked, question))


def test_heads_of_digests_that_the_walk_found_valid_say_nothing():
    chain = Chain().hours(3)
    assert checked(chain, all_heads(chain), walked_of(chain)) == []


@pytest.mark.parametrize("changes", [{"digestHashValue": "0" * 64}, {"digestSignature": "00"}])
def test_a_valid_digest_that_is_not_the_one_recorded_breaks_the_chain(changes):
    chain = Chain().hours(3)
    (finding,) = checked(chain, [made_head(chain, chain.digests[1], **changes)], walked_of(chain))
    assert (finding.kind, finding.bucket, finding.key) == (Kind.CHAIN_BROKEN, *chain.digests[1])


@pytest.mark.parametrize("is_visited", [True, False])
def test_the_newest_digest_is_missing(is_visited):
    chain = Chain().hours(3)
    heads = all_heads(chain)
    removed = chain.digests[2]
    walked = walked_of(chain, missing=[removed])
    if not is_visited:
        chain.digests.pop()
        walked = walked_of(chain)
    (finding,) = checked(chain, heads, walked)
    assert (finding.kind, finding.subject) == (Kind.NEWEST_MISSING, Subject.HEAD)
    assert (finding.bucket, finding.key) == removed
    assert (finding.start, finding.end) == (BEGIN + 2 * HOUR, BEGIN + 3 * HOUR)


def test_all_digests_are_missing():
    chain = Chain().hours(3)
    heads = all_heads(chain)
    removed, chain.digests = chain.digests, []
    findings = checked(chain, heads, walked_of(chain))
    assert [(finding.kind, (finding.bucket, finding.key)) for finding in findings] == [
        (Kind.NEWEST_MISSING, removed[2]),
        (Kind.NOT_FOUND, removed[1]),
        (Kind.NOT_FOUND, removed[0]),
    ]
    assert (findings[0].start, findings[0].end) == (BEGIN, BEGIN + 3 * HOUR)


def test_a_digest_in_the_middle_that_no_walk_came_to_is_not_found():
    chain = Chain().hours(3)
    heads = all_heads(chain)
    removed = chain.digests.pop(1)
    (finding,) = checked(chain, heads, walked_of(chain))
    assert (finding.kind, finding.subject, finding.key) == (Kind.NOT_FOUND, Subject.DIGEST, removed[1])


def test_what_the_walk_told_already_is_not_told_again():
    chain = Chain().hours(4)
    heads = all_heads(chain)
    walked = walked_of(chain, missing=[chain.digests[1]], wrong=[chain.digests[3]])
    assert checked(chain, heads, walked) == []


def test_a_walk_that_could_not_read_all_is_told_nothing_of_what_should_be_there():
    chain = Chain().hours(3)
    heads = all_heads(chain)
    chain.digests.pop()
    walked = walked_of(chain)
    walked.complete = False
    assert checked(chain, heads, walked) == []


def test_what_a_run_before_had_verified_is_not_asked_for_but_what_is_newer_is():
    chain = Chain().hours(3)
    heads = all_heads(chain)
    chain.digests = []
    walked = walked_of(chain)
    walked.reached_known, walked.known_until = True, BEGIN + 2 * HOUR
    (finding,) = checked(chain, heads, walked)
    assert (finding.kind, finding.start, finding.end) == (Kind.NEWEST_MISSING, BEGIN + 2 * HOUR, BEGIN + 3 * HOUR)
    walked.known_until = BEGIN + 3 * HOUR
    assert checked(chain, heads, walked) == []


def test_heads_after_the_time_asked_for_raise_no_alarm():
    chain = Chain().hours(6)
    heads = all_heads(chain)
    chain.digests = chain.digests[:3]
    assert checked(chain, heads, walked_of(chain), hours=2) == []
