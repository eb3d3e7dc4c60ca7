"""What CloudTrail refuses, as values: the code of its exception and a sentence (reference: CloudTrail §5.5, §5.6)."""

from __future__ import annotations


class Refused(Exception):
    """A request that CloudTrail would answer by an error. Clients compare `code` (TrailNotFoundException)."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
