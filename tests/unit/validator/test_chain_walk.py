import base64
import dataclasses

import pytest

from opentrail_validator import Kind, NoPublicKeys, PinnedKeys, Subject, Verdict
from opentrail_validator.readers.port import ApiNotReached
from tests.evidence_maker.in_memory import BEGIN, InMemory, findings_of, pinned, wrong
from tests.evidence_maker.maker import HOUR, Chain, MadeObject, change_content, listed_key, private_key
from tests.evidence_maker.scenarios import SCENARIOS


@pytest.mark.parametrize("name", SCENARIOS)
def test_exactly_the_named_objects_are_invalid(name):
    scenario = SCENARIOS[name]("bucket", "other")
    findings = findings_of(scenario.chain)
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
    other.hour(**changes)
    place = other.digests[1]
    assert place == chain.digests[1]
    chain.objects[place] = other.objects[place]
    return place


def test_a_signed_digest_that_leaves_a_log_file_out_is_not_the_recorded_one():
    chain = Chain().hours(3)
    place = fork(chain, logs=1)
    (finding,) = [f for f in findings_of(chain) if f.verdict is Verdict.INVALID]
    assert (finding.kind, finding.bucket, finding.key) == (Kind.NOT_THE_RECORDED, *place)
    assert finding.detail == "hash, signature"


@pytest.mark.parametrize(
    ("field", "value", "detail"),
    [("previousDigestHashValue", "0" * 64, "hash"), ("previousDigestSignature", "ab" * 256, "signature")],
)
def test_a_recorded_hash_or_signature_that_does_not_fit_is_found(field, value, detail):
    chain = Chain().hours(1)
    chain.hour(**{field: value})
    (finding,) = [f for f in findings_of(chain) if f.verdict is Verdict.INVALID]
    assert (finding.kind, finding.detail) == (Kind.NOT_THE_RECORDED, detail)
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
    assert wrong(findings) == [(Kind.NOT_THE_RECORDED, newest)]
    assert {f.key for f in findings} > {place[1] for place in chain.digests}


# --- Could not be checked


@pytest.mark.parametrize("lost", ["digest", "log"])
def test_an_object_that_does_not_answer_is_not_checked_and_the_rest_is(lost):
    chain = Chain().hours(3)
    place = chain.digests[1] if lost == "digest" else chain.logs[3]
    findings = findings_of(chain, InMemory(chain.objects, lost=(place,)))
    assert wrong(findings) == [(Kind.NOT_CHECKED, place)]
    assert [f.detail for f in findings if f.kind is Kind.NOT_CHECKED] == ["connection reset"]
    assert {f.key for f in findings if f.subject is Subject.DIGEST} == {place[1] for place in chain.digests}


def test_a_bucket_that_cannot_be_listed_is_a_finding_for_each_pass():
    chain = Chain().hours(1)
    findings = findings_of(chain, InMemory(chain.objects, unlistable=("trail-logs",)))
    assert [(f.kind, f.subject) for f in findings] == [(Kind.NOT_CHECKED, Subject.LISTING)] * 2


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


# --- Keys


def test_without_any_public_key_nothing_is_said():
    with pytest.raises(NoPublicKeys) as caught:
        findings_of(Chain().hours(1), keys=PinnedKeys({}))
    assert (caught.value.start, caught.value.end) == (BEGIN, BEGIN + 50 * HOUR)


class AskedKeys:
    """Keys by the time that is asked for; remembers what was asked."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []

    def between(self, start, end):
        self.asked.append((start, end))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def der(number):
    entry = listed_key(private_key(number))
    return {entry["Fingerprint"]: base64.b64decode(entry["Value"])}


def backfilled():
    chain = Chain().hours(1)
    return chain, Chain(chain.objects, backfill=True, key_number=1, now=chain.now - HOUR).hours(1)


def test_the_key_of_a_backfill_digest_is_asked_for_the_time_when_it_was_made():
    chain, late = backfilled()
    keys = AskedKeys(der(0), der(1))
    assert wrong(findings_of(chain, keys=keys)) == []
    made = late.now + 86400
    assert keys.asked[1] == (made - HOUR, made + HOUR)


@pytest.mark.parametrize(
    ("answer", "kind"), [({}, Kind.UNKNOWN_KEY), (ApiNotReached("connection reset"), Kind.NOT_CHECKED)]
)
def test_a_backfill_digest_without_its_key(answer, kind):
    chain, late = backfilled()
    findings = findings_of(chain, keys=AskedKeys(der(0), answer))
    assert wrong(findings) == [(kind, late.digests[0])]


@pytest.mark.parametrize("metadata", [{}, {"backfill-generation-timestamp": "some day"}])
def test_a_backfill_digest_that_does_not_say_when_it_was_made(metadata):
    chain, late = backfilled()
    made = late.objects[late.digests[0]]
    kept = {name: text for name, text in made.metadata.items() if name.startswith("signature")}
    chain.objects[late.digests[0]] = MadeObject(made.body, kept | metadata)
    ((kind, place),) = wrong(findings_of(chain, keys=AskedKeys(der(0))))
    assert place == late.digests[0]
    assert kind is (Kind.UNKNOWN_KEY if metadata else Kind.MALFORMED)


def test_a_key_under_the_fingerprint_of_another_is_refused():
    chain = Chain().hours(1)
    other = base64.b64decode(listed_key(private_key(1))["Value"])
    findings = findings_of(chain, keys=pinned(listed_key(private_key(0), der=other)))
    assert wrong(findings) == [(Kind.MALFORMED_KEY, chain.digests[0])]


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
