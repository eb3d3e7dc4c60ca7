"""The configuration, the puts of log files, and parked files: each rule and how to break it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from opentrail_backends.object_store.port import ObjectStoreError
from opentrail_backends.state.port import Parking
from opentrail_delivery import file_names, log_file_put, partition_delivery, window_close
from opentrail_delivery.log_file_put import Put, PutOutcome, PutResult
from opentrail_delivery.parked_files import ParkedFiles
from opentrail_delivery.spool import Spool, copy_size
from tests.simulation import memory_parked
from tests.simulation.memory_ledger import MemoryLedger
from tests.simulation.rules import rule

Patch = pytest.MonkeyPatch


# --- which configuration -----------------------------------------------------------------------------


@rule("an event is judged by the revision in force when the bus took it", "changes")
def _newest_revision(patch: Patch) -> None:
    def newest(messages: Any, history: Any) -> Any:
        return [(message.offset, history.newest.revision) for message in list(messages)[:1]]

    patch.setattr(window_close, "governing_revisions", newest)


@rule("the intent records which revision was used from which offset on: a redo uses it", "changes")
def _newest_at_redo(patch: Patch) -> None:
    build_window, build_files = partition_delivery.build_window, window_close.build_files
    redoes: list[bool] = []

    def build(window: Any, tools: Any, now: int) -> Any:
        redoes.append(window.plan is not None)
        return build_window(window, tools, now)

    def files(batches: Any, body: Any, history: Any, codec: Any, **how: Any) -> Any:
        used = replace(body, revisions=[(0, history.newest.revision)]) if redoes[-1] else body
        return build_files(batches, used, history, codec, **how)

    patch.setattr(partition_delivery, "build_window", build)
    patch.setattr(window_close, "build_files", files)


@rule("the intent records the settings that the bytes depend on: a redo uses them", "crashes")
def _other_settings_at_redo(patch: Patch) -> None:
    """Each redo is by a worker with another size of files."""
    build = partition_delivery.build_window

    def other(window: Any, tools: Any, now: int) -> Any:
        if window.plan is None:
            return build(window, tools, now)
        body = {**window.plan.body, "fileBytes": 700}
        window.plan = replace(window.plan, body=body)
        return build(window, tools, now)

    patch.setattr(partition_delivery, "build_window", other)


@rule("a redo's hashes are compared with the intent's", "lost")
def _hash_not_compared(patch: Patch) -> None:
    def match(files: Any, plan: Any, partition: Any) -> Any:
        known = {(file.incarnation, file.account_id, file.part): file for file in plan.files}
        found = [known.get((file.target.incarnation, file.account_id, file.part)) for file in files]
        if None in found:
            raise partition_delivery.PartitionHalted(partition, "other files")
        return found

    patch.setattr(partition_delivery, "match_plan", match)


# --- puts -------------------------------------------------------------------------------------------


@rule("what lies at a taken key is compared with the file", "buckets")
def _taken_is_done(patch: Patch) -> None:
    patch.setattr(log_file_put, "_compare", lambda *_: PutResult.DONE)


@rule("the bytes decide, not the metadata", "buckets")
def _metadata_decides(patch: Patch) -> None:
    def compare(store: Any, file: Any) -> PutResult:
        there = store.get(file.file.bucket, file.file.object_key).metadata
        same = there.get(log_file_put.HASH_METADATA) == file.file.sha256
        return PutResult.DONE if same else PutResult.OTHER_OBJECT

    patch.setattr(log_file_put, "_compare", compare)


@rule("a file whose key is taken gets a new key in the ledger before it is put there", "buckets")
def _renamed_in_secret(patch: Patch) -> None:
    patch.setattr(MemoryLedger, "rename_file", lambda *_: None)


@rule("a file that its bucket does not take is kept in the spool before its window goes on", "buckets")
def _parked_nowhere(patch: Patch) -> None:
    patch.setattr(Spool, "park", lambda _self, file: copy_size(file))


@rule("a bucket that fails holds up nobody else: its files are parked", "held up")
def _never_parked(patch: Patch) -> None:
    patch.setattr(Put, "wants_parking", property(lambda _: False))


# --- parked files -----------------------------------------------------------------------------------


@rule("a parked file is re-aimed only if every put to its old place was answered by a refusal", "re-aimed")
def _reaimed_too_early(patch: Patch) -> None:
    make = memory_parked._parked_file
    patch.setattr(memory_parked, "_parked_file", lambda row: replace(make(row), is_answered=True))
    reaim = MemoryLedger.reaim_parked

    def anyway(self: MemoryLedger, file: Any, *target: Any) -> bool:
        row = self.tables.files.get(file.id)
        if row is not None:
            row.unanswered = 0
        return reaim(self, file, *target)

    patch.setattr(MemoryLedger, "reaim_parked", anyway)


@rule("a put of a parked file counts as not answered before it begins", "re-aimed")
def _not_counted(patch: Patch) -> None:
    begin = MemoryLedger.begin_parked

    def uncounted(self: MemoryLedger, ids: Any) -> Any:
        files = begin(self, ids)
        for file in files:
            self.tables.files[file.id].unanswered -= 1
        return files

    patch.setattr(MemoryLedger, "begin_parked", uncounted)


@rule("a file of a redone window is parked as not answered: an earlier owner's put may be under way", "re-aimed")
def _redone_is_answered(patch: Patch) -> None:
    init = Put.__init__

    def forgetful(self: Put, file: Any, tools: Any, *, redone: bool) -> None:
        init(self, file, tools, redone=False)

    patch.setattr(Put, "__init__", forgetful)


@rule("a file that was put without an answer is parked as not answered", "re-aimed")
def _silence_is_an_answer(patch: Patch) -> None:
    park = Put.park

    def answered(self: Put) -> Any:
        outcome = park(self)
        if not isinstance(outcome, PutOutcome) or outcome.parking is None:
            return outcome
        size, error, _ = outcome.parking
        return PutOutcome(PutResult.PARKED, Parking(size, error, is_answered=True))

    patch.setattr(Put, "park", answered)


@rule("only what begin_parked gives back is put, and only where it says", "re-aimed")
def _old_place(patch: Patch) -> None:
    begin = MemoryLedger.begin_parked
    read = MemoryLedger.parked_files
    seen: dict[int, Any] = {}

    def remember(self: MemoryLedger, limit: int, after: int = 0) -> Any:
        files = read(self, limit, after)
        for file in files:
            seen.setdefault(file.id, file)
        return files

    def as_read(self: MemoryLedger, ids: Any) -> Any:
        return [seen.get(file.id, file) for file in begin(self, ids)]

    patch.setattr(MemoryLedger, "parked_files", remember)
    patch.setattr(MemoryLedger, "begin_parked", as_read)


@rule("a copy is removed from the spool only after the ledger has its file as delivered", "parked")
def _forgotten_too_early(patch: Patch) -> None:
    deliver = ParkedFiles._deliver

    def forget_first(self: ParkedFiles, file: Any, put: Any) -> bool:
        with suppress(ObjectStoreError):
            self._tools.puts.spool_or_fail().forget(file)
        return deliver(self, file, put)

    patch.setattr(ParkedFiles, "_deliver", forget_first)


@rule("a parked file whose key is taken gets a new key in the ledger before it is put there", "parked")
def _parked_renamed_in_secret(patch: Patch) -> None:
    def rename(self: MemoryLedger, file: Any, new_key: str) -> None:
        """The old key stays in the ledger."""

    def any_name(self: MemoryLedger, file: Any) -> Any:
        row = self.tables.files.get(file.id)
        return row if row is not None and row.state is memory_parked.FileState.PARKED else None

    patch.setattr(MemoryLedger, "rename_parked", rename)
    patch.setattr(MemoryLedger, "_under_its_name", any_name)


@rule("unique parts of names are never used twice", "crashes")
def _same_names(patch: Patch) -> None:
    patch.setattr(file_names, "_unique", lambda: "thesameforeveryfile"[:16])
