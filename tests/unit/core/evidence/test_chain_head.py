"""Signed heads of chains: what is signed, what is read back, and where they lie."""

import json
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opentrail.evidence.chain_head import ChainHead, MalformedHead, head_key, parse_head
from opentrail.evidence.digest import string_to_sign
from opentrail.evidence.object_keys import DigestKey, MalformedKey, digest_key, parse_key
from opentrail.evidence.signature import BadSignature, public_key_der, sign, verify
from opentrail.evidence.times import parse_time
from tests.evidence_maker.maker import private_key

KEY = digest_key(
    account_id="111122223333",
    region="eu-central-1",
    trail_name="audit",
    home_region="us-east-1",
    end_seconds=parse_time("2026-03-01T10:01:31Z"),
    prefix="logs",
    organization_id="o-example0001",
)
HEAD = ChainHead(
    trail_arn="arn:aws:cloudtrail:us-east-1:111122223333:trail/audit",
    account_id="111122223333",
    region="eu-central-1",
    chain_id="7c0e5ff2-64f5-5a0c-9d6c-3f1d7a9c1f11",
    sequence=7,
    digest_bucket="trail-logs",
    digest_key=KEY,
    digest_hash="c" * 64,
    digest_signature="ab" * 256,
    start=parse_time("2026-03-01T09:01:31Z"),
    end=parse_time("2026-03-01T10:01:31Z"),
    ended=False,
    signed_at=parse_time("2026-03-01T10:01:40Z"),
    fingerprint="f" * 32,
    signature="cd" * 256,
)
texts = st.text(max_size=30)
hexes = st.binary(min_size=1, max_size=20).map(bytes.hex)
seconds = st.integers(0, 253402300799)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
heads = st.builds(
    ChainHead,
    trail_arn=texts,
    account_id=texts,
    region=texts,
    chain_id=texts,
    sequence=st.integers(0, 2**63),
    digest_bucket=texts,
    digest_key=texts,
    digest_hash=st.binary(min_size=32, max_size=32).map(bytes.hex),
    digest_signature=hexes,
    start=seconds,
    end=seconds,
    ended=st.booleans(),
    signed_at=seconds,
    fingerprint=texts,
    signature=hexes,
    extra=st.dictionaries(st.sampled_from(["note", "Note", "x-1"]), json_values, max_size=2),
)


def document(**changes):
    return json.dumps({**json.loads(HEAD.to_bytes()), **changes}).encode()


def test_the_document_says_what_it_is_about():
    assert json.loads(HEAD.to_bytes()) == {
        "headVersion": 1,
        "trailARN": HEAD.trail_arn,
        "awsAccountId": "111122223333",
        "region": "eu-central-1",
        "chainId": HEAD.chain_id,
        "sequence": 7,
        "digestS3Bucket": "trail-logs",
        "digestS3Object": KEY,
        "digestHashValue": "c" * 64,
        "digestSignature": "ab" * 256,
        "digestStartTime": "2026-03-01T09:01:31Z",
        "digestEndTime": "2026-03-01T10:01:31Z",
        "chainEnded": False,
        "headTime": "2026-03-01T10:01:40Z",
        "publicKeyFingerprint": "f" * 32,
        "signature": "cd" * 256,
    }


@given(heads)
def test_a_head_is_read_back_and_gives_the_same_bytes(head):
    read = parse_head(head.to_bytes())
    assert read == head
    assert read.extra == head.extra
    assert read.to_bytes() == head.to_bytes()
    assert read.message() == head.message()


@given(heads)
def test_the_signature_is_not_signed_and_all_else_is(head):
    assert head.signed("00").message() == head.message()
    for field in fields(ChainHead):
        if field.name in {"signature", "extra"}:
            continue
        value = getattr(head, field.name)
        changed = not value if isinstance(value, bool) else value + 1 if isinstance(value, int) else f"{value}0"
        if field.name in {"start", "end", "signed_at"}:
            changed = value - 1 if value else 1
        assert replace(head, **{field.name: changed}).message() != head.message(), field.name
    assert replace(head, extra={**head.extra, "another": 1}).message() != head.message()


def test_the_order_and_spaces_of_a_document_do_not_matter():
    mixed = json.dumps(dict(reversed(json.loads(HEAD.to_bytes()).items())), indent=3).encode()
    assert parse_head(mixed) == HEAD
    assert parse_head(mixed).message() == HEAD.message()


def test_unknown_fields_survive_and_are_signed():
    key = private_key(0)
    head = parse_head(document(futureField={"a": [1, None]}, signature="00"))
    assert head.extra == {"futureField": {"a": [1, None]}}
    head = head.signed(sign(key, head.message()).hex())
    der = public_key_der(key)
    read = parse_head(head.to_bytes())
    verify(der, read.signature, read.message())
    without = {name: value for name, value in json.loads(head.to_bytes()).items() if name != "futureField"}
    stripped = parse_head(json.dumps(without).encode())
    with pytest.raises(BadSignature):
        verify(der, stripped.signature, stripped.message())


def test_no_digests_string_to_sign_is_a_heads_message():
    first_line = HEAD.message().split(b"\n", 1)[0]
    assert first_line == b"OpenTrail chain head 1"
    signed = string_to_sign("2026-03-01T10:01:31Z", "b", "k", "c" * 64, None)
    assert not signed.startswith(first_line)


@pytest.mark.parametrize("name", sorted(json.loads(HEAD.to_bytes())))
@pytest.mark.parametrize("value", [None, 1.5, ["x"], {}, "", -1, "2026-02-30T00:00:00Z", "zz"])
def test_a_field_that_is_missing_or_of_another_form_is_malformed_or_a_text(name, value):
    left = {key: value for key, value in json.loads(HEAD.to_bytes()).items() if key != name}
    with pytest.raises(MalformedHead):
        parse_head(json.dumps(left).encode())
    is_free_text = name in {
        "trailARN", "awsAccountId", "region", "chainId", "digestS3Bucket", "digestS3Object", "publicKeyFingerprint"
    }  # fmt: skip
    if is_free_text and isinstance(value, str):
        assert parse_head(document(**{name: value}))
    else:
        with pytest.raises(MalformedHead):
            parse_head(document(**{name: value}))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("headVersion", 2),
        ("headVersion", "1"),
        ("headVersion", True),
        ("headVersion", 1.0),
        ("sequence", True),
        ("chainEnded", 0),
    ],
)
def test_numbers_and_truths_are_not_taken_for_each_other(name, value):
    with pytest.raises(MalformedHead):
        parse_head(document(**{name: value}))


@given(st.binary(max_size=200))
def test_arbitrary_bytes_raise_only_malformed_head(data):
    with pytest.raises(MalformedHead):
        parse_head(data)


@given(st.dictionaries(st.sampled_from(sorted(json.loads(HEAD.to_bytes()))) | st.text(max_size=5), json_values))
def test_arbitrary_objects_raise_only_malformed_head(values):
    for data in (json.dumps(values).encode(), document(**values)):
        try:
            head = parse_head(data)
        except MalformedHead:
            continue
        assert parse_head(head.to_bytes()) == head


@given(st.integers(0, len(HEAD.to_bytes()) - 1), st.integers(0, 255))
def test_a_changed_byte_is_malformed_or_not_what_was_signed(position, byte):
    data = bytearray(HEAD.to_bytes())
    changed = data[position] != byte
    data[position] = byte
    try:
        head = parse_head(bytes(data))
    except MalformedHead:
        assert changed
        return
    assert (head == HEAD) != changed
    assert (head.message() == HEAD.message()) == (replace(head, signature=HEAD.signature) == HEAD)


@pytest.mark.parametrize("data", [b"[" * 100_000, b'{"a":' * 100_000, b"\xff\xfe", b"NaN", b"[]", b"1", b"null"])
def test_what_breaks_json_readers_is_malformed(data):
    with pytest.raises(MalformedHead):
        parse_head(data)


@pytest.mark.parametrize("changes", [{"region": "\ud800"}, {"x": [0] * 64}, {"x": "nested"}], ids=str)
def test_a_head_with_text_that_is_none_or_nested_deeply_is_malformed(changes):
    """What can just be read could not be looked up, or not be written again for its signature."""
    nested = document(**changes).replace(b'"nested"', b"[" * 900 + b"]" * 900)
    if changes == {"x": [0] * 64}:
        assert parse_head(nested).extra == changes
        return
    with pytest.raises(MalformedHead):
        parse_head(nested)


def test_a_head_lies_beside_its_digest_in_a_folder_of_its_own_and_uncompressed():
    key = parse_key(KEY)
    assert isinstance(key, DigestKey)
    assert head_key(key) == (
        "logs/AWSLogs/o-example0001/111122223333/OpenTrail-Head/eu-central-1/2026/03/01/"
        "111122223333_OpenTrail-Head_eu-central-1_audit_us-east-1_20260301T100131Z.json"
    )
    with pytest.raises(MalformedKey):
        parse_key(head_key(key))


@pytest.mark.parametrize("prefix", [None, "AWSLogs", "x/CloudTrail-Digest/y", "a/111122223333/CloudTrail-Digest/b"])
def test_whatever_prefix_and_trail_name_only_the_digests_own_folder_becomes_another_one(prefix):
    key = DigestKey("111122223333", "eu-central-1", "a_CloudTrail-Digest_b", "us-east-1", 1_772_359_291, prefix)
    made = head_key(key)
    folder, name = made.rsplit("/", 1)
    assert folder.startswith(f"{prefix}/AWSLogs/" if prefix else "AWSLogs/")
    assert folder.endswith("111122223333/OpenTrail-Head/eu-central-1/2026/03/01")
    assert name == "111122223333_OpenTrail-Head_eu-central-1_a_CloudTrail-Digest_b_us-east-1_20260301T100131Z.json"
