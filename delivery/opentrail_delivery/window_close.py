"""Step 3: what a window becomes, before its intent is written.

By the window's plan, if it redoes an intent, else by the configuration and the settings as they are now.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from opentrail.evidence.log_file import Codec
from opentrail_backends.event_bus.batches import MalformedBatch, NewerFormat
from opentrail_backends.event_bus.port import Message, Partition
from opentrail_backends.state.port import IntendedFile, Intent
from opentrail_delivery.client_book import ClientBook, WindowNumbers
from opentrail_delivery.configuration_feed import ConfigurationFeed
from opentrail_delivery.errors import PartitionHalted
from opentrail_delivery.file_names import file_stamp
from opentrail_delivery.intent_body import IntentBody
from opentrail_delivery.metrics import DeliveryMetrics
from opentrail_delivery.spool import Spool
from opentrail_delivery.window import Window
from opentrail_delivery.window_build import BuiltFile, build_files, governing_revisions, read_batches


class BuiltWindow(NamedTuple):
    """What step 3 makes of a window."""

    files: Sequence[BuiltFile]
    body: IntentBody
    poison: Sequence[Message]
    numbers: WindowNumbers


class BuildTools(NamedTuple):
    """What building a window needs beside the window."""

    partition: Partition
    feed: ConfigurationFeed
    codec: Codec
    book: ClientBook
    file_bytes: int
    record_proofs: bool = True


def build_window(window: Window, tools: BuildTools, now: int) -> BuiltWindow:
    """The window's files by its plan, or by the configuration as it is known now. Raises PartitionHalted."""
    planned = IntentBody.from_json(window.plan.body) if window.plan else None
    for thoroughly in (False, True):
        try:
            batches, poison = read_batches(window.messages, planned.poison if planned else None, thoroughly=thoroughly)
            body = planned or IntentBody(
                stamp=file_stamp(now),
                file_bytes=tools.file_bytes,
                revisions=governing_revisions(window.messages, tools.feed.history),
                poison=[message.offset for message in poison],
            )
            numbers = tools.book.window()
            new = [(message, numbers.without_repeats(message, batch)) for message, batch in batches]
            files = build_files(new, body, tools.feed.history, tools.codec, record_proofs=tools.record_proofs)
            return BuiltWindow(files, body, poison, numbers)
        except NewerFormat as error:
            raise PartitionHalted(tools.partition, str(error)) from None
        except MalformedBatch as error:
            # A column that only some selectors read is broken: look for it in all messages, once.
            if planned or thoroughly:
                raise PartitionHalted(tools.partition, str(error)) from None
    raise AssertionError("unreachable")


def match_plan(files: Sequence[BuiltFile], plan: Intent, partition: Partition) -> Sequence[IntendedFile]:
    """The intent decides: a redo must give the same files, else the partition stops loudly."""
    intended = {(file.incarnation, file.account_id, file.part): file for file in plan.files}
    matched = [intended.pop((file.target.incarnation, file.account_id, file.part), None) for file in files]
    different = [
        file
        for file, known in zip(files, matched, strict=True)
        if known is None or known.sha256 != file.log_file.sha256 or _differs(known, file)
    ]
    if different or intended:
        raise PartitionHalted(
            partition,
            f"redoing intent {plan.number} (offsets {plan.first_offset} to {plan.end_offset - 1}) gives other "
            f"files than it fixed: {len(different)} differ, {len(intended)} are missing. The bus has other "
            "messages at these offsets than before (`opentrail settle` tells what is there and goes on), or this "
            "release builds them differently (go back to the one before)",
        )
    return [file for file in matched if file is not None]


def _differs(known: IntendedFile, file: BuiltFile) -> bool:
    """Whether the trees over the records have different roots: one of them may not have been asked for."""
    return None not in {known.records_root, file.log_file.records_root} and (
        known.records_root != file.log_file.records_root
    )


def demand_spool(built: BuiltWindow, partition: Partition, spool: Spool | None) -> None:
    """Raises PartitionHalted where something cannot be delivered and there is no spool to keep it in."""
    messages = [*built.poison, *(letter.message for letter in built.numbers.dead_letters)]
    if messages and spool is None:
        raise PartitionHalted(
            partition,
            f"the message at offset {messages[0].offset} cannot be delivered and there is no spool to keep it in: "
            "set OPENTRAIL_SPOOL",
        )


def keep_undeliverable(built: BuiltWindow, topic_id: str, spool: Spool | None, metrics: DeliveryMetrics) -> None:
    """What the intent says cannot be delivered is kept before step 5. Raises ObjectStoreError: redo from 4."""
    if spool is None:
        return
    for message in built.poison:
        spool.keep_poison(topic_id, message)
        metrics.spooled.labels("poison").inc()
    for letter in built.numbers.dead_letters:
        spool.keep_dead_letter(topic_id, letter)
        metrics.spooled.labels("dead-letters").inc()
    for given_up in built.numbers.given_up:
        spool.keep_given_up(topic_id, given_up)
