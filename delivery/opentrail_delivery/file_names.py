"""Step 3: where each log file of a window will lie."""

from __future__ import annotations

import secrets
import string
from collections.abc import Callable, Sequence

from opentrail.evidence.object_keys import log_file_key
from opentrail_backends.state.port import IntendedFile
from opentrail_delivery.window_build import BuiltFile

_ALPHABET = string.ascii_letters + string.digits
_STAMP_SECONDS = 300
"""CloudTrail's file names stand on 5-minute marks."""


def file_stamp(now: int) -> int:
    """The time in the names of files that are closed at `now` (ms): the 5-minute mark before it, in seconds."""
    return now // 1000 // _STAMP_SECONDS * _STAMP_SECONDS


def _nobody(_incarnation: str) -> None:
    """A trail without a topic."""


def name_files(
    files: Sequence[BuiltFile], region: str, stamp: int, topic_of: Callable[[str], str | None] = _nobody
) -> list[IntendedFile]:
    """Fixes the key of each file; its `{unique}` part is random, so a redo takes the keys from the intent.

    `topic_of` a trail's incarnation: whom to tell. The intent fixes that, too; it is no part of the files' targets, so
    that a redo does not depend on it.
    """
    return [
        IntendedFile(
            incarnation=file.target.incarnation,
            logging_session=file.target.logging_session,
            account_id=file.account_id,
            part=file.part,
            bucket=file.target.bucket,
            object_key=log_file_key(
                account_id=file.account_id,
                region=region,
                seconds=stamp,
                unique=_unique(),
                prefix=file.target.prefix,
                organization_id=file.target.organization_id,
            ),
            sha256=file.log_file.sha256,
            events=file.events,
            oldest_event_time=file.oldest_event_time,
            newest_event_time=file.newest_event_time,
            trail_arn=file.target.trail_arn,
            kms_key_id=file.target.kms_key_id,
            owner=file.target.owner,
            is_digested=file.target.is_digested,
            sns_topic_arn=topic_of(file.target.incarnation),
            records_root=file.log_file.records_root,
        )
        for file in files
    ]


def another_key(key: str) -> str:
    """The same key with another `{unique}` part: for a file whose place is taken by something else."""
    head, _, tail = key.rpartition("_")
    return f"{head}_{_unique()}{tail[tail.index('.') :]}"


def _unique() -> str:
    """16 characters `[A-Za-z0-9]` (CloudTrail: object keys)."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(16))
