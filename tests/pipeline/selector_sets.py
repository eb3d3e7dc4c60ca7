"""Selectors for trails, as PutEventSelectors takes them: each rule of CloudTrail's by name, and random ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from tests.pipeline.selector_events import (
    ENDPOINTS,
    FUNCTIONS,
    KMS,
    OBJECTS,
    RDS_DATA,
    TABLES,
    function_arn,
    table_arn,
    user_arn,
)

Selectors = dict[str, Any]
OPERATORS = ("Equals", "StartsWith", "EndsWith", "NotEquals", "NotStartsWith", "NotEndsWith")
S3, LAMBDA, DYNAMODB = "AWS::S3::Object", "AWS::Lambda::Function", "AWS::DynamoDB::Table"


def basic(*selectors: Mapping[str, Any]) -> Selectors:
    """EventSelectors."""
    return {"EventSelectors": [dict(selector) for selector in selectors]}


def advanced(*selectors: Mapping[str, Mapping[str, list[str]]]) -> Selectors:
    """AdvancedEventSelectors; each is given as its fields' operators."""
    return {
        "AdvancedEventSelectors": [
            {"FieldSelectors": [{"Field": field, **operators} for field, operators in fields.items()]}
            for fields in selectors
        ]
    }


def data(resource_type: str, **operators: Mapping[str, list[str]]) -> dict[str, Any]:
    """The fields of an advanced selector for data events; two underscores in a name stand for its dot."""
    more = {name.replace("__", "."): of_field for name, of_field in operators.items()}
    return {"eventCategory": {"Equals": ["Data"]}, "resources.type": {"Equals": [resource_type]}, **more}


def management(**fields: Mapping[str, list[str]]) -> dict[str, Any]:
    return {"eventCategory": {"Equals": ["Management"]}, **fields}


def network(source: str, **operators: Mapping[str, list[str]]) -> dict[str, Any]:
    more = {name.replace("__", "."): of_field for name, of_field in operators.items()}
    return {"eventCategory": {"Equals": ["NetworkActivity"]}, "eventSource": {"Equals": [source]}, **more}


def named_selectors(account: str, region: str) -> list[Selectors]:
    """One set of selectors for each rule of the reference's §6."""
    return [*_basic_sets(account, region), *_advanced_sets(account, region)]


def _only(type_: str, *values: str, **members: Any) -> dict[str, Any]:
    """A basic selector without management events."""
    return {"IncludeManagementEvents": False, "DataResources": [{"Type": type_, "Values": list(values)}], **members}


def _basic_sets(account: str, region: str) -> list[Selectors]:
    function, table = function_arn(account, region, FUNCTIONS[0]), table_arn(account, region, TABLES[0])
    reads, writes = {"ReadWriteType": "ReadOnly"}, {"ReadWriteType": "WriteOnly"}
    return [
        basic({}),
        basic(reads),
        basic(writes),
        basic({"ExcludeManagementEventSources": [KMS]}),
        basic({**writes, "ExcludeManagementEventSources": [KMS, RDS_DATA]}),
        basic(_only(S3, "arn:aws:s3")),
        basic(_only(S3, "arn:aws:s3:::logs/")),
        basic(_only(S3, "arn:aws:s3:::logs/pre", **reads)),
        basic(_only(S3, "arn:aws:s3:::logs/private/", "arn:aws:s3:::other/a", **writes)),
        basic(_only(LAMBDA, "arn:aws:lambda")),
        basic(_only(LAMBDA, function)),
        basic(_only(DYNAMODB, "arn:aws:dynamodb")),
        basic(_only(DYNAMODB, table, **writes)),
        basic({**reads, **_only(S3, "arn:aws:s3:::logs/"), "IncludeManagementEvents": True}),
        basic(
            {**writes, "ExcludeManagementEventSources": [RDS_DATA]},
            _only(S3, "arn:aws:s3:::logs-archive/", **reads),
            _only(LAMBDA, function, function_arn(account, region, FUNCTIONS[2])),
            _only(DYNAMODB, table),
            _only(S3, "arn:aws:s3:::other/"),
        ),
    ]


def _advanced_sets(account: str, region: str) -> list[Selectors]:
    alice, bob = user_arn(account, "alice"), user_arn(account, "bob")
    full = [f"arn:aws:s3:::{OBJECTS[0]}", f"arn:aws:s3:::{OBJECTS[2]}"]
    arns = {"Equals": full, "StartsWith": ["arn:aws:s3:::logs/", "arn:aws:s3:::logs-"], "EndsWith": ["/a", ".csv"]}
    names = {"Equals": ["GetObject"], "StartsWith": ["Put", "Del"], "EndsWith": ["Acl", "Objects"]}
    users = {"Equals": [alice], "StartsWith": [alice[:-2], bob[:-2]], "EndsWith": ["/bob"]}
    endpoints = {"Equals": [ENDPOINTS[0]], "StartsWith": ["vpce-0e"], "EndsWith": ["c3d", "a3b"]}
    sets = [
        advanced(management()),
        advanced(management(readOnly={"Equals": ["true"]})),
        advanced(management(readOnly={"Equals": ["false"]}, eventSource={"NotEquals": [KMS, RDS_DATA]})),
        advanced(data(S3, readOnly={"Equals": ["true"]}), management(eventSource={"NotEquals": [RDS_DATA]})),
        advanced(data(S3, sessionCredentialFromConsole={"Equals": ["true"]})),
        advanced(data(S3, sessionCredentialFromConsole={"NotEquals": ["true"]})),
        advanced(data(DYNAMODB, eventName={"NotEquals": ["GetRecords"]}, eventSource={"StartsWith": ["dynamo"]})),
        advanced(data(LAMBDA, eventType={"Equals": ["AwsApiCall"]}), data("AWS::DynamoDB::Stream")),
        advanced(network(KMS), network("ec2.amazonaws.com", errorCode={"Equals": ["VpceAccessDenied"]})),
        advanced(network(KMS, userIdentity__arn={"NotEndsWith": ["/alice"]}), data(LAMBDA)),
        advanced(network("ec2.amazonaws.com", eventName={"NotEquals": ["Encrypt"]})),
        # Positive operators of one field together need one match; every negative one must hold (§6.3).
        advanced(
            data(
                S3,
                resources__ARN={
                    "StartsWith": ["arn:aws:s3:::logs/"],
                    "Equals": ["arn:aws:s3:::other/a"],
                    "NotStartsWith": ["arn:aws:s3:::logs/private/", "arn:aws:s3:::logs/pref"],
                    "NotEndsWith": ["/a"],
                },
            )
        ),
    ]
    for operator in OPERATORS:
        positive = operator.removeprefix("Not")
        sets += [
            advanced(data(S3, resources__ARN={operator: arns[positive]})),
            advanced(data(S3, eventName={operator: names[positive]})),
            advanced(data(DYNAMODB, userIdentity__arn={operator: users[positive]})),
            advanced(network(KMS, vpcEndpointId={operator: endpoints[positive]}), management()),
        ]
    return sets


# --- Random ones


def random_selectors(random: Random, account: str, region: str) -> Selectors:
    """Selectors that CloudTrail takes: one to four, of one kind."""
    if random.random() < 0.3:
        return basic(*(_random_basic(random, account, region) for _ in range(random.randint(1, 4))))
    return advanced(*(_random_advanced(random, account, region) for _ in range(random.randint(1, 4))))


def _random_basic(random: Random, account: str, region: str) -> dict[str, Any]:
    values = {
        S3: ["arn:aws:s3", *(f"arn:aws:s3:::{name}" for name in ("logs/", "logs/p", "logs/private/", "other/a"))],
        LAMBDA: ["arn:aws:lambda", *(function_arn(account, region, name) for name in FUNCTIONS)],
        DYNAMODB: ["arn:aws:dynamodb", *(table_arn(account, region, name) for name in TABLES)],
    }
    resources = [
        {"Type": type_, "Values": random.sample(values[type_], random.randint(1, 2))}
        for type_ in random.sample(list(values), random.randint(1, 3))
    ]
    selector: dict[str, Any] = {"ReadWriteType": random.choice(["All", "ReadOnly", "WriteOnly"])}
    if random.random() < 0.4:
        return {**selector, "IncludeManagementEvents": False, "DataResources": resources}
    excluded = random.sample([KMS, RDS_DATA], random.randint(0, 2))
    return {**selector, "ExcludeManagementEventSources": excluded, "DataResources": random.choice([[], resources])}


def _random_advanced(random: Random, account: str, region: str) -> dict[str, Any]:
    category = random.choice(["Management", "Data", "Data", "Data", "NetworkActivity"])
    read_only = {"Equals": [random.choice(["true", "false"])]}
    users = [user_arn(account, "alice"), user_arn(account, "bob")]
    if category == "Management":
        sources = {"NotEquals": random.sample([KMS, RDS_DATA], random.randint(1, 2))}
        return management(**_some(random, {"readOnly": read_only, "eventSource": sources}))
    if category == "NetworkActivity":
        optional = {
            "eventName": _operators(random, ["Encrypt", "RunInstances"]),
            "errorCode": {"Equals": ["VpceAccessDenied"]},
            "vpcEndpointId": _operators(random, list(ENDPOINTS)),
            "userIdentity.arn": _operators(random, users),
        }
        return network(random.choice([KMS, "ec2.amazonaws.com"]), **_some(random, optional))
    type_ = random.choice([S3, LAMBDA, DYNAMODB, "AWS::DynamoDB::Stream"])
    arns = {
        S3: [f"arn:aws:s3:::{name}" for name in OBJECTS],
        LAMBDA: [function_arn(account, region, name) for name in FUNCTIONS],
    }.get(type_, [table_arn(account, region, name) for name in TABLES])
    optional = {
        "readOnly": read_only,
        "eventName": _operators(random, ["GetObject", "PutObject", "Invoke", "PutItem", "GetItem", "GetRecords"]),
        "eventSource": _operators(random, ["s3.amazonaws.com", "lambda.amazonaws.com", "dynamodb.amazonaws.com"]),
        "eventType": _operators(random, ["AwsApiCall"]),
        "resources.ARN": _operators(random, arns),
        "sessionCredentialFromConsole": {random.choice(["Equals", "NotEquals"]): ["true"]},
        "userIdentity.arn": _operators(random, users),
    }
    return data(type_, **_some(random, optional))


def _some(random: Random, optional: dict[str, Any]) -> dict[str, Any]:
    return {name: optional[name] for name in random.sample(list(optional), random.randint(0, min(2, len(optional))))}


def _operators(random: Random, values: list[str]) -> dict[str, list[str]]:
    """One to three operators, each with one or two of the values, or parts of them."""
    part: dict[str, Callable[[str], str]] = {
        "Equals": lambda value: value,
        "StartsWith": lambda value: value[: random.randint(1, len(value))],
        "EndsWith": lambda value: value[-random.randint(1, len(value)) :],
    }
    return {
        operator: sorted(
            {part[operator.removeprefix("Not")](value) for value in random.sample(values, min(2, len(values)))}
        )
        for operator in random.sample(OPERATORS, random.randint(1, 3))
    }
