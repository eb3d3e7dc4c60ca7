from __future__ import annotations

import pytest

from opentrail.policies.resource_policy import MAX_POLICY_CHARACTERS, InvalidPolicy, parse_policy
from tests.unit.core.policies.policy_samples import decides, put, statement


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "The policy is not valid JSON"),
        ("[" * 100_00, "The policy is not valid JSON"),
        ('{"Version": NaN}', "The policy is not valid JSON: NaN is not JSON"),
        ("[]", "The policy is not a JSON object."),
        ("{}", "Statement is not an object or a list of at least one."),
        ('{"Statement": []}', "Statement is not an object or a list of at least one."),
        ('{"Statement": ["x"]}', "A statement is not a JSON object."),
        ('{"Version": "2012-10-18", "Statement": {}}', "Version is one of 2008-10-17, 2012-10-17."),
        ('{"Id": 1, "Statement": {}}', "Id is not a string."),
        ('{"statement": {}}', "The policy has the unknown element 'statement'."),
        ('{"Statement": {}, "Statement": {}}', "The policy has a key twice in one object."),
        (" " * MAX_POLICY_CHARACTERS + "{}", "The policy has 65538 characters; at most 65536 are read."),
    ],
)
def test_what_is_no_policy(text, reason):
    with pytest.raises(InvalidPolicy) as invalid:
        parse_policy(text)
    assert str(invalid.value).startswith(reason)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"Effect": "allow"}, "Effect is neither Allow nor Deny."),
        ({"Effect": None}, "Effect is neither Allow nor Deny."),
        ({"Sid": ["x"]}, "Sid is not a string."),
        ({"Actions": "s3:*"}, "A statement has the unknown element 'Actions'."),
        ({"Principal": None}, "A statement has exactly one of Principal and NotPrincipal."),
        ({"NotPrincipal": "*"}, "A statement has exactly one of Principal and NotPrincipal."),
        ({"Action": None}, "A statement has exactly one of Action and NotAction."),
        ({"NotResource": "*"}, "A statement has exactly one of Resource and NotResource."),
        ({"Principal": "111122223333"}, 'Principal is neither "*" nor an object that names at least one.'),
        ({"Principal": {}}, 'Principal is neither "*" nor an object that names at least one.'),
        ({"Principal": {"Aws": "*"}}, "Principal has the unknown element 'Aws'."),
        ({"Principal": {"AWS": []}}, "AWS is not a string or a list of at least one."),
        (
            {"Principal": {"AWS": "arn:aws:iam::111122223333:user/*"}},
            "The principal 'arn:aws:iam::111122223333:user/*' is neither an account nor the ARN of one identity.",
        ),
        (
            {"Principal": {"AWS": "111122223333:root"}},
            "The principal '111122223333:root' is neither an account nor the ARN of one identity.",
        ),
        ({"Action": []}, "Action is not a string or a list of at least one."),
        ({"Action": [1]}, "Action is not a string or a list of at least one."),
        ({"Action": "PutObject"}, "The action 'PutObject' has not the form service:action."),
        ({"Resource": "bucket"}, "The resource 'bucket' is neither an ARN nor a star."),
        ({"Condition": []}, "Condition is not an object of operators, each an object of keys."),
        ({"Condition": {"Bool": "x"}}, "Condition is not an object of operators, each an object of keys."),
        ({"Condition": {"Bool": {"k": None}}}, "The condition on k is not a string or a list of at least one."),
        ({"Condition": {"Bool": {"k": []}}}, "The condition on k is not a string or a list of at least one."),
    ],
)
def test_what_is_no_statement(changes, reason):
    with pytest.raises(InvalidPolicy) as invalid:
        decides(put(), statement(**changes))
    assert str(invalid.value) == reason
