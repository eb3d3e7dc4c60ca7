"""Lookup attributes of whatever a record may hold: bounded, askable, and never an error but the declared one."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from opentrail.events.lookup import LookupKey, UnreadableRecord, api_event, lookup_attributes, lookup_fields

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.text("ab/:", max_size=2_100)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda children: st.lists(children, max_size=4) | st.dictionaries(texts, children, max_size=4),
    max_leaves=12,
)


def objects(*members: str) -> st.SearchStrategy[dict[str, object]]:
    """Objects with these members, and any values in them."""
    return st.fixed_dictionaries({}, optional=dict.fromkeys(members, values))


kinds = st.sampled_from(["Root", "IAMUser", "AssumedRole", "FederatedUser", "AWSService", "AWSAccount"])
identities = objects("userName", "accessKeyId", "principalId", "arn", "invokedBy").flatmap(
    lambda identity: kinds.map(lambda kind: {**identity, "type": kind})
)
calls = objects("bucketName", "userName", "instancesSet", "vpcId", "accessKey", "roleArn", "name", "trailNameList")
records = st.fixed_dictionaries(
    {"eventID": texts | values},
    optional={
        "eventName": values,
        "eventSource": st.sampled_from(["s3.amazonaws.com", "ec2.amazonaws.com", "iam.amazonaws.com", "."]) | values,
        "readOnly": values,
        "userIdentity": identities | values,
        "resources": st.lists(objects("type", "ARN", "ARNPrefix") | values, max_size=60) | values,
        "requestParameters": calls | values,
        "responseElements": calls | values,
        "insightDetails": objects("eventName", "eventSource") | values,
        "eventContext": values,
    },
)


@given(records, st.booleans())
def test_any_record_gives_attributes_within_the_bounds(record: dict[str, object], ascii_only: bool) -> None:
    raw = json.dumps(record, ensure_ascii=ascii_only).encode()
    try:
        fields = lookup_fields(raw)
    except UnreadableRecord:
        assert not isinstance(record["eventID"], str) or not 0 < len(record["eventID"]) <= 2_000
        return
    attributes = lookup_attributes(fields)
    assert len(attributes) == len(set(attributes)) <= 106
    for key, value in attributes:
        assert LookupKey(key)
        assert 0 < len(value) <= 2_000
    assert ("EventId", record["eventID"]) in attributes
    event = api_event(raw, 0)
    record.pop("eventContext", None)
    assert json.loads(event.pop("CloudTrailEvent")) == record
    assert event["EventId"] == record["eventID"]


@given(st.binary(max_size=200), st.integers(0, 200))
def test_any_bytes_give_attributes_or_the_declared_error(noise: bytes, cut: int) -> None:
    whole = b'{"eventID":"1","userIdentity":{"type":"Root"},"resources":[{"ARN":"a"}],"requestParameters":{"a":1}}'
    for raw in (noise, whole[:cut] + noise + whole[cut:], whole[:cut] + noise):
        try:
            assert len(lookup_attributes(lookup_fields(raw))) <= 106
        except UnreadableRecord:
            continue
