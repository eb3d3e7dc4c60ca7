"""Whether the policies of a trail's bucket and of its topic let CloudTrail in for that trail (reference: §9.1, §9.4).

AWS takes a policy that names `cloudtrail.amazonaws.com` and no more. Here one service writes for all accounts, so a
policy has to say for whom: it lets this trail in, and would not let in one of another account. `aws:SourceArn` does
that, and so does `aws:SourceAccount`: trails of one account do not have to be kept apart. The folder in the resource
does not do it: a trail with the key prefix `AWSLogs/111122223333` writes below `AWSLogs/111122223333/`, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from opentrail.policies.resource_policy import Decision, Policy, PolicyRequest, Principal
from opentrail.trails.names import parse_trail_arn
from opentrail.trails.trail import Trail

SERVICE = "cloudtrail.amazonaws.com"

_FOLDERS = ("CloudTrail", "CloudTrail-Digest", "CloudTrail-Insight")
"""What lies below `AWSLogs/{account}/`: a policy has to allow all of it."""


def bucket_lets_in(policy: Policy, trail: Trail) -> bool:
    """Whether a bucket's policy lets CloudTrail read the bucket's ACL and put objects for a trail, and for it alone."""
    return all(_is_closed_to_others(policy, request, trail.arn) for request in _requests_of_bucket(trail))


def _requests_of_bucket(trail: Trail) -> Iterator[PolicyRequest]:
    bucket = f"arn:aws:s3:::{trail.s3_bucket_name}"
    yield _request("s3:GetBucketAcl", bucket, trail.arn, {})
    put: dict[str, str | None] = {
        "s3:x-amz-acl": "bucket-owner-full-control",
        "s3:x-amz-server-side-encryption": "AES256" if trail.kms_key_id is None else "aws:kms",
        "s3:x-amz-server-side-encryption-aws-kms-key-id": trail.kms_key_id,
    }
    root = f"{bucket}/{trail.s3_key_prefix}/AWSLogs" if trail.s3_key_prefix else f"{bucket}/AWSLogs"
    # An organization's trail may become one of its account again: AWS's policy has both folders.
    places = [f"{root}/{trail.account_id}"]
    if trail.organization_id is not None:
        places.append(f"{root}/{trail.organization_id}/{trail.account_id}")
    for place in places:
        for folder in _FOLDERS:
            yield _request("s3:PutObject", f"{place}/{folder}/{trail.home_region}/object", trail.arn, put)


def topic_lets_in(policy: Policy, topic_arn: str, trail_arn: str) -> bool:
    """Whether a topic's policy lets CloudTrail publish for a trail.

    A topic of the trail's own account may be open to others, as AWS allows it; one of another account may not.
    """
    request = _request("sns:Publish", topic_arn, trail_arn, {})
    if topic_arn.split(":")[4] == parse_trail_arn(trail_arn).account_id:
        return policy.decides(request) is Decision.ALLOWED
    return _is_closed_to_others(policy, request, trail_arn)


def _is_closed_to_others(policy: Policy, request: PolicyRequest, trail_arn: str) -> bool:
    """Whether the request is allowed, and would not be for the like-named trail of another account."""
    trail = parse_trail_arn(trail_arn)
    other_account = "".join(str(9 - int(digit)) for digit in trail.account_id)
    other_trail = trail_arn.replace(f":{trail.account_id}:", f":{other_account}:")
    of_other = _request(request.action, request.resource, other_trail, request.context)
    return policy.decides(request) is Decision.ALLOWED and policy.decides(of_other) is not Decision.ALLOWED


def _request(action: str, resource: str, trail_arn: str, context: Mapping[str, str | None]) -> PolicyRequest:
    """What CloudTrail asks for on behalf of a trail, with the condition keys that AWS gives such a request."""
    return PolicyRequest(
        principal=Principal(service=SERVICE),
        action=action,
        resource=resource,
        context={
            **context,
            "aws:SourceArn": trail_arn,
            "aws:SourceAccount": parse_trail_arn(trail_arn).account_id,
            "aws:SecureTransport": "true",
            "aws:PrincipalIsAWSService": "true",
            "aws:PrincipalServiceName": SERVICE,
            "aws:PrincipalAccount": None,
            "aws:PrincipalArn": None,
            "aws:PrincipalOrgID": None,
            "aws:SourceVpc": None,
            "aws:SourceVpce": None,
        },
    )
