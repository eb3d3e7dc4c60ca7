"""Resource policies against an evaluator that shares nothing with them."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from opentrail.policies.patterns import matches
from opentrail.policies.resource_policy import PolicyRequest, Principal, parse_policy
from tests.properties.policy_evaluator import KINDS, decision_of, glob

ACCOUNTS = ["111122223333", "444455556666"]
USERS = [f"arn:aws:iam::{account}:user/{name}" for account in ACCOUNTS for name in ("alice", "bob")]
SESSIONS = [f"arn:aws:sts::{account}:assumed-role/deploy/s1" for account in ACCOUNTS]
ROLES = ["arn:aws:iam::111122223333:role/deploy", "arn:aws:iam::111122223333:role/path/deploy"]
SERVICES = ["cloudtrail.amazonaws.com", "s3.amazonaws.com"]
ACTIONS = ["s3:PutObject", "s3:GetBucketAcl", "cloudtrail-data:PutAuditEvents"]
RESOURCES = ["arn:aws:s3:::b", "arn:aws:s3:::b/AWSLogs/111122223333/x", "arn:aws:s3:::b/p/AWSLogs/o-1/x"]
TRAILS = ["arn:aws:cloudtrail:us-east-1:111122223333:trail/t", "arn:aws:cloudtrail:eu-west-1:444455556666:trail/t/u"]

STRINGS = ["a", "A", "ab", "b*", "", "true"]
NUMBERS = ["1", "2", "1.0", "-3", "01", "x", "1e1"]
TIMES = ["2026-01-02T03:04:05Z", "2026-01-02", "1767323045", "2026-01-02T03:04:05+00:00", "soon"]
ADDRESSES = ["10.0.0.1", "10.0.1.1", "2001:db8::1", "here"]
NETWORKS = ["10.0.0.0/24", "10.0.0.1", "10.0.0.9/24", "0.0.0.0/0", "2001:db8::/32", "there"]
ARN_PATTERNS = [*TRAILS, "arn:aws:cloudtrail:*:111122223333:trail/*", "arn:*:trail/t", "arn:*:*:*:*:trail/?", "*"]

VALUES = {
    "String": (STRINGS, [*STRINGS, "*", "?", "a*", "${aws:username}"]),
    "Numeric": (NUMBERS, NUMBERS),
    "Date": (TIMES, TIMES),
    "Bool": (["true", "false", "True", "1"], ["true", "false", "TRUE", "0"]),
    "IpAddress": (ADDRESSES, NETWORKS),
    "NotIpAddress": (ADDRESSES, NETWORKS),
    "Arn": ([*TRAILS, "no arn"], ARN_PATTERNS),
    "Null": (STRINGS, ["true", "false", "maybe"]),
    "Binary": (STRINGS, STRINGS),
}
"""The request's values, and the policy's, for each kind of operator."""
SUFFIXES = {
    "String": ["Equals", "NotEquals", "EqualsIgnoreCase", "NotEqualsIgnoreCase", "Like", "NotLike", "Matches"],
    "Numeric": ["Equals", "NotEquals", "LessThan", "LessThanEquals", "GreaterThan", "GreaterThanEquals"],
    "Date": ["Equals", "NotEquals", "LessThan", "LessThanEquals", "GreaterThan", "GreaterThanEquals"],
    "Arn": ["Equals", "Like", "NotEquals", "NotLike"],
    "Binary": ["Equals"],
}


def some(values):
    return st.lists(st.sampled_from(values), min_size=1, max_size=2, unique=True)


def either(name, values):
    return st.sampled_from([name, name, f"Not{name}"]).flatmap(lambda key: st.fixed_dictionaries({key: values}))


def merged(*parts):
    return st.tuples(*parts).map(lambda dictionaries: {k: v for one in dictionaries for k, v in one.items()})


@st.composite
def conditions(draw):
    kind = draw(st.sampled_from(KINDS))
    operator = "".join(
        (
            draw(st.sampled_from(["", "", "", "ForAllValues:", "ForAnyValue:"])),
            kind,
            draw(st.sampled_from(SUFFIXES.get(kind, [""]))),
            draw(st.sampled_from(["", "", "IfExists"])),
        )
    )
    # The key is named for its kind, so that the request's value is one that the operator is made for.
    key = draw(st.sampled_from([f"t:{kind}", f"T:{kind.upper()}"]))
    return {operator: {key: draw(some(VALUES[kind][1]))}}


contexts = st.fixed_dictionaries(
    {},
    optional={f"t:{kind}": st.none() | st.sampled_from(values) for kind, (values, _) in VALUES.items()},
)
principals = st.just("*") | st.dictionaries(
    st.sampled_from(["AWS", "Service", "Federated", "CanonicalUser"]), st.just([]), min_size=1
).flatmap(
    lambda kinds: st.fixed_dictionaries(
        {
            kind: some(
                {
                    "AWS": [*ACCOUNTS, *USERS, *SESSIONS, *ROLES, f"arn:aws:iam::{ACCOUNTS[1]}:root", "*"],
                    "Service": [*SERVICES, "*"],
                }.get(kind, ["x"])
            )
            for kind in kinds
        }
    )
)
statements = merged(
    st.fixed_dictionaries({"Effect": st.sampled_from(["Allow", "Allow", "Deny"])}),
    either("Principal", principals),
    either("Action", some([*ACTIONS, "*", "s3:*", "S3:putobject", "s3:Get??????Acl"])),
    either(
        "Resource",
        some([*RESOURCES, "*", "arn:aws:s3:::b/*", "arn:aws:s3:::*/AWSLogs/*/x", "arn:aws:s3:::b/${aws:username}"]),
    ),
    st.just({}) | conditions().map(lambda condition: {"Condition": condition}),
)
policies = st.fixed_dictionaries(
    {
        "Version": st.sampled_from(["2012-10-17", "2012-10-17", "2008-10-17"]),
        "Statement": st.lists(statements, min_size=1, max_size=4),
    }
)
whos = st.one_of(
    st.sampled_from(SERVICES).map(lambda service: Principal(service=service)),
    st.sampled_from([*USERS, *SESSIONS]).map(lambda arn: Principal(account_id=arn.split(":")[4], arn=arn)),
    st.sampled_from(ACCOUNTS).map(lambda account: Principal(account_id=account)),
)
requests = st.builds(
    PolicyRequest,
    principal=whos,
    action=st.sampled_from(ACTIONS),
    resource=st.sampled_from(RESOURCES),
    context=contexts,
)


@given(policies, requests)
def test_a_policy_decides_as_the_evaluator_does(policy, request):
    assert parse_policy(json.dumps(policy)).decides(request) is decision_of(policy, request)


@given(conditions(), contexts, st.sampled_from(["Allow", "Deny"]), st.sampled_from(["2012-10-17", "2008-10-17"]))
def test_a_condition_is_judged_as_the_evaluator_does(condition, context, effect, version):
    statement = {"Effect": effect, "Principal": "*", "Action": "*", "Resource": "*", "Condition": condition}
    policy = {"Version": version, "Statement": [statement]}
    request = PolicyRequest(
        principal=Principal(service=SERVICES[0]), action=ACTIONS[0], resource=RESOURCES[0], context=context
    )
    assert parse_policy(json.dumps(policy)).decides(request) is decision_of(policy, request)


@given(st.text("ab*?", max_size=8), st.text("ab", max_size=8))
def test_wildcards_match_by_their_definition(pattern, text):
    assert matches(pattern, text) is glob(pattern, text)


@given(st.text("ab", max_size=8), st.data())
def test_a_text_matches_its_own_pattern_with_parts_of_it_hidden(text, data):
    pattern = "".join(data.draw(st.sampled_from([one, "?", "*", f"*{one}"])) for one in text)
    assert matches(pattern, text)
