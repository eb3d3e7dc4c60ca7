"""What an intent says beside its files: all that a window's bytes depend on (design, step 3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

FORMAT_VERSION = 1
"""How windows become files. A release also builds the version before its own; nobody redoes a newer one."""


class IntentOfNewerFormat(Exception):
    """The intent was written by a newer release. Upgrade this worker; nothing is lost meanwhile."""


@dataclass(frozen=True, slots=True)
class IntentBody:
    """Settings and choices that a redo must repeat."""

    stamp: int
    """Time in the files' names, seconds since the epoch."""
    file_bytes: int
    revisions: Sequence[tuple[int, int]]
    """(offset, revision): from this offset on, the configuration had this revision. Offsets rise."""
    poison: Sequence[int] = ()
    """Offsets of messages that could not be read; they lie in the spool."""
    format_version: int = FORMAT_VERSION

    def to_json(self) -> dict[str, Any]:
        """The form that the ledger keeps."""
        return {
            "formatVersion": self.format_version,
            "stamp": self.stamp,
            "fileBytes": self.file_bytes,
            "revisions": [list(point) for point in self.revisions],
            "poison": list(self.poison),
        }

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> IntentBody:
        """Reads it back. Raises IntentOfNewerFormat."""
        if body["formatVersion"] > FORMAT_VERSION:
            raise IntentOfNewerFormat(
                f"the ledger holds an intent of format {body['formatVersion']}, this release knows {FORMAT_VERSION}: "
                "upgrade this worker"
            )
        return cls(
            stamp=body["stamp"],
            file_bytes=body["fileBytes"],
            revisions=[(offset, revision) for offset, revision in body["revisions"]],
            poison=tuple(body["poison"]),
            format_version=body["formatVersion"],
        )

    def revision_at(self, offset: int) -> int:
        """The revision that governs the message at an offset."""
        return max((point for point in self.revisions if point[0] <= offset), default=(0, 0))[1]
