"""Records: no source byte is lost, no repeated key gets in, and nothing but an answer comes out."""

from __future__ import annotations

import json
from collections import Counter

from hypothesis import assume, given
from hypothesis import strategies as st

from opentrail.events.batch import record_views
from opentrail.events.batch_encoding import decode_batch, encode_batch
from opentrail.events.grouping import group_records
from opentrail.events.record import CheckedRecord, Rejection, RejectionCode, check_record

ACCOUNT = "111122223333"
NEW_ID = "00000000-0000-4000-8000-000000000000"
OWNED = {
    "eventVersion": "1.08",
    "eventTime": "2023-11-14T22:13:20Z",
    "awsRegion": "eu-west-1",
    "eventID": "12345678-1234-1234-1234-123456789abc",
    "managementEvent": True,
    "recipientAccountId": ACCOUNT,
    "eventCategory": "Management",
}

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda children: st.lists(children, max_size=3) | st.dictionaries(texts, children, max_size=3),
    max_leaves=8,
)
resources = st.lists(
    st.fixed_dictionaries({}, optional={"type": texts, "ARN": texts, "accountId": texts, "more": values}), max_size=3
)


@st.composite
def records(draw):
    """A valid record: (members, text), some owned members left out, in any order and spacing."""
    members = {
        "userIdentity": draw(st.none() | st.fixed_dictionaries({"type": texts}, optional={"arn": texts, "x": values})),
        "eventSource": draw(texts),
        "eventName": draw(texts),
        "eventType": draw(st.sampled_from(["AwsApiCall", "AwsServiceEvent", "AwsConsoleSignIn"])),
    }
    members |= draw(st.fixed_dictionaries({}, optional={name: st.just(value) for name, value in OWNED.items()}))
    members |= draw(
        st.fixed_dictionaries(
            {},
            optional={
                "resources": st.none() | resources,
                "readOnly": st.none() | st.booleans(),
                "requestParameters": values,
                "errorCode": st.none() | texts,
                "userAgent": texts,
                "own": values,
            },
        )
    )
    ordered = dict(draw(st.permutations(list(members.items()))))
    style = draw(st.sampled_from([{"separators": (",", ":")}, {}, {"indent": 1}]))
    return ordered, json.dumps(ordered, ensure_ascii=draw(st.booleans()), **style)


def checked(raw: bytes) -> CheckedRecord | Rejection:
    return check_record(
        raw,
        account_id=ACCOUNT,
        regions={"eu-west-1"},
        default_region="eu-west-1",
        now=1_700_000_000,
        new_event_id=lambda: NEW_ID,
    )


@given(records(), st.sampled_from(["", " ", "\n\t"]), st.sampled_from(["", "\r\n"]))
def test_every_source_byte_stays_and_only_owned_members_come_in(record, before, after):
    members, text = record
    raw = (before + text + after).encode()
    result = checked(raw)
    assert isinstance(result, CheckedRecord), result
    end = raw.rindex(b"}")
    assert result.raw.startswith(raw[:end])
    assert result.raw.endswith(raw[end:])
    filled = json.loads(result.raw, object_pairs_hook=list)
    assert [key for key, _ in filled][: len(members)] == list(members)
    assert {key for key, _ in filled} == members.keys() | OWNED.keys()
    assert checked(result.raw).raw == result.raw, "a record that went through once goes through unchanged"


@given(records(), st.data())
def test_a_repeated_key_is_found_wherever_and_however_it_is_written(record, data):
    members, text = record
    name = data.draw(st.sampled_from(list(members)))
    written = "".join(f"\\u{ord(c):04x}" if data.draw(st.booleans()) else c for c in name)
    value = json.dumps(data.draw(st.just(members[name]) | values))
    space = data.draw(st.sampled_from(["", " "]))
    opening = text.index("{") + 1
    first = f'{text[:opening]}{space}"{written}":{value},{text[opening:]}'
    closing = text.rindex("}")
    last = f'{text[:closing]},"{written}":{space}{value}{text[closing:]}'
    for changed in (first, last):
        result = checked(changed.encode())
        assert isinstance(result, Rejection)
        assert result.code is RejectionCode.DUPLICATE_KEY


@given(st.binary(max_size=200))
def test_arbitrary_bytes_get_an_answer(raw):
    assert isinstance(checked(raw), Rejection)


@given(records(), st.data())
def test_a_damaged_record_gets_an_answer_and_what_is_accepted_is_json(record, data):
    raw = bytearray(record[1].encode())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
        assume(raw)
    result = checked(bytes(raw))
    if isinstance(result, CheckedRecord):
        pairs = json.loads(result.raw.decode(), object_pairs_hook=list, parse_constant=lambda name: 1 / 0)
        assert len({key for key, _ in pairs}) == len(pairs)
        json.dumps(json.loads(result.raw), ensure_ascii=False).encode()


@given(values, st.sampled_from([*OWNED, "userIdentity", "eventSource", "eventType", "readOnly", "resources"]))
def test_any_value_in_any_member_gets_an_answer(value, name):
    members = {"userIdentity": None, "eventSource": "s", "eventName": "n", "eventType": "AwsApiCall", **OWNED}
    result = checked(json.dumps(members | {name: value}).encode())
    if isinstance(result, CheckedRecord):
        assert json.loads(result.raw)[name] == value


@given(st.lists(records(), max_size=12), st.booleans())
def test_grouping_keeps_the_multiset_of_records(drawn, numbered):
    accepted = [checked(text.encode()) for _, text in drawn]
    numbers = range(5, 5 + len(accepted)) if numbered else None
    batch = decode_batch(encode_batch(group_records(ACCOUNT, "eu-west-1", accepted, numbers, bytes(16 * numbered))))
    assert Counter(bytes(v) for group in batch for v in record_views(group)) == Counter(r.raw for r in accepted)
    assert batch.count == len(accepted)
    for group in batch:
        of_class = [r.raw for r in accepted if r.selector_class == group.selector_class]
        assert [bytes(v) for v in record_views(group)] == of_class
