"""Selectors against an evaluator that shares nothing with them: it reads the API's shapes and the record, naively."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from opentrail.events.batch import EventAttributes, SelectorClass
from opentrail.trails.event_selectors import Decision, EventSelectors, decide, wants

TYPES = ["AWS::S3::Object", "AWS::S3::Bucket", "AWS::Lambda::Function", "AWS::DynamoDB::Table"]
ARNS = [
    "arn:aws:s3:::b/k",
    "arn:aws:s3:::b/pre/k",
    "arn:aws:s3:::bb/k",
    "arn:aws:lambda:us-east-1:111122223333:function:f",
    "arn:aws:lambda:us-east-1:111122223333:function:f2",
    "arn:aws:dynamodb:us-east-1:111122223333:table/t",
]
SOURCES = ["s3.amazonaws.com", "kms.amazonaws.com", "rdsdata.amazonaws.com", "lambda.amazonaws.com"]
NAMES = ["GetObject", "PutObject", "GetObjectAcl", "Invoke"]
USERS = ["arn:aws:iam::111122223333:user/alice", "arn:aws:iam::111122223333:user/bob"]

maybe = st.none
resource = st.fixed_dictionaries({"type": maybe() | st.sampled_from(TYPES), "ARN": maybe() | st.sampled_from(ARNS)})
records = st.fixed_dictionaries(
    {
        "eventCategory": st.sampled_from(["Management", "Data", "NetworkActivity", "Insight"]),
        "eventSource": st.sampled_from(SOURCES),
        "eventName": st.sampled_from(NAMES),
        "eventType": st.sampled_from(["AwsApiCall", "AwsServiceEvent"]),
        "readOnly": st.sampled_from([True, False, None]),
        "resources": st.lists(resource, max_size=3),
        "sessionCredentialFromConsole": st.sampled_from([None, "true"]),
        "errorCode": st.sampled_from([None, "VpceAccessDenied"]),
        "vpcEndpointId": st.sampled_from([None, "vpce-1", "vpce-2"]),
        "userIdentity": st.fixed_dictionaries({"arn": maybe() | st.sampled_from(USERS)}),
    }
)

OPERATORS = ["Equals", "StartsWith", "EndsWith", "NotEquals", "NotStartsWith", "NotEndsWith"]


def some(values, **limits):
    return st.lists(st.sampled_from(values), min_size=1, max_size=3, **limits)


def operators(values):
    parts = sorted({v for value in values for v in (value[:-1], value[:-3], value[-4:], value[2:])})
    return st.dictionaries(st.sampled_from(OPERATORS), some([*values, *parts]), min_size=1, max_size=4)


def arn_operators():
    prefixes = ["arn:aws:s3:::b", "arn:aws:s3:::b/", "arn:aws:s3:::b/pre", "arn:aws:lambda"]
    return st.dictionaries(
        st.sampled_from(["StartsWith", "EndsWith", "NotStartsWith", "NotEndsWith"]),
        some([*prefixes, "k", "/k", "f"]),
        min_size=1,
        max_size=3,
    )


READ_ONLY = st.sampled_from([{"Equals": ["true"]}, {"Equals": ["false"]}])
CONSOLE = st.sampled_from([{"Equals": ["true"]}, {"NotEquals": ["true"]}])
OPTIONAL = {
    "Management": {
        "readOnly": READ_ONLY,
        "eventSource": st.fixed_dictionaries({"NotEquals": some(SOURCES[1:3], unique=True)}),
    },
    "Data": {
        "readOnly": READ_ONLY,
        "eventName": operators(NAMES),
        "eventSource": operators(SOURCES),
        "eventType": operators(["AwsApiCall"]),
        "resources.ARN": arn_operators(),
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
        fields["resources.type"] = {"Equals": [draw(st.sampled_from(TYPES))]}
    if category == "NetworkActivity":
        fields["eventSource"] = {"Equals": [draw(st.sampled_from(SOURCES))]}
    for name in draw(st.lists(st.sampled_from(list(OPTIONAL[category])), unique=True, max_size=3)):
        fields[name] = draw(OPTIONAL[category][name])
    return {"FieldSelectors": draw(st.permutations([{"Field": n, **ops} for n, ops in fields.items()]))}


BASIC_VALUES = {
    "AWS::S3::Object": ["arn:aws:s3", "arn:aws:s3:::b/", "arn:aws:s3:::b/pre"],
    "AWS::Lambda::Function": ["arn:aws:lambda", ARNS[3]],
    "AWS::DynamoDB::Table": ["arn:aws:dynamodb", ARNS[5]],
}
data_resources = st.sampled_from(list(BASIC_VALUES)).flatmap(
    lambda type_: st.fixed_dictionaries(
        {"Type": st.just(type_), "Values": st.lists(st.sampled_from(BASIC_VALUES[type_]), max_size=2)}
    )
)
with_management = st.fixed_dictionaries(
    {},
    optional={
        "ReadWriteType": st.sampled_from(["All", "ReadOnly", "WriteOnly"]),
        "IncludeManagementEvents": st.just(True),
        "DataResources": st.lists(data_resources, max_size=2),
        "ExcludeManagementEventSources": st.lists(st.sampled_from(SOURCES[1:3]), unique=True),
    },
)
without_management = st.fixed_dictionaries(
    {"IncludeManagementEvents": st.just(False), "DataResources": st.lists(data_resources, min_size=1, max_size=2)},
    optional={"ReadWriteType": st.sampled_from(["All", "ReadOnly", "WriteOnly"])},
)


def naive_operator(operator, values, value):
    if operator.startswith("Not"):
        return not naive_operator(operator[3:], values, value)
    if value is None:
        return False
    return any(
        {"Equals": value == v, "StartsWith": value.startswith(v), "EndsWith": value.endswith(v)}[operator]
        for v in values
    )


def naive_field(selector, value):
    used = {name: values for name, values in selector.items() if name != "Field"}
    positive = [naive_operator(n, v, value) for n, v in used.items() if not n.startswith("Not")]
    negative = [naive_operator(n, v, value) for n, v in used.items() if n.startswith("Not")]
    return (not positive or any(positive)) and all(negative)


def naive_selector(selector, record):
    of_resource = []
    for field in selector["FieldSelectors"]:
        name = field["Field"]
        if name.startswith("resources."):
            of_resource.append(field)
            continue
        value = record["userIdentity"]["arn"] if name == "userIdentity.arn" else record[name]
        if isinstance(value, bool):
            value = str(value).lower()
        if not naive_field(field, value):
            return False
    return not of_resource or any(
        all(naive_field(field, element[field["Field"].split(".")[1]]) for field in of_resource)
        for element in record["resources"]
    )


def naive_basic(selector, record):
    reads_and_writes = selector.get("ReadWriteType", "All")
    if reads_and_writes != "All" and record["readOnly"] is not (reads_and_writes == "ReadOnly"):
        return False
    if record["eventCategory"] == "Management":
        excluded = selector.get("ExcludeManagementEventSources", [])
        return selector.get("IncludeManagementEvents", True) and record["eventSource"] not in excluded
    if record["eventCategory"] != "Data":
        return False
    for wanted in selector.get("DataResources", []):
        for element in record["resources"]:
            if element["type"] != wanted["Type"]:
                continue
            for value in wanted["Values"]:
                if value in {"arn:aws:s3", "arn:aws:lambda", "arn:aws:dynamodb"} or element["ARN"] == value:
                    return True
                is_object = wanted["Type"] == "AWS::S3::Object"
                if is_object and element["ARN"] is not None and element["ARN"].startswith(value):
                    return True
    return False


def as_class(record):
    network = record["eventCategory"] == "NetworkActivity"
    selector_class = SelectorClass(
        event_category=record["eventCategory"],
        event_source=record["eventSource"],
        event_name=record["eventName"],
        event_type=record["eventType"],
        read_only=record["readOnly"],
        resource_types=tuple(sorted({r["type"] for r in record["resources"] if r["type"]})),
        session_credential_from_console=record["sessionCredentialFromConsole"] == "true",
        error_code=record["errorCode"] if network else None,
        vpc_endpoint_id=record["vpcEndpointId"] if network else None,
    )
    resources = tuple((r["type"], r["ARN"]) for r in record["resources"])
    return selector_class, EventAttributes(resources, record["userIdentity"]["arn"])


def agrees(selectors, record, expected):
    selector_class, attributes = as_class(record)
    assert wants(selectors, selector_class, attributes) is expected
    decision = decide(selectors, selector_class)
    assert decision is Decision.PER_EVENT or (decision is Decision.YES) is expected


@given(st.lists(advanced_selectors(), min_size=1, max_size=3), st.lists(records, min_size=1, max_size=8))
def test_advanced_selectors_agree_with_a_naive_evaluator(selectors, events):
    compiled = EventSelectors.from_api(None, selectors)
    assert compiled.to_api() == {"AdvancedEventSelectors": selectors}
    for record in events:
        agrees(compiled, record, any(naive_selector(s, record) for s in selectors))


@given(
    st.lists(with_management | without_management, min_size=1, max_size=3), st.lists(records, min_size=1, max_size=8)
)
def test_basic_selectors_agree_with_a_naive_evaluator(selectors, events):
    compiled = EventSelectors.from_api(selectors, None)
    for record in events:
        agrees(compiled, record, any(naive_basic(s, record) for s in selectors))


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
    from opentrail.trails.event_selectors import InvalidEventSelectors

    for arguments in ((shape, None), (None, shape), ([shape], None), (None, [shape])):
        try:
            EventSelectors.from_api(*arguments)
        except InvalidEventSelectors:
            continue
