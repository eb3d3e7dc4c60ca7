"""Properties of the validator: nothing that is evidence changes unseen, and what is reported is what was changed."""

from __future__ import annotations

import contextlib
import copy
import zlib

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opentrail_validator import Kind, LocalDirectory, Verdict
from opentrail_validator.digest_check import check_digest
from opentrail_validator.log_file_check import check_log_file
from opentrail_validator.readers.port import CouldNotRead, ObjectDamaged, ObjectMissing, StoredObject
from tests.evidence_maker.in_memory import findings_of
from tests.evidence_maker.layouts import lay_kept
from tests.evidence_maker.maker import HOUR, Chain, MadeObject, flip

STORAGE_KEY = bytes(range(32))


def generated() -> Chain:
    """Two chains with a pause, a changed bucket and backfill digests."""
    chain = Chain(bucket="old").hours(2).restart(2 * HOUR).hours(2)
    chain.bucket = "new"
    chain.hours(2)
    Chain(chain.objects, "new", backfill=True, now=chain.now - 2 * HOUR + 60).hours(2)
    return chain


CHAIN = generated()
PLACES = sorted(CHAIN.objects)


def reported(chain: Chain) -> set[tuple[str, str]]:
    return {(f.bucket, f.key) for f in findings_of(chain) if f.verdict is Verdict.INVALID}


def inflated(body: bytes) -> bytes | None:
    """The content, if this is exactly one gzip member."""
    inflater = zlib.decompressobj(31)
    with contextlib.suppress(zlib.error):
        data = inflater.decompress(body)
        if inflater.eof and not inflater.unused_data:
            return data
    return None


def test_untouched_evidence_is_valid():
    assert {f.verdict for f in findings_of(CHAIN)} == {Verdict.VALID, Verdict.NOTE}
    assert {(f.bucket, f.key) for f in findings_of(CHAIN)} == set(PLACES)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(PLACES), st.data())
def test_a_flipped_byte_is_reported_of_its_object_unless_the_content_is_the_same(place, data):
    chain = _copied()
    body = chain.objects[place].body
    flip(chain.objects, place, data.draw(st.integers(0, len(body) - 1)), data.draw(st.integers(1, 255)))
    same = inflated(chain.objects[place].body) == inflated(body)
    assert reported(chain) == (set() if same else {place})


def _copied() -> Chain:
    chain = copy.copy(CHAIN)
    chain.objects = dict(CHAIN.objects)
    return chain


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([place for place in PLACES if CHAIN.objects[place].metadata]), st.data())
def test_any_change_of_a_signature_is_reported(place, data):
    chain = _copied()
    made = chain.objects[place]
    signature = bytearray(made.metadata["signature"].encode())
    position = data.draw(st.integers(0, len(signature) - 1))
    signature[position : position + 1] = data.draw(st.sampled_from([b"", b"0", b"f", b"g", b"00", b"\n"]))
    text = signature.decode()
    chain.objects[place] = MadeObject(made.body, made.metadata | {"signature": text})
    assert reported(chain) == (set() if text == made.metadata["signature"] else {place})


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(PLACES), st.sampled_from(PLACES))
def test_an_object_in_the_place_of_another_is_reported(place, other):
    chain = _copied()
    chain.objects[place] = CHAIN.objects[other]
    assert reported(chain) == (set() if place == other else {place})


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(PLACES), st.data())
def test_a_truncated_object_is_reported(place, data):
    chain = _copied()
    made = chain.objects[place]
    chain.objects[place] = MadeObject(made.body[: data.draw(st.integers(0, len(made.body) - 1))], made.metadata)
    assert reported(chain) == {place}


# Known only from the list of their bucket: the last digest before logging was off, the newest, and the newest
# backfill digest. To miss them, a head that is kept elsewhere would be needed.
LAST = {CHAIN.digests[1], CHAIN.digests[-1], max(place for place in PLACES if "_backfill" in place[1])}


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(PLACES))
def test_a_removed_object_is_reported_if_anything_names_it(place):
    chain = _copied()
    del chain.objects[place]
    assert reported(chain) == (set() if place in LAST else {place})


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(PLACES), st.data())
def test_any_flipped_byte_in_an_encrypted_directory_is_reported_of_its_object(tmp_path_factory, place, data):
    root = _encrypted(tmp_path_factory)
    file = root / place[0] / place[1]
    good = file.read_bytes()
    changed = bytearray(good)
    changed[data.draw(st.integers(0, len(good) - 1))] ^= data.draw(st.integers(1, 255))
    file.write_bytes(changed)
    try:
        findings = findings_of(CHAIN, LocalDirectory(root, STORAGE_KEY))
    finally:
        file.write_bytes(good)
    assert {(f.bucket, f.key) for f in findings if f.verdict is Verdict.INVALID} == {place}


_ROOTS = []


def _encrypted(tmp_path_factory):
    if not _ROOTS:
        _ROOTS.append(tmp_path_factory.mktemp("encrypted"))
        lay_kept(CHAIN.objects, _ROOTS[0], STORAGE_KEY)
    return _ROOTS[0]


@given(
    st.binary(max_size=200),
    st.none() | st.dictionaries(st.sampled_from(["signature", "signature-algorithm"]), st.text()),
)
def test_a_digest_of_arbitrary_bytes_is_never_valid(body, metadata):
    stored = StoredObject(body, metadata)
    outcome = check_digest(stored, "b", "k", lambda *_: None, backfill=False, recorded=None)
    assert outcome.kind is Kind.MALFORMED


@given(st.binary(max_size=200))
def test_a_log_file_of_arbitrary_bytes_is_never_valid(body):
    assert check_log_file(body, "0" * 64) is not Kind.VALID


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.binary(max_size=200) | st.binary(max_size=200).map(b"OPENTRAIL-OBJECT 1\n".__add__),
    st.none() | st.binary(max_size=50),
)
def test_a_file_of_arbitrary_bytes_is_read_or_refused(tmp_path, data, metadata):
    (tmp_path / "b").mkdir(exist_ok=True)
    (tmp_path / "b" / "k").write_bytes(data)
    beside = tmp_path / "b" / "k.metadata.json"
    beside.unlink(missing_ok=True)
    if metadata is not None:
        beside.write_bytes(metadata)
    with contextlib.suppress(ObjectDamaged, CouldNotRead):
        assert LocalDirectory(tmp_path, STORAGE_KEY).get("b", "k").body in {data, data.split(b"\n", 2)[-1]}


@given(st.text())
def test_any_key_is_found_or_missing(tmp_path_factory, key):
    root = _encrypted(tmp_path_factory)
    with contextlib.suppress(ObjectMissing):
        LocalDirectory(root, STORAGE_KEY).get("old", key)
