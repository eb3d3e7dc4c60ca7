"""Properties of the validator: nothing that is evidence changes unseen, and what is reported is what was changed."""

from __future__ import annotations

import contextlib
import copy
import gzip
import zlib

from hypothesis import given, settings
from hypothesis import strategies as st

from opentrail_validator import Checks, Kind, Verdict
from tests.evidence_maker import in_memory
from tests.evidence_maker.generated import CHAIN, DIGESTS, HEADS, LATE, LINK, LISTED_BY, PLACES
from tests.evidence_maker.heads import ListedHeads
from tests.evidence_maker.in_memory import InMemory, place_of
from tests.evidence_maker.maker import HOUR, Chain, MadeObject, flip

NOT_COVERED = Checks(coverage=False)  # What lies after the last digest is not the matter here.


def findings_of(chain, objects=None, **changes):
    return in_memory.findings_of(chain, objects, **{"checks": NOT_COVERED} | changes)


def reported(chain: Chain, **changes) -> set[tuple[str, str]]:
    """What is invalid, but for the digests that are only expected, as nothing names them."""
    return {
        (f.bucket, f.key)
        for f in findings_of(chain, **changes)
        if f.verdict is Verdict.INVALID and not f.detail.startswith("expected")
    }


def _copied() -> Chain:
    chain = copy.copy(CHAIN)
    chain.objects = dict(CHAIN.objects)
    return chain


def inflated(body: bytes) -> bytes | None:
    """The content, if this is exactly one gzip member."""
    inflater = zlib.decompressobj(31)
    with contextlib.suppress(zlib.error):
        data = inflater.decompress(body)
        if inflater.eof and not inflater.unused_data:
            return data
    return None


def test_untouched_evidence_is_valid():
    for heads in (None, ListedHeads(HEADS)):
        findings = findings_of(CHAIN, heads=heads)
        assert {f.verdict for f in findings} == {Verdict.VALID, Verdict.NOTE}
        assert {(f.bucket, f.key) for f in findings} == set(PLACES)


@settings(max_examples=40)
@given(st.integers(0, 12), st.integers(0, 12))
def test_untouched_evidence_is_valid_whatever_time_is_asked_for(first, last):
    begin = in_memory.BEGIN + min(first, last) * HOUR
    end = in_memory.BEGIN + max(first, last) * HOUR
    place = place_of(CHAIN)
    for now in (end, end + HOUR):
        assert reported(CHAIN, start=begin, end=end, now=now, place=place, heads=ListedHeads(HEADS)) == set()


@settings(max_examples=150)
@given(st.sampled_from(PLACES), st.data())
def test_a_flipped_byte_is_reported_of_its_object_unless_the_content_is_the_same(place, data):
    chain = _copied()
    body = chain.objects[place].body
    flip(chain.objects, place, data.draw(st.integers(0, len(body) - 1)), data.draw(st.integers(1, 255)))
    same = inflated(chain.objects[place].body) == inflated(body)
    assert reported(chain) == (set() if same else {place})


@settings(max_examples=60)
@given(st.sampled_from(DIGESTS), st.data())
def test_any_change_of_a_signature_is_reported(place, data):
    chain = _copied()
    made = chain.objects[place]
    signature = bytearray(made.metadata["signature"].encode())
    position = data.draw(st.integers(0, len(signature) - 1))
    signature[position : position + 1] = data.draw(st.sampled_from([b"", b"0", b"f", b"g", b"00", b"\n"]))
    text = signature.decode()
    chain.objects[place] = MadeObject(made.body, made.metadata | {"signature": text})
    assert reported(chain) == (set() if text == made.metadata["signature"] else {place})


@settings(max_examples=60)
@given(st.sampled_from(DIGESTS), st.sampled_from(["signature", "signature-algorithm"]))
def test_metadata_that_is_gone_is_reported(place, name):
    chain = _copied()
    made = chain.objects[place]
    left = {other: text for other, text in made.metadata.items() if other != name}
    chain.objects[place] = MadeObject(made.body, left)
    assert reported(chain) == {place}


@settings(max_examples=60)
@given(st.sampled_from(PLACES), st.sampled_from(PLACES))
def test_an_object_in_the_place_of_another_is_reported(place, other):
    chain = _copied()
    chain.objects[place] = CHAIN.objects[other]
    assert reported(chain) == (set() if place == other else {place})


@settings(max_examples=100)
@given(st.sampled_from(PLACES), st.sampled_from(PLACES))
def test_swapped_objects_are_both_reported(one, other):
    if LINK in {one, other} and {one[0], other[0]} == {"old", "new"}:
        return  # What only LINK leads to is not found then.
    chain = _copied()
    chain.objects[one], chain.objects[other] = CHAIN.objects[other], CHAIN.objects[one]
    # What is wrong with a log file is known only from its own digest.
    unknown = {log for log, digest in ((one, other), (other, one)) if LISTED_BY.get(log) == digest}
    assert reported(chain) == (set() if one == other else {one, other} - unknown)


@settings(max_examples=60)
@given(st.sampled_from(PLACES), st.data())
def test_a_truncated_object_is_reported(place, data):
    chain = _copied()
    made = chain.objects[place]
    chain.objects[place] = MadeObject(made.body[: data.draw(st.integers(0, len(made.body) - 1))], made.metadata)
    assert reported(chain) == {place}


@settings(max_examples=60)
@given(st.sampled_from(PLACES), st.binary(min_size=1, max_size=40) | st.just(gzip.compress(b"")))
def test_an_object_that_is_followed_by_something_is_reported(place, more):
    chain = _copied()
    made = chain.objects[place]
    chain.objects[place] = MadeObject(made.body + more, made.metadata)
    assert reported(chain) == {place}


# Known only from the list of their bucket: the last digest before logging was off, the newest, and the newest
# backfill digest. Heads tell of the first two; of backfill digests there are none.
LAST = {CHAIN.digests[1], CHAIN.digests[-1]}
LAST_BACKFILL = LATE.digests[-1]


@settings(max_examples=100)
@given(st.sampled_from(PLACES))
def test_a_removed_object_is_reported_if_anything_names_it(place):
    chain = _copied()
    del chain.objects[place]
    if place == LAST_BACKFILL:
        return
    assert place in LAST or reported(chain) == {place}
    assert reported(chain, heads=ListedHeads(HEADS)) == {place}


@settings(max_examples=60)
@given(st.sets(st.sampled_from([place for place in CHAIN.digests if place != LINK]), min_size=1))
def test_each_of_the_removed_digests_is_reported_where_heads_are_kept(removed):
    chain = _copied()
    for place in removed:
        del chain.objects[place]
    findings = findings_of(chain, heads=ListedHeads(HEADS))
    assert {(f.bucket, f.key) for f in findings if f.verdict is Verdict.INVALID} >= removed
    assert reported(chain, heads=ListedHeads(HEADS)) <= removed


@settings(max_examples=60)
@given(st.data())
def test_removed_digests_are_each_named_by_the_newest_head_alone(data):
    """Also those that nothing names are expected, as the hours between have none."""
    first = data.draw(st.integers(6, len(CHAIN.digests) - 1))
    chain = _copied()
    removed = CHAIN.digests[first:]
    for place in removed:
        del chain.objects[place]
    findings = findings_of(chain, heads=ListedHeads(HEADS[-1:]))
    assert {(f.bucket, f.key) for f in findings if f.kind is Kind.NOT_FOUND} == set(removed)


# --- An object under another name


def renamed(place: tuple[str, str], seconds: int) -> tuple[str, str]:
    """A name some seconds later, in the same folder."""
    bucket, key = place
    if "CloudTrail-Digest" not in key:
        return bucket, key.replace(".json.gz", f"{seconds}.json.gz")
    return bucket, key.replace("31Z", f"{31 + seconds % 28:02}Z") if "31Z" in key else key.replace("Z_back", "Z9_back")


@settings(max_examples=100)
@given(st.sampled_from([place for place in PLACES if place not in LATE.digests]), st.integers(1, 27))
def test_a_renamed_object_is_missed_and_its_new_name_is_reported(place, seconds):
    chain = _copied()
    new = renamed(place, seconds)
    assert new not in chain.objects
    chain.objects[new] = chain.objects.pop(place)
    told = reported(chain, heads=ListedHeads(HEADS))
    assert place in told
    assert told <= {place, new}
    assert place not in CHAIN.digests or new in told


@settings(max_examples=100)
@given(st.sampled_from(CHAIN.digests), st.integers(1, 7 * HOUR))
def test_a_digest_that_is_put_back_later_is_reported(place, later):
    """Older bytes under a name of their own: between the digests, or after the newest."""
    chain = _copied()
    end = place_of(CHAIN).digest_at(place[1]).end_seconds + later
    new = (place[0], str(place_of(CHAIN).key(end)))
    if new in chain.objects:
        return
    chain.objects[new] = chain.objects[place]
    told = reported(chain, heads=ListedHeads(HEADS))
    # Into a bucket that the chain had left by then nobody looks.
    assert told == ({new} if place[0] == "new" or new[1] <= LINK[1] else set())


@settings(max_examples=60)
@given(st.sampled_from(CHAIN.logs[6:-4]), st.text("ABCDEFGHIJ234567", min_size=16, max_size=16))
def test_a_log_file_that_is_put_back_under_another_name_is_reported(place, unique):
    """Not in a chain's first minutes: what was logged without validation may be put then."""
    chain = _copied()
    new = (place[0], f"{place[1].rsplit('_', 1)[0]}_{unique}.json.gz")
    chain.objects[new] = chain.objects[place]
    assert reported(chain) == {new}


# --- What cannot be read


@settings(max_examples=60)
@given(st.sets(st.sampled_from([place for place in PLACES if place != LINK]), min_size=1, max_size=4))
def test_objects_that_do_not_answer_are_never_called_invalid(lost):
    findings = findings_of(CHAIN, InMemory(CHAIN.objects, lost=tuple(lost)), heads=ListedHeads(HEADS))
    assert {f.verdict for f in findings} <= {Verdict.VALID, Verdict.NOTE, Verdict.UNCHECKED}
    assert {(f.bucket, f.key) for f in findings if f.verdict is Verdict.UNCHECKED} >= lost & set(CHAIN.digests)
