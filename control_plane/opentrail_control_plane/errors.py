"""Refusals, as AWS's clients know them: a code, an HTTP status and a sentence."""

from __future__ import annotations


class ApiError(Exception):
    """An answer that is an error. Clients compare `code` (`__type` in JSON 1.1, `Code` in the query protocol)."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


def trail_not_found(name: str, account_id: str) -> ApiError:
    """No such trail, or none that this account may see from here."""
    return ApiError("TrailNotFoundException", f"Unknown trail: {name} for the user: {account_id}")
