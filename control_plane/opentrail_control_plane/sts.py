"""STS, as far as AWS's clients ask it of this endpoint: who one is, and credentials for a while."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from opentrail_control_plane.caller_identity import identity_arn, principal_id
from opentrail_control_plane.credentials import DEFAULT_SESSION, Credentials
from opentrail_control_plane.errors import ApiError
from opentrail_control_plane.operations.context import Context, Reply


def get_caller_identity(context: Context, _members: dict[str, Any]) -> Reply:
    """GetCallerIdentity: the key's user, or the account's root if the key has no name. A session is its key's user."""
    account_id, user_name = context.caller.account_id, context.identity.user_name
    return Reply(
        {
            "Arn": identity_arn(account_id, user_name),
            "UserId": principal_id(account_id, user_name),
            "Account": account_id,
        }
    )


class SessionTokens:
    """GetSessionToken."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    def get_session_token(self, context: Context, members: dict[str, Any]) -> Reply:
        """GetSessionToken: 15 minutes to 36 hours, 12 hours if nothing is said.

        Raises ApiError, AccessDeniedException: to a session, and to who shows a code of a device, since no key has one.
        """
        if context.identity.session_created_at:
            raise ApiError("AccessDeniedException", "Cannot call GetSessionToken with session credentials", 403)
        if "SerialNumber" in members or "TokenCode" in members:
            message = "MultiFactorAuthentication failed: access keys of this service have no MFA device."
            raise ApiError("AccessDeniedException", message, 403)
        seconds = members.get("DurationSeconds", DEFAULT_SESSION)
        given = self._credentials.session(context.caller.account_id, context.identity, seconds, context.now)
        return Reply(
            {
                "Credentials": {
                    "AccessKeyId": given.access_key_id,
                    "SecretAccessKey": given.secret_access_key,
                    "SessionToken": given.session_token,
                    "Expiration": datetime.fromtimestamp(given.expires_at, UTC),
                }
            }
        )
