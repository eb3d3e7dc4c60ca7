"""Which buckets an operator may let accounts use."""

from __future__ import annotations

import pytest

from opentrail_control_plane.allowed_buckets import AllowedBuckets

ACCOUNT, STRANGER, BUCKET = "111122223333", "444455556666", "trail-logs"


@pytest.mark.parametrize(
    ("pattern", "account", "bucket", "allowed"),
    [
        (f"{ACCOUNT}:{BUCKET}", ACCOUNT, BUCKET, True),
        (f"{ACCOUNT}:{BUCKET}", STRANGER, BUCKET, False),
        (f"{ACCOUNT}:{BUCKET}", ACCOUNT, "trail-logs-2", False),
        (f"*:{BUCKET}", STRANGER, BUCKET, True),
        (f"{ACCOUNT}:*", ACCOUNT, "anything", True),
        ("*:team-*-logs", ACCOUNT, "team-a-logs", True),
        ("*:team-*-logs", ACCOUNT, "team-a-data", False),
        ("*:trail.logs", ACCOUNT, "trailxlogs", False),
    ],
)
def test_a_pattern_allows_pairs_of_account_and_bucket(pattern: str, account: str, bucket: str, allowed: bool) -> None:
    assert AllowedBuckets.parse([pattern]).allows(account, bucket) is allowed
    assert not AllowedBuckets().allows(account, bucket)


@pytest.mark.parametrize(
    "pattern", ["", BUCKET, f"{ACCOUNT}:", "12:bucket", f"{ACCOUNT}:UPPER", "1111*:bucket", "*:[a-z]"]
)
def test_a_pattern_of_another_form_is_a_mistake(pattern: str) -> None:
    with pytest.raises(ValueError, match="not of the form ACCOUNT:BUCKET"):
        AllowedBuckets.parse([f"{ACCOUNT}:{BUCKET}", pattern])
