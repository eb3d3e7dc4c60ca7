"""Properties of the validator's readers and parsers: whatever the bytes, they give an answer that they declare."""

from __future__ import annotations

import contextlib
import gzip
import json

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opentrail.evidence.digest import LogFileEntry
from opentrail_validator import Checks, Kind, LocalDirectory, Verdict
from opentrail_validator.digest_check import check_digest
from opentrail_validator.log_file_check import check_log_file
from opentrail_validator.readers.port import CouldNotRead, ObjectDamaged, ObjectMissing, StoredObject
from tests.evidence_maker.generated import CHAIN, PLACES
from tests.evidence_maker.in_memory import findings_of, place_of
from tests.evidence_maker.layouts import lay_kept

STORAGE_KEY = bytes(range(32))


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(PLACES), st.data())
def test_any_flipped_byte_in_an_encrypted_directory_is_reported_of_its_object(tmp_path_factory, place, data):
    root = _encrypted(tmp_path_factory)
    file = root / place[0] / place[1]
    good = file.read_bytes()
    changed = bytearray(good)
    changed[data.draw(st.integers(0, len(good) - 1))] ^= data.draw(st.integers(1, 255))
    file.write_bytes(changed)
    try:
        findings = findings_of(CHAIN, LocalDirectory(root, STORAGE_KEY), checks=Checks(coverage=False))
    finally:
        file.write_bytes(good)
    assert {(f.bucket, f.key) for f in findings if f.verdict is Verdict.INVALID} == {place}


_ROOTS = []


def _encrypted(tmp_path_factory):
    if not _ROOTS:
        _ROOTS.append(tmp_path_factory.mktemp("encrypted"))
        lay_kept(CHAIN.objects, _ROOTS[0], STORAGE_KEY)
    return _ROOTS[0]


# --- Arbitrary bytes


@given(
    st.binary(max_size=200) | st.binary(max_size=200).map(gzip.compress),
    st.none() | st.dictionaries(st.sampled_from(["signature", "signature-algorithm"]), st.text()),
)
def test_a_digest_of_arbitrary_bytes_is_never_valid(body, metadata):
    stored = StoredObject(body, metadata)
    outcome = check_digest(stored, "b", "k", lambda *_: None, place_of(CHAIN))
    assert outcome.kind.verdict is Verdict.INVALID
    assert outcome.verified is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=200)
@given(st.sampled_from(CHAIN.digests), st.data())
def test_a_digest_with_an_arbitrary_field_is_judged(place, data):

    made = CHAIN.objects[place]
    digest = json.loads(gzip.decompress(made.body))
    name = data.draw(st.sampled_from(sorted(digest)))
    changed = digest | {name: data.draw(JSON)}
    if data.draw(st.booleans()):
        del changed[name]
    body = gzip.compress(json.dumps(changed).encode())
    outcome = check_digest(StoredObject(body, made.metadata), *place, lambda *_: None, place_of(CHAIN))
    assert outcome.kind.verdict is Verdict.INVALID


@given(st.binary(max_size=200) | st.binary(max_size=200).map(gzip.compress), st.booleans())
def test_a_log_file_of_arbitrary_bytes_is_never_valid(body, records):
    entry = LogFileEntry("b", "k", "0" * 64, None, None)
    assert check_log_file(body, entry, "111122223333", "eu-west-1", records=records).kind is not Kind.VALID


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
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
