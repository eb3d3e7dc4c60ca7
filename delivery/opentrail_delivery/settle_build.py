"""Files of the windows that `opentrail settle` makes: new ones, and found ones that the ledger is to know again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from opentrail.events.batch import EventGroup, split
from opentrail.evidence.log_file import Codec, assemble
from opentrail_backends.state.port import IntendedFile
from opentrail_delivery.routing import Target
from opentrail_delivery.settle_strays import Match
from opentrail_delivery.window_build import BuiltFile, segment_of

_SEGMENT_BYTES = 1024 * 1024


def event_seconds(match: Match, stamp: int) -> tuple[int, int]:
    """The times of a found file's oldest and newest event; `stamp` where none says."""
    file = match.file
    return (stamp if file.oldest is None else file.oldest, stamp if file.newest is None else file.newest)


def adopted_file(match: Match, part: int, times: tuple[int, int], topic: str | None) -> IntendedFile:
    """A found file as a window of the ledger has it. Nobody knows whether its topic was told: it is told again."""
    target, file = match.target, match.file
    return IntendedFile(
        incarnation=target.incarnation,
        logging_session=target.logging_session,
        account_id=match.line.account_id,
        part=part,
        bucket=file.bucket,
        object_key=file.object_key,
        sha256=file.sha256,
        events=file.count,
        oldest_event_time=times[0],
        newest_event_time=times[1],
        trail_arn=target.trail_arn,
        kms_key_id=target.kms_key_id,
        owner=target.owner,
        is_digested=target.is_digested and not match.is_named,
        sns_topic_arn=topic,
        records_root=file.records_root,
    )


def built_files(
    target: Target,
    account_id: str,
    groups: Sequence[EventGroup],
    file_bytes: int,
    codec: Codec,
    *,
    record_proofs: bool,
) -> Iterator[BuiltFile]:
    """Files of at most `file_bytes` of records."""
    chosen: list[EventGroup] = []
    size = 0
    for group in (piece for whole in groups for piece in split(whole, min(_SEGMENT_BYTES, file_bytes))):
        if chosen and size + len(group.records) + 1 > file_bytes:
            yield _file(target, account_id, chosen, codec, record_proofs=record_proofs)
            chosen, size = [], 0
        chosen.append(group)
        size += len(group.records) + 1
    if chosen:
        yield _file(target, account_id, chosen, codec, record_proofs=record_proofs)


def _file(
    target: Target, account_id: str, groups: Sequence[EventGroup], codec: Codec, *, record_proofs: bool
) -> BuiltFile:
    (log_file,) = assemble([[segment_of([group], record_proofs=record_proofs) for group in groups]], codec)
    return BuiltFile(
        target=target,
        account_id=account_id,
        part=0,
        log_file=log_file,
        events=sum(group.count for group in groups),
        oldest_event_time=min(group.oldest for group in groups),
        newest_event_time=max(group.newest for group in groups),
    )
