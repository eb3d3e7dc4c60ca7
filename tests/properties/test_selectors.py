"""Selectors as PutEventSelectors takes them, kept and read again, against an evaluator that shares nothing with them.

Events are judged as delivery judges them: the record's bytes are checked, its class decides, or the event does.
"""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from opentrail.events.record import CheckedRecord, check_record
from opentrail.trails.configuration import trail_body, trail_from_body
from opentrail.trails.event_selector_requests import with_event_selectors
from opentrail.trails.event_selectors import Decision, EventSelectors, InvalidEventSelectors, wants
from opentrail.trails.routing import trail_decision
from opentrail.trails.trail import Trail
from tests.properties.selector_evaluator import is_wanted

ACCOUNT, REGION = "111122223333", "eu-west-1"
TRAIL = Trail(incarnation="i", name="t", account_id=ACCOUNT, home_region=REGION, s3_bucket_name="b")
OBJECTS = ["arn:aws:s3:::b/k", "arn:aws:s3:::b/pre/k", "arn:aws:s3:::bb/k"]
FUNCTIONS = [f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:f", f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:f2"]
TABLES = [f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/t", f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/t2"]
ARNS_OF = {
    "AWS::S3::Object": OBJECTS,
    "AWS::S3::Bucket": ["arn:aws:s3:::b", "arn:aws:s3:::bb"],
    "AWS::Lambda::Function": FUNCTIONS,
    "AWS::DynamoDB::Table": TABLES,
}
TYPES = list(ARNS_OF)
ARNS = [arn for arns in ARNS_OF.values() for arn in arns]
EXCLUDABLE = ["kms.amazonaws.com", "rdsdata.amazonaws.com"]
SOURCES = ["s3.amazonaws.com", "lambda.amazonaws.com", *EXCLUDABLE]
NAMES = ["GetObject", "PutObject", "GetObjectAcl", "Invoke", "Decrypt"]
USERS = ["arn:aws:iam::111122223333:user/alice", "arn:aws:iam::111122223333:user/bob"]

maybe = st.none
matching = st.sampled_from(TYPES).flatmap(
    lambda type_: st.fixed_dictionaries({"type": st.just(type_), "ARN": st.sampled_from(ARNS_OF[type_])})
)
odd = st.fixed_dictionaries({"type": maybe() | st.sampled_from(TYPES), "ARN": maybe() | st.sampled_from(ARNS)})
records = st.fixed_dictionaries(
    {
        "eventCategory": st.sampled_from(["Management", "Data", "Data", "NetworkActivity", "Insight"]),
        "eventSource": st.sampled_from(SOURCES),
        "eventName": st.sampled_from(NAMES),
        "eventType": st.sampled_from(["AwsApiCall", "AwsServiceEvent"]),
        "readOnly": st.sampled_from([True, False, None]),
        "resources": st.lists(matching | odd, max_size=3),
        "sessionCredentialFromConsole": st.sampled_from([None, "true"]),
        "errorCode": st.sampled_from([None, "VpceAccessDenied"]),
        "vpcEndpointId": st.sampled_from([None, "vpce-1", "vpce-2"]),
        "userIdentity": st.fixed_dictionaries({"type": st.just("IAMUser"), "arn": maybe() | st.sampled_from(USERS)}),
    }
)
events = st.lists(records, min_size=1, max_size=8)

OPERATORS = ["Equals", "StartsWith", "EndsWith", "NotEquals", "NotStartsWith", "NotEndsWith"]


def some(values, **limits):
    return st.lists(st.sampled_from(values), min_size=1, max_size=3, **limits)


def operators(values):
    parts = sorted({v for value in values for v in (value[:-1], value[:-3], value[-4:], value[2:])})
    return st.dictionaries(st.sampled_from(OPERATORS), some([*values, *parts]), min_size=1, max_size=4)


def arn_operators(type_):
    whole = some(ARNS_OF[type_])  # Equals and NotEquals take whole ARNs only
    parts = some(["arn:aws:s3:::b", "arn:aws:s3:::b/", "arn:aws:s3:::b/pre", "arn:aws:lambda", "k", "/k", "f", "/t"])
    used = {name: whole if name.endswith("Equals") else parts for name in OPERATORS}
    chosen = st.lists(st.sampled_from(OPERATORS), min_size=1, max_size=3, unique=True)
    return chosen.flatmap(lambda names: st.fixed_dictionaries({name: used[name] for name in names}))


READ_ONLY = st.sampled_from([{"Equals": ["true"]}, {"Equals": ["false"]}, {"Equals": ["true", "false"]}])
CONSOLE = st.sampled_from([{"Equals": ["true"]}, {"NotEquals": ["true"]}])
OPTIONAL = {
    "Management": {
        "readOnly": READ_ONLY,
        "eventSource": st.fixed_dictionaries({"NotEquals": some(EXCLUDABLE, unique=True)}),
    },
    "Data": {
        "readOnly": READ_ONLY,
        "eventName": operators(NAMES),
        "eventSource": operators(SOURCES),
        "eventType": operators(["AwsApiCall"]),
        "sessionCredentialFromConsole": CONSOLE,
        "userIdentity.arn": operators(USERS),
    },
    "NetworkActivity": {
        "eventName": operators(NAMES),
        "errorCode": st.just({"Equals": ["VpceAccessDenied"]}),
        "vpcEndpointId": operators(["vpce-1", "vpce-2"]),
        "userIdentity.arn": operators(USERS),
    },
}


@st.composite
def advanced_selectors(draw):
    category = draw(st.sampled_from(list(OPTIONAL)))
    fields = {"eventCategory": {"Equals": [category]}}
    if category == "Data":
        type_ = draw(st.sampled_from(TYPES))
        fields["resources.type"] = {"Equals": [type_]}
        if draw(st.booleans()):
            fields["resources.ARN"] = draw(arn_operators(type_))
    if category == "NetworkActivity":
        fields["eventSource"] = {"Equals": [draw(st.sampled_from(SOURCES))]}
    for name in draw(st.lists(st.sampled_from(list(OPTIONAL[category])), unique=True, max_size=3)):
        fields[name] = draw(OPTIONAL[category][name])
    return {"FieldSelectors": draw(st.permutations([{"Field": n, **ops} for n, ops in fields.items()]))}


BASIC_VALUES = {
    "AWS::S3::Object": ["arn:aws:s3", "arn:aws:s3:::", "arn:aws:s3:::b/", "arn:aws:s3:::b/pre", *OBJECTS],
    "AWS::Lambda::Function": ["arn:aws:lambda", *FUNCTIONS],
    "AWS::DynamoDB::Table": ["arn:aws:dynamodb", *TABLES],
}
data_resources = st.sampled_from(list(BASIC_VALUES)).flatmap(
    lambda type_: st.fixed_dictionaries(
        {"Type": st.just(type_), "Values": st.lists(st.sampled_from(BASIC_VALUES[type_]), max_size=2)}
    )
)
READ_WRITE_TYPES = st.sampled_from(["All", "ReadOnly", "WriteOnly"])
with_management = st.fixed_dictionaries(
    {},
    optional={
        "ReadWriteType": READ_WRITE_TYPES,
        "IncludeManagementEvents": st.just(True),
        "DataResources": st.lists(data_resources, max_size=2),
        "ExcludeManagementEventSources": st.lists(st.sampled_from(EXCLUDABLE), unique=True),
    },
)
without_management = st.fixed_dictionaries(
    {"IncludeManagementEvents": st.just(False), "DataResources": st.lists(data_resources, min_size=1, max_size=2)},
    optional={"ReadWriteType": READ_WRITE_TYPES},
)
basic = st.lists(with_management | without_management, min_size=1, max_size=3)


def put(members):
    """The trail with the selectors, as another process reads it from the state store."""
    trail = with_event_selectors(TRAIL, {"TrailName": "t", **members})
    return trail_from_body("i", json.loads(json.dumps(trail_body(trail))))


def checked(record):
    """The record as the producer takes it."""
    result = check_record(
        json.dumps(record).encode(),
        account_id=ACCOUNT,
        regions=frozenset({REGION}),
        default_region=REGION,
        now=1_700_000_000,
        new_event_id=lambda: "12345678-1234-1234-1234-123456789abc",
    )
    assert isinstance(result, CheckedRecord), result
    return result


def agrees(trail, members, record):
    expected = is_wanted(members, record)
    taken = checked(record)
    decision = trail_decision(trail, REGION, taken.selector_class)
    assert decision is Decision.PER_EVENT or (decision is Decision.YES) is expected
    if taken.attributes is not None:
        assert wants(trail.event_selectors, taken.selector_class, taken.attributes) is expected
    else:
        assert decision is not Decision.PER_EVENT


@given(st.lists(advanced_selectors(), min_size=1, max_size=3), events)
def test_advanced_selectors_agree_with_a_naive_evaluator(selectors, of_events):
    members = {"AdvancedEventSelectors": selectors}
    trail = put(members)
    assert trail.event_selectors.to_api() == members
    for record in of_events:
        agrees(trail, members, record)


@given(basic, events)
def test_basic_selectors_agree_with_a_naive_evaluator(selectors, of_events):
    members = {"EventSelectors": selectors}
    trail = put(members)
    for record in of_events:
        agrees(trail, members, record)


@given(basic, st.lists(advanced_selectors(), min_size=1, max_size=3), st.booleans())
def test_what_is_put_replaces_all_that_was_there_and_reads_back_the_same(of_basic, of_advanced, basic_first):
    requests = [{"EventSelectors": of_basic}, {"AdvancedEventSelectors": of_advanced}]
    first, second = requests if basic_first else reversed(requests)
    trail = with_event_selectors(put(first), second)
    assert trail == put(second)
    assert with_event_selectors(TRAIL, trail.event_selectors.to_api()) == trail


@given(
    st.recursive(
        st.none() | st.booleans() | st.text() | st.integers(),
        lambda c: (
            st.lists(c)
            | st.dictionaries(
                st.sampled_from(["Name", "Field", "FieldSelectors", "Equals", "DataResources", "Type", "Values"]), c
            )
        ),
    )
)
def test_any_shape_is_taken_or_refused(shape):
    for arguments in ((shape, None), (None, shape), ([shape], None), (None, [shape])):
        try:
            EventSelectors.from_api(*arguments)
        except InvalidEventSelectors:
            continue
