"""Buckets that the operator lets accounts use, whatever the buckets' policies say."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import NamedTuple, Self

_PATTERN = re.compile(r"(?P<account>[0-9]{12}|\*):(?P<bucket>[a-z0-9.*-]{1,63})")


class AllowedBuckets(NamedTuple):
    """Patterns of pairs (account, bucket); `*` in a pattern stands for any characters."""

    patterns: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, texts: Iterable[str]) -> Self:
        """Reads patterns `ACCOUNT:BUCKET`. Raises ValueError with a sentence that says what is allowed."""
        patterns = []
        for text in texts:
            match = _PATTERN.fullmatch(text)
            if match is None:
                raise ValueError(
                    f"{text!r} is not of the form ACCOUNT:BUCKET, where ACCOUNT is 12 digits or *, "
                    "and BUCKET is the name of a bucket, with * for any characters"
                )
            patterns.append((match["account"], match["bucket"]))
        return cls(tuple(patterns))

    def allows(self, account_id: str, bucket: str) -> bool:
        """Whether an account's trails may use a bucket."""
        return any(fnmatchcase(account_id, account) and fnmatchcase(bucket, name) for account, name in self.patterns)
