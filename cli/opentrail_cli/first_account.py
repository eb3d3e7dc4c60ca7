"""What `opentrail up` begins with where nothing is declared: one account, one trail that wants everything."""

from __future__ import annotations

import re

from opentrail_cli.declared import Declaration, DeclaredAccessKey, DeclaredAccount, DeclaredToken, DeclaredTrail
from opentrail_cli.errors import CommandFailed

DEFAULT_ACCOUNT = "111111111111"
DEFAULT_BUCKET = "opentrail-logs"
TRAIL_NAME = "everything"
CREDENTIAL_NAME = "first"

EVERYTHING = [
    {
        "ReadWriteType": "All",
        "IncludeManagementEvents": True,
        "DataResources": [
            {"Type": "AWS::S3::Object", "Values": ["arn:aws:s3"]},
            {"Type": "AWS::Lambda::Function", "Values": ["arn:aws:lambda"]},
            {"Type": "AWS::DynamoDB::Table", "Values": ["arn:aws:dynamodb"]},
        ],
    }
]
"""Event selectors for all management events and the data events of the three classic types."""


def first_account(account_id: str) -> Declaration:
    """An account with a token, an access key and a trail in all regions, with digests. Raises CommandFailed."""
    if not re.fullmatch(r"[0-9]{12}", account_id):
        raise CommandFailed(f"{account_id!r} is not an account id: it must have 12 digits.")
    trail = DeclaredTrail(
        name=TRAIL_NAME,
        account_id=account_id,
        s3_bucket_name=DEFAULT_BUCKET,
        is_multi_region_trail=True,
        event_selectors=EVERYTHING,
    )
    return Declaration(
        accounts=[DeclaredAccount(id=account_id)],
        tokens=[DeclaredToken(account_id=account_id, name=CREDENTIAL_NAME)],
        access_keys=[DeclaredAccessKey(account_id=account_id, name=CREDENTIAL_NAME)],
        trails=[trail],
    )
