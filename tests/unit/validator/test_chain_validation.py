"""One chain as a whole: heads, what is in no digest, coverage."""

import gzip
import hashlib
from dataclasses import replace

import pytest

from opentrail_validator import Checks, Kind, NoPublicKeys, PinnedKeys, Severity, Sources, Span, Subject, Verdict
from opentrail_validator.chain_validation import ChainValidation
from opentrail_validator.readers.port import ApiNotReached
from tests.evidence_maker.folder import Folder, at
from tests.evidence_maker.heads import ListedHeads, made_head
from tests.evidence_maker.in_memory import BEGIN, InMemory, findings_of, pinned, question_of, wrong
from tests.evidence_maker.maker import HOUR, Chain, MadeObject, change_content, listed_key, private_key

KEYS = pinned(listed_key(private_key(0)))


def run(chain, hours, *, known=None, heads=None, objects=None, **changes):
    """The findings and the result."""
    question = question_of(chain, hours, **changes)
    sources = Sources(objects=objects or InMemory(chain.objects), public_keys=KEYS, heads=heads)
    validation = ChainValidation(question, sources, known)
    return list(validation.findings()), validation.result


def test_valid_evidence_that_covers_the_time_has_only_valid_findings():
    chain = Chain().hours(4)
    findings, result = run(chain, 4)
    assert {f.verdict for f in findings} == {Verdict.VALID}
    assert result.covered == (Span(BEGIN, BEGIN + 4 * HOUR),)
    assert (result.newest.bucket, result.newest.key) == chain.digests[-1]
    assert (result.question.end, result.known_until) == (BEGIN + 4 * HOUR, None)


def test_covered_time_is_clamped_to_what_was_asked():
    chain = Chain(now=BEGIN - 2 * HOUR).hours(4)
    _, result = run(chain, 1)
    assert result.covered == (Span(BEGIN, BEGIN + HOUR),)


def test_without_keys_nothing_is_read():
    objects = InMemory(Chain().hours(1).objects)
    sources = Sources(objects=objects, public_keys=PinnedKeys({}))
    with pytest.raises(NoPublicKeys):
        list(ChainValidation(question_of(Chain()), sources).findings())
    assert objects.read == []


def test_an_api_that_gives_no_answer_is_raised_before_the_first_finding():
    class Silent:
        def between(self, start, end):
            raise ApiNotReached("connection reset")

    sources = Sources(objects=InMemory({}), public_keys=Silent())
    with pytest.raises(ApiNotReached):
        next(ChainValidation(question_of(Chain()), sources).findings())


def test_invalid_log_files_tell_what_is_affected():
    chain = Chain().hours(1)
    change_content(chain.objects, chain.logs[0], b"Get", b"Put")
    (finding,) = [f for f in run(chain, 1)[0] if f.verdict is Verdict.INVALID]
    assert finding.kind.severity is Severity.CRITICAL
    assert finding.size == len(gzip.decompress(chain.objects[chain.logs[0]].body))


# --- Heads


def heads_of(chain, *places, **changes):
    return ListedHeads([made_head(chain, place, **changes) for place in places or chain.digests])


def test_heads_that_fit_add_nothing():
    chain = Chain().hours(4)
    assert wrong(run(chain, 4, heads=heads_of(chain))[0]) == []


@pytest.mark.parametrize("removed", [1, 2, 3])
def test_removed_newest_digests_are_each_named_where_a_head_names_them(removed):
    chain = Chain().hours(5)
    heads = heads_of(chain, chain.digests[-1])
    for place in chain.digests[-removed:]:
        del chain.objects[place]
    told = wrong(run(chain, 5, heads=heads, checks=Checks(coverage=False))[0])
    assert told[:removed] == [(Kind.NOT_FOUND, place) for place in chain.digests[: -removed - 1 : -1]]
    assert told[removed:] == [(Kind.NEWEST_MISSING, chain.digests[-1])]


def test_where_all_is_gone_the_head_still_tells():
    chain = Chain().hours(3)
    heads = heads_of(chain)
    findings = wrong(run(chain, 3, heads=heads, objects=InMemory({}), checks=Checks(coverage=False))[0])
    assert {place for kind, place in findings if kind is Kind.NOT_FOUND} == set(chain.digests)
    assert (Kind.NEWEST_MISSING, chain.digests[-1]) in findings


def test_the_last_digest_before_a_pause_in_an_earlier_bucket_is_missed_by_its_head():
    chain = Chain(bucket="old").hours(2).restart(2 * HOUR).hours(1)
    chain.bucket = "new"
    chain.hours(1)
    heads = heads_of(chain)
    assert {kind for kind, _ in wrong(run(chain, 6, heads=heads, checks=Checks(coverage=False))[0])} == {Kind.GAP}
    del chain.objects[chain.digests[1]]
    findings = wrong(run(chain, 6, heads=heads, checks=Checks(coverage=False))[0])
    assert (Kind.NOT_FOUND, chain.digests[1]) in findings


def test_a_head_of_what_another_chain_put_into_an_earlier_bucket_is_not_of_this_walk():
    chain = Chain(bucket="old").hours(2)
    chain.bucket = "new"
    chain.hours(2)
    other = Chain(chain.objects, bucket="old", now=chain.now).hours(2)
    heads = heads_of(other)
    assert wrong(run(chain, 3, heads=heads)[0]) == []


def test_a_digest_that_is_not_the_one_of_its_head_is_named():
    chain = Chain().hours(3)
    other = Chain().hours(2)
    place = other.hour(note="another one")
    assert place == chain.digests[-1]
    heads = heads_of(other, place)
    findings = run(chain, 3, heads=heads, checks=Checks(coverage=False))[0]
    assert wrong(findings) == [(Kind.CHAIN_BROKEN, place)]


def test_a_head_of_an_hour_after_the_time_asked_for_is_not_followed_far():
    chain = Chain().hours(6)
    heads = heads_of(chain)
    del chain.objects[chain.digests[5]]
    assert wrong(run(chain, 2, heads=heads)[0]) == []


def test_the_newest_digest_of_a_copy_without_metadata_is_proven_by_its_head():
    chain = Chain().hours(3)
    objects = {place: replace(made, metadata=None) for place, made in chain.objects.items()}
    heads = heads_of(chain, chain.digests[-1])
    assert wrong(run(chain, 3, heads=heads, objects=InMemory(objects))[0]) == []


# --- The chain as a whole


def test_a_log_file_in_no_digest_is_planted():
    chain = Chain().hours(5)
    place = (chain.logs[3][0], chain.logs[3][1].replace(".json.gz", "X.json.gz"))
    chain.objects[place] = chain.objects[chain.logs[3]]
    assert wrong(run(chain, 5)[0]) == [(Kind.PLANTED, place)]
    assert wrong(run(chain, 5, checks=Checks(unlisted=False))[0]) == []


def test_log_files_put_while_validation_was_off_are_not_planted():
    """CloudTrail digests no log files of that time, later either."""
    chain = Chain().hours(3)
    Chain(chain.objects, now=chain.now)._log_file(chain.now + HOUR, 0)
    chain.restart(3 * HOUR).hours(4)
    assert {kind for kind, _ in wrong(run(chain, 10, checks=Checks(coverage=False))[0])} == {Kind.GAP}


def test_time_that_no_digest_covers_is_told_last():
    chain = Chain().hours(3)
    findings, _ = run(chain, 24)
    assert [(f.kind, f.start, f.end) for f in findings if f.kind is not Kind.VALID] == [
        (Kind.NOT_COVERED, BEGIN + 3 * HOUR, BEGIN + 22 * HOUR)
    ]
    assert findings[-1].kind is Kind.NOT_COVERED
    assert wrong(run(chain, 24, checks=Checks(coverage=False))[0]) == []


def test_nothing_at_all_is_an_error():
    findings, result = run(Chain(), 24)
    assert [(f.kind, f.subject) for f in findings] == [(Kind.NOTHING_FOUND, Subject.CHAIN)]
    assert (result.newest, result.covered) == (None, ())


def test_records_that_lie_in_the_wrong_file_are_found_and_need_not_be_looked_for():
    chain = Chain()
    strange = Chain(account="999999999999")
    content = b'{"Records":[{"recipientAccountId":"999999999999","eventID":"one"}]}'
    entry = strange._log_file(BEGIN, 0) | {"hashValue": hashlib.sha256(content).hexdigest()}
    place = (entry["s3Bucket"], entry["s3Object"])
    chain.objects[place] = MadeObject(gzip.compress(content), {})
    chain.hour(logs=0, logFiles=[entry])
    assert wrong(run(chain, 1)[0]) == [(Kind.MISPLACED_RECORD, place)]
    assert wrong(run(chain, 1, checks=Checks(records=False))[0]) == []


# --- Keys of other times


class KeysByTime:
    """A key until the fortieth hour, and another one from then on, for whoever asks for that time."""

    def between(self, start, end):
        numbers = [number for number, is_asked in enumerate((start < at(40), end >= at(40))) if is_asked]
        return pinned(*(listed_key(private_key(number)) for number in numbers)).between(start, end)

    def origin(self):
        return "a test"


def test_a_chain_that_ended_under_an_older_key_owes_nothing_later():
    chain = Chain().hours(10)
    heads = ListedHeads([made_head(chain, chain.digests[-1], chainEnded=True)])
    later = {"start": at(100), "end": at(120), "now": at(130)}
    assert findings_of(chain, keys=KeysByTime(), heads=heads, **later) == []
    assert [finding.kind for finding in findings_of(chain, keys=KeysByTime(), **later)] == [Kind.NOTHING_FOUND]


def test_a_file_that_was_planted_in_a_past_day_under_a_newer_key_is_told():
    chain = Chain().hours(40)
    chain.key_number = 1
    folder = Folder(chain.hours(30))
    planted = folder.plant(at(60), at(5, 10))
    findings = findings_of(chain, folder.reader(), KeysByTime(), hours=12, now=at(70))
    assert wrong(findings) == [(Kind.PLANTED, (chain.bucket, planted))]
