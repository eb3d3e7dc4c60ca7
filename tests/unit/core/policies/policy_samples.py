"""Statements and requests of resource policies in few words."""

from __future__ import annotations

import json

from opentrail.policies.resource_policy import Decision, PolicyRequest, Principal, parse_policy

ALLOWED, DENIED, NOT_MENTIONED = Decision.ALLOWED, Decision.DENIED, Decision.NOT_MENTIONED
CLOUDTRAIL = Principal(service="cloudtrail.amazonaws.com")
TRAIL = "arn:aws:cloudtrail:us-east-1:111122223333:trail/t"
CHANNEL = "arn:aws:cloudtrail:us-east-1:777788889999:channel/80b505b0-40a7-4e65-9a01-6e099392355b"
ALICE = Principal(account_id="111122223333", arn="arn:aws:iam::111122223333:user/alice")
DEPLOY = Principal(account_id="111122223333", arn="arn:aws:sts::111122223333:assumed-role/deploy/s-1")


def statement(**changes):
    made = {"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": "*", **changes}
    return {key: value for key, value in made.items() if value is not None}


def decides(request, *statements, version="2012-10-17"):
    return parse_policy(json.dumps({"Version": version, "Statement": statements})).decides(request)


def put(principal=CLOUDTRAIL, resource="arn:aws:s3:::b/k", **context):
    return PolicyRequest(
        principal=principal,
        action="s3:PutObject",
        resource=resource,
        context={key.replace("_", ":"): value for key, value in context.items()},
    )
