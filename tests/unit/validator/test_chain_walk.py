"""The walk along the digests, as its findings show it. What is not in any digest is another matter, and left out."""

import functools
import gzip

import pytest

from opentrail_validator import Checks, Kind, Subject, Verdict
from tests.evidence_maker import in_memory
from tests.evidence_maker.in_memory import BEGIN, pinned, wrong
from tests.evidence_maker.maker import HOUR, Chain, MadeObject, change_content, listed_key, private_key
from tests.evidence_maker.scenarios import SCENARIOS

findings_of = functools.partial(in_memory.findings_of, checks=Checks(coverage=False, unlisted=False))


@pytest.mark.parametrize("name", SCENARIOS)
def test_exactly_the_named_objects_are_invalid(name):
    scenario = SCENARIOS[name]("bucket", "other")
    findings = findings_of(scenario.chain, checks=Checks(coverage=False))
    invalid = {(f.bucket, f.key) for f in findings if f.verdict is Verdict.INVALID}
    assert invalid == set(scenario.named)
    assert not [f for f in findings if f.verdict is Verdict.UNCHECKED]


def test_findings_come_newest_first_and_each_digest_before_its_logs():
    chain = Chain().hours(2)
    keys = [f.key for f in findings_of(chain)]
    assert keys == [place[1] for place in (chain.digests[1], *chain.logs[2:], chain.digests[0], *chain.logs[:2])]


def test_valid_digests_tell_their_window():
    (digest,) = [f for f in findings_of(Chain().hours(1)) if f.subject is Subject.DIGEST]
    assert (digest.start, digest.end) == (BEGIN, BEGIN + HOUR)


def test_a_gap_tells_from_when_to_when():
    chain = Chain().hours(1).restart(pause=5 * HOUR).hours(1)
    (gap,) = [f for f in findings_of(chain) if f.kind is Kind.GAP]
    assert (gap.start, gap.end) == (BEGIN + HOUR, BEGIN + 6 * HOUR)


def test_the_first_digest_of_all_is_no_gap():
    assert wrong(findings_of(Chain().hours(2))) == []


# --- What the AWS CLI does not look at: the predecessor is compared with what was recorded


def fork(chain, **changes):
    """Another digest, also signed with the right key, in the place of the middle one."""
    other = Chain(objects={}).hours(1)
    place = other.hour(**changes)
    assert place == chain.digests[1]
    chain.objects[place] = other.objects[place]
    return place


def test_a_signed_digest_that_leaves_a_log_file_out_is_not_the_recorded_one():
    chain = Chain().hours(3)
    place = fork(chain, logs=1)
    (finding,) = [f for f in findings_of(chain) if f.verdict is Verdict.INVALID]
    assert (finding.kind, finding.bucket, finding.key) == (Kind.CHAIN_BROKEN, *place)
    assert finding.detail == "hash, signature"


@pytest.mark.parametrize(
    ("field", "value", "detail"),
    [("previousDigestHashValue", "0" * 64, "hash"), ("previousDigestSignature", "ab" * 256, "signature")],
)
def test_a_recorded_hash_or_signature_that_does_not_fit_is_found(field, value, detail):
    chain = Chain().hours(1)
    chain.hour(**{field: value})
    (finding,) = [f for f in findings_of(chain) if f.verdict is Verdict.INVALID]
    assert (finding.kind, finding.detail) == (Kind.CHAIN_BROKEN, detail)
    assert (finding.bucket, finding.key) == chain.digests[0]


def test_a_link_to_a_digest_of_any_name_is_followed_and_the_walk_goes_on():
    chain = Chain().hours(2)
    chain.hour(previousDigestS3Object="anything/at/all")
    assert wrong(findings_of(chain)) == [(Kind.NOT_FOUND, ("trail-logs", "anything/at/all"))]
    assert {f.key for f in findings_of(chain)} > {place[1] for place in chain.digests}


def test_a_digest_that_links_to_itself_does_not_trap_the_walk():
    chain = Chain().hours(2)
    own_key = chain.digests[1][1].replace("T120731Z", "T130731Z")
    newest = chain.hour(previousDigestS3Object=own_key)
    assert newest[1] == own_key
    findings = findings_of(chain)
    assert wrong(findings) == [(Kind.CHAIN_BROKEN, newest)]
    assert {f.key for f in findings} > {place[1] for place in chain.digests}


def test_digests_that_link_to_each_other_in_a_circle_do_not_trap_the_walk():
    chain = Chain().hours(2)
    back = chain.digests[1]
    middle = chain.hour(previousDigestS3Object=back[1].replace("T120731Z", "T140731Z"))
    newest = chain.hour(previousDigestS3Object=middle[1])
    assert newest[1] == back[1].replace("T120731Z", "T140731Z")
    assert wrong(findings_of(chain)) == [(Kind.CHAIN_BROKEN, newest)]


def test_linked_digests_that_leave_time_out_are_told_once_at_the_end():
    chain = Chain().hours(2)
    chain.now += 2 * HOUR
    chain.hours(2)
    findings = findings_of(chain)
    assert [(f.kind, f.subject, f.start, f.end) for f in findings if f.verdict is not Verdict.VALID] == [
        (Kind.HOUR_WITHOUT_DIGEST, Subject.CHAIN, BEGIN + 2 * HOUR, BEGIN + 4 * HOUR)
    ]
    assert findings[-1].kind is Kind.HOUR_WITHOUT_DIGEST


def test_linked_digests_that_tell_of_a_time_twice_are_told_too():
    chain = Chain().hours(2)
    chain.now -= HOUR // 2
    chain.hours(2)
    findings = findings_of(chain)
    assert [(f.kind, f.start, f.end) for f in findings if f.verdict is not Verdict.VALID] == [
        (Kind.HOUR_WITHOUT_DIGEST, BEGIN + 3 * HOUR // 2, BEGIN + 2 * HOUR)
    ]


# --- A well signed digest leads on, whatever else is wrong with it: so does the AWS CLI


def followed(chain, kind, place):
    """All log files are checked nevertheless, and a change of one is found."""
    victim = chain.logs[2]
    assert wrong(findings_of(chain)) == [(kind, place)]
    change_content(chain.objects, victim, b"Get", b"Put")
    assert wrong(findings_of(chain)) == [(kind, place), (Kind.HASH_MISMATCH, victim)]


@pytest.mark.parametrize(
    ("more", "kind"), [(b"\0", Kind.TRAILING_DATA), (gzip.compress(b"{}", mtime=0), Kind.SEVERAL_MEMBERS)]
)
def test_the_log_files_of_a_digest_that_is_followed_by_something_are_checked(more, kind):
    chain = Chain().hours(3)
    place = chain.digests[1]
    chain.objects[place] = MadeObject(chain.objects[place].body + more, chain.objects[place].metadata)
    followed(chain, kind, place)


def test_the_log_files_of_a_digest_that_claims_another_account_are_checked():
    chain = Chain().hours(1)
    place = chain.hour(awsAccountId="999999999999")
    followed(chain.hours(1), Kind.WRONG_CLAIM, place)


def test_the_log_files_of_a_digest_that_is_not_the_recorded_one_are_checked():
    chain = Chain().hours(3)
    followed(chain, Kind.CHAIN_BROKEN, fork(chain, note="another one"))


def test_what_a_digest_recorded_that_is_not_the_recorded_one_convicts_nobody():
    chain = Chain().hours(3)
    place = fork(chain, previousDigestHashValue="0" * 64)
    assert wrong(findings_of(chain)) == [(Kind.CHAIN_BROKEN, place)]


def test_digests_signed_with_a_key_that_had_expired_are_named():
    chain = Chain().hours(3)
    key = listed_key(private_key(0)) | {"ValidityEndTime": BEGIN + 2 * HOUR}
    assert wrong(findings_of(chain, keys=pinned(key))) == [(Kind.KEY_OUTSIDE_VALIDITY, chain.digests[2])]


# --- Consecutive digests that are missing


def test_each_of_several_missing_digests_is_named():
    chain = Chain().hours(6)
    for place in chain.digests[2:5]:
        del chain.objects[place]
    findings = findings_of(chain)
    assert wrong(findings) == [(Kind.NOT_FOUND, place) for place in reversed(chain.digests[2:5])]
    assert [f.detail[:8] for f in findings if f.kind is Kind.NOT_FOUND] == [
        chain.digests[4][1][:8],
        "expected",
        "expected",
    ]


def test_a_single_missing_digest_is_named_alone():
    chain = Chain().hours(3)
    del chain.objects[chain.digests[1]]
    assert wrong(findings_of(chain)) == [(Kind.NOT_FOUND, chain.digests[1])]


def test_before_the_oldest_digest_that_is_there_nothing_is_expected():
    chain = Chain().hours(4)
    del chain.objects[chain.digests[0]]
    del chain.objects[chain.digests[1]]
    assert wrong(findings_of(chain)) == [(Kind.NOT_FOUND, chain.digests[1])]


def cut_short(chain, seconds):
    """A last digest, as when logging stops."""
    start, chain.now = chain.now, chain.now + seconds
    return chain.put_digest(chain._digest(start, chain.now, []))


@pytest.mark.parametrize("hours", [2, 5])
@pytest.mark.parametrize("seconds", [1, 45, 1200])
def test_before_a_digest_that_was_cut_short_others_are_expected_each_hour(seconds, hours):
    chain = Chain().hours(hours)
    cut_short(chain, seconds)
    del chain.objects[chain.digests[-2]]
    assert wrong(findings_of(chain)) == [(Kind.NOT_FOUND, chain.digests[-2])]


def test_digests_that_come_more_often_are_expected_as_often():
    chain = Chain()
    for _ in range(9):
        cut_short(chain, 600)
    cut_short(chain, 5)
    for place in chain.digests[5:9]:
        del chain.objects[place]
    assert wrong(findings_of(chain)) == [(Kind.NOT_FOUND, place) for place in reversed(chain.digests[5:9])]
