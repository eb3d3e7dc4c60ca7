"""Refusals, as AWS's clients know them: a code, an HTTP status and a sentence."""

from __future__ import annotations

from opentrail.trails.refused import Refused

_FORBIDDEN = frozenset({"AccessDeniedException", "AccessDenied"})
_LONGEST_MESSAGE = 2_000
"""Characters of what a rule says: it may repeat what it was given, which may be anything."""


class ApiError(Exception):
    """An answer that is an error. Clients compare `code` (`__type` in JSON 1.1, `Code` in the query protocol)."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


def answer_of(refused: Refused) -> ApiError:
    """What the caller gets for a rule that says no: status 400, as all of CloudTrail's own errors have (§5.1)."""
    message = refused.message[:_LONGEST_MESSAGE]
    return ApiError(refused.code, message, 403 if refused.code in _FORBIDDEN else 400)
