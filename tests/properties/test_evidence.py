"""Properties of the evidence rules: building and reading are inverse, parsers raise only their declared error."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opentrail.evidence import (
    Digest,
    DigestKey,
    LogFileEntry,
    LogFileKey,
    LogKind,
    MalformedDigest,
    MalformedKey,
    MalformedTime,
    PreviousDigest,
    digest_key,
    format_time,
    log_file_key,
    parse_digest,
    parse_key,
    parse_time,
)

END_OF_YEAR_9999 = 253402300799
YEAR_1 = -62135596800

accounts = st.from_regex(r"[0-9]{12}", fullmatch=True)
regions = st.sampled_from(["us-east-1", "us-gov-east-1", "ap-southeast-4", "local"])
organizations = st.none() | st.from_regex(r"o-[a-z0-9]{10,32}", fullmatch=True)
prefixes = (
    st.none() | st.text(min_size=1, max_size=200) | st.sampled_from(["a/b/c", "AWSLogs", "x/AWSLogs/o-abc", "/", "p/"])
)
seconds = st.integers(YEAR_1, END_OF_YEAR_9999)
uniques = st.from_regex(r"[A-Za-z0-9]{16}", fullmatch=True)
trail_names = st.from_regex(r"[A-Za-z0-9](?:[._-]?[A-Za-z0-9]){2,60}", fullmatch=True) | st.sampled_from(
    ["a_b_us-east-1", "x_20260101T000000Z", "x_backfill", "CloudTrail-Digest_us-east-1_x"]
)
texts = st.text(max_size=60)
hashes = st.binary(min_size=32, max_size=32).map(bytes.hex)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)
entries = st.builds(LogFileEntry, texts, texts, hashes, st.none() | seconds, st.none() | seconds)
digests = st.builds(
    Digest,
    accounts,
    seconds,
    seconds,
    texts,
    texts,
    hashes,
    st.lists(entries, max_size=4).map(tuple),
    st.none() | st.builds(PreviousDigest, texts, texts, hashes, st.binary(min_size=256, max_size=256).map(bytes.hex)),
    st.dictionaries(st.sampled_from(["merkleRoot", "x"]), json_values),
)


@given(accounts, regions, seconds, uniques, prefixes, organizations, st.sampled_from(LogKind))
def test_a_log_file_key_is_read_back(account, region, moment, unique, prefix, organization, kind):
    key = log_file_key(
        account_id=account,
        region=region,
        seconds=moment,
        unique=unique,
        prefix=prefix,
        organization_id=organization,
        kind=kind,
    )
    parsed = parse_key(key)
    assert parsed == LogFileKey(account, region, moment // 60 * 60, unique, prefix, organization, kind)
    assert str(parsed) == key


@given(accounts, regions, trail_names, regions, seconds, prefixes, organizations, st.booleans())
def test_a_digest_key_is_read_back(account, region, trail, home, moment, prefix, organization, backfill):
    key = digest_key(
        account_id=account,
        region=region,
        trail_name=trail,
        home_region=home,
        end_seconds=moment,
        prefix=prefix,
        organization_id=organization,
        backfill=backfill,
    )
    parsed = parse_key(key)
    assert parsed == DigestKey(account, region, trail, home, moment, prefix, organization, backfill)
    assert str(parsed) == key


@given(st.text() | st.from_regex(r"(p/)?AWSLogs/[0-9]{12}/CloudTrail(-Digest)?/[a-z]+/[0-9/_TZ.a-z]*"))
def test_any_text_is_a_key_or_malformed(text):
    try:
        parsed = parse_key(text)
    except MalformedKey:
        return
    assert str(parsed) == text


@given(seconds)
def test_a_time_is_read_back(moment):
    text = format_time(moment)
    assert len(text) == 20
    assert parse_time(text) == moment


@given(st.text() | st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z?"))
def test_any_text_is_a_time_or_malformed(text):
    try:
        moment = parse_time(text)
    except MalformedTime:
        return
    assert format_time(moment) == text


@given(digests)
def test_a_digest_is_read_back_with_its_unknown_fields(digest):
    data = digest.to_bytes()
    parsed = parse_digest(data)
    assert parsed == digest
    assert parsed.to_bytes() == data


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_a_malformed_digest(data):
    with pytest.raises(MalformedDigest):
        parse_digest(data)


@given(digests, st.data())
def test_a_digest_with_any_field_replaced_is_read_or_malformed(digest, data):
    fields = json.loads(digest.to_bytes())
    name = data.draw(st.sampled_from(sorted(fields)))
    fields[name] = data.draw(json_values | st.dictionaries(st.text(), json_values, max_size=2))
    try:
        parsed = parse_digest(json.dumps(fields).encode())
    except MalformedDigest:
        return
    parse_digest(parsed.to_bytes())


@given(digests, st.data())
def test_a_digest_with_any_byte_changed_is_read_or_malformed(digest, data):
    changed = bytearray(digest.to_bytes())
    changed[data.draw(st.integers(0, len(changed) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        parse_digest(bytes(changed))
    except MalformedDigest:
        return
