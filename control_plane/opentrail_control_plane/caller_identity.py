"""What an access key is to AWS's clients: an IAM user of its name, or the account's root if it has none.

STS GetCallerIdentity and the `userIdentity` of records say the same.
"""

from __future__ import annotations

import base64
from hashlib import sha256


def identity_arn(account_id: str, user_name: str) -> str:
    """The ARN of the user or root."""
    return f"arn:aws:iam::{account_id}:{f'user/{user_name}' if user_name else 'root'}"


def principal_id(account_id: str, user_name: str) -> str:
    """The id that AWS shows beside an ARN: of a user 21 characters that stay the same, of root the account's own."""
    if not user_name:
        return account_id
    digest = sha256(identity_arn(account_id, user_name).encode()).digest()
    return "AIDA" + base64.b32encode(digest).decode("ascii")[:17]
