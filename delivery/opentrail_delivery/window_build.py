"""Steps 2 and 3: from a window's messages to the log files of all trails that want its events.

A pure function of the messages, the configuration history and the intent's body, so that a redo gives
the same uncompressed bytes. Per account, events are grouped by the *set* of targets that want them;
each such group is deflated once and serves the files of all its targets (`opentrail.evidence.log_file`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from opentrail.events.batch import EventBatch, EventGroup, MalformedBatch, SelectorClass, attributes_of, split
from opentrail.events.columns import unpacked
from opentrail.evidence.log_file import Codec, LogFile, Segment, assemble
from opentrail.trails.configuration import ConfigurationHistory
from opentrail_backends.event_bus.batches import peek, unpack
from opentrail_backends.event_bus.port import Message
from opentrail_delivery.intent_body import IntentBody
from opentrail_delivery.routing import Router, Target

_SHARING_PAYS_FROM = 64 * 1024
"""Below this many bytes of an account, one segment per file compresses better than shared ones (measured)."""
_WITH_ATTRIBUTES = frozenset({"Data", "NetworkActivity"})
"""Categories whose events have attributes; other groups come without that column."""
_SEGMENT_BYTES = 1024 * 1024
"""Segments are cut at this size: deflated and hashed while they lie in the processor's cache."""


@dataclass(frozen=True, slots=True)
class BuiltFile:
    """A log file of one target, and what the ledger and its digest say of it."""

    target: Target
    account_id: str
    part: int
    log_file: LogFile
    events: int
    oldest_event_time: int
    newest_event_time: int


def read_batches(
    messages: Iterable[Message], known_poison: Sequence[int] | None, *, thoroughly: bool = False
) -> tuple[list[tuple[Message, EventBatch]], list[Message]]:
    """Unpacks the window's messages. A redo obeys the intent's poisoned offsets (`known_poison`).

    `thoroughly` also reads the columns that only some selectors need: asked for when one of them broke its reader.
    Raises NewerFormat: that is not poison, the worker stops. A redo raises MalformedBatch on new poison.
    """
    batches: list[tuple[Message, EventBatch]] = []
    poison: list[Message] = []
    for message in messages:
        if known_poison is not None and message.offset in known_poison:
            poison.append(message)
            continue
        try:
            batch = unpack(message.value)
            if thoroughly:
                for group in batch.groups:
                    if group.attributes or group.selector_class.event_category in _WITH_ATTRIBUTES:
                        attributes_of(group)
            batches.append((message, batch))
        except MalformedBatch:
            if known_poison is not None:
                raise
            poison.append(message)
    return batches, poison


def governing_revisions(messages: Iterable[Message], history: ConfigurationHistory) -> list[tuple[int, int]]:
    """The change points of the configuration in a window: the newest revision not after each message was accepted."""
    points: list[tuple[int, int]] = []
    for message in messages:
        revision = history.at_time(accepted_at(message)).revision
        if not points or points[-1][1] != revision:
            points.append((message.offset, revision))
    return points


def accepted_at(message: Message) -> int:
    """When the bus took a message's events first (ms): its append time, but for one that was put there again."""
    try:
        return peek(message.value).accepted_at or message.append_time
    except MalformedBatch:
        return message.append_time


def build_files(
    batches: Sequence[tuple[Message, EventBatch]],
    body: IntentBody,
    history: ConfigurationHistory,
    codec: Codec,
    *,
    record_proofs: bool = True,
) -> list[BuiltFile]:
    """The log files of a window, with trees over their records if there are to be proofs of them.

    Raises KeyError if a revision of the body is not known here.
    """
    accounts: dict[str, _AccountWindow] = {}
    routers: dict[tuple[int, str], tuple[Router, dict[SelectorClass, list[EventGroup]]]] = {}
    limit = min(_SEGMENT_BYTES, body.file_bytes)
    for message, batch in batches:
        account = accounts.setdefault(batch.account_id, _AccountWindow())
        place = (body.revision_at(message.offset), batch.account_id)
        if place not in routers:
            routers[place] = Router(history.at_revision(place[0]), batch.account_id, batch.region), {}
        router, decided = routers[place]
        for group in batch.groups:
            # A class that was decided as a whole needs one look: windows have thousands of groups.
            alike = decided.get(group.selector_class)
            if alike is not None and len(group.records) <= limit:
                alike.append(group)
                continue
            for targets, part in router.route(group):
                groups = account.add(targets, part, limit)
                if router.takes_whole(group.selector_class):
                    decided[group.selector_class] = groups
    files: list[BuiltFile] = []
    for account_id in sorted(accounts):
        files += _files_of_account(
            account_id, accounts[account_id], body.file_bytes, codec, record_proofs=record_proofs
        )
    return files


class _Share:
    """The events that one set of targets wants, by selector class: alike texts side by side compress better."""

    __slots__ = ("classes",)

    def __init__(self) -> None:
        self.classes: dict[SelectorClass, list[EventGroup]] = {}

    @property
    def size(self) -> int:
        """Bytes of the records, each group's with a comma."""
        return sum([len(group.records) + 1 for groups in self.classes.values() for group in groups])

    def groups(self) -> Iterator[EventGroup]:
        for groups in self.classes.values():
            yield from groups


@dataclass(slots=True)
class _AccountWindow:
    """An account's events in a window, by the set of targets that want them."""

    shares: dict[tuple[Target, ...], _Share] = field(default_factory=dict)

    def add(self, targets: tuple[Target, ...], group: EventGroup, limit: int) -> list[EventGroup]:
        """Adds a group, in pieces of at most `limit` bytes; returns all of its class that these targets want."""
        share = self.shares.get(targets)
        if share is None:
            share = self.shares[targets] = _Share()
        groups = share.classes.setdefault(group.selector_class, [])
        if len(group.records) <= limit:
            groups.append(group)
        else:
            groups += split(group, limit)
        return groups


@dataclass(slots=True)
class _Run:
    """Groups that are deflated together."""

    groups: list[EventGroup] = field(default_factory=list)
    size: int = 0


def segment_of(groups: Sequence[EventGroup], *, record_proofs: bool) -> Segment:
    """Groups as one segment of log files; with the lengths of their records, if there are to be proofs of them."""
    lengths = unpacked("I", b"".join([group.lengths for group in groups])) if record_proofs else None
    return Segment([group.records for group in groups], lengths)


def _files_of_account(
    account_id: str, window: _AccountWindow, file_bytes: int, codec: Codec, *, record_proofs: bool
) -> list[BuiltFile]:
    # Shares that most targets want come first, so that files begin alike and share their hash states.
    shares = sorted(window.shares.items(), key=lambda item: (-len(item[0]), [t.order() for t in item[0]]))
    targets = sorted({target for wanted_by, _ in shares for target in wanted_by}, key=Target.order)
    sharing = sum(share.size for _, share in shares) >= _SHARING_PAYS_FROM
    segments: dict[int, Segment] = {}
    parts: dict[str, int] = {}
    plans: list[tuple[Target, int, list[_Run]]] = []
    runs_of_share = {wanted_by: list(_cut([share], file_bytes)) for wanted_by, share in shares} if sharing else {}
    runs_of_set: dict[tuple[tuple[Target, ...], ...], list[_Run]] = {}
    for target in targets:
        wanted = tuple(wanted_by for wanted_by, _ in shares if target in wanted_by)
        if sharing:
            runs = [run for wanted_by in wanted for run in runs_of_share[wanted_by]]
        else:
            if wanted not in runs_of_set:
                runs_of_set[wanted] = list(_cut([window.shares[wanted_by] for wanted_by in wanted], file_bytes))
            runs = runs_of_set[wanted]
        for file_runs in _fill(runs, file_bytes):
            part = parts.get(target.incarnation, 0)
            parts[target.incarnation] = part + 1
            plans.append((target, part, file_runs))
    for _, _, runs in plans:
        for run in runs:
            if id(run) not in segments:
                segments[id(run)] = segment_of(run.groups, record_proofs=record_proofs)
    log_files = assemble([[segments[id(run)] for run in runs] for _, _, runs in plans], codec)
    return [
        _built(target, account_id, part, log_file, [group for run in runs for group in run.groups])
        for (target, part, runs), log_file in zip(plans, log_files, strict=True)
    ]


def _built(target: Target, account_id: str, part: int, log_file: LogFile, groups: Sequence[EventGroup]) -> BuiltFile:
    return BuiltFile(
        target=target,
        account_id=account_id,
        part=part,
        log_file=log_file,
        events=sum([group.count for group in groups]),
        oldest_event_time=min([group.oldest for group in groups]),
        newest_event_time=max([group.newest for group in groups]),
    )


def _cut(shares: Sequence[_Share], file_bytes: int) -> Iterator[_Run]:
    """Runs of groups of at most a segment's size each."""
    limit = min(_SEGMENT_BYTES, file_bytes)
    run = _Run()
    for share in shares:
        for group in share.groups():
            size = len(group.records) + 1
            if run.groups and run.size + size > limit:
                yield run
                run = _Run()
            run.groups.append(group)
            run.size += size
    if run.groups:
        yield run


def _fill(runs: Sequence[_Run], file_bytes: int) -> Iterator[list[_Run]]:
    """Fills files with runs up to the limit."""
    chosen: list[_Run] = []
    size = 0
    for run in runs:
        if chosen and size + run.size > file_bytes:
            yield chosen
            chosen, size = [], 0
        chosen.append(run)
        size += run.size
    if chosen:
        yield chosen
