"""Why a record is not accepted: a value that the client gets back."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple, NoReturn


class RejectionCode(StrEnum):
    """The names of `RejectionCode` in `proto/opentrail/producer/v1/producer.proto`."""

    MALFORMED_JSON = "MALFORMED_JSON"
    NOT_AN_OBJECT = "NOT_AN_OBJECT"
    NESTED_TOO_DEEP = "NESTED_TOO_DEEP"
    DUPLICATE_KEY = "DUPLICATE_KEY"
    MISSING_FIELD = "MISSING_FIELD"
    INVALID_FIELD = "INVALID_FIELD"
    INVALID_EVENT_TIME = "INVALID_EVENT_TIME"
    EVENT_TOO_LARGE = "EVENT_TOO_LARGE"
    ACCOUNT_MISMATCH = "ACCOUNT_MISMATCH"
    UNKNOWN_REGION = "UNKNOWN_REGION"
    REGION_MISMATCH = "REGION_MISMATCH"


class Rejection(NamedTuple):
    """Why one record is not accepted."""

    code: RejectionCode
    message: str
    """A sentence that says what is wrong and what would be right."""


class Rejected(Exception):
    """Carries a rejection out of the checks; `check_record` turns it into a value."""

    def __init__(self, code: RejectionCode, message: str) -> None:
        super().__init__(message)
        self.rejection = Rejection(code, message)


def missing_field(field: str) -> NoReturn:
    """Raises Rejected for a member that the record must have."""
    raise Rejected(RejectionCode.MISSING_FIELD, f"The record has no {field}.")


def invalid_field(field: str, right: str) -> NoReturn:
    """Raises Rejected for a member whose value is not what it must be."""
    raise Rejected(RejectionCode.INVALID_FIELD, f"{field} is not {right}.")
