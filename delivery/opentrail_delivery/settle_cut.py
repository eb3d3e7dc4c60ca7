"""`opentrail settle` where the bus lost messages: at the start of a log (retention, an operator) or at its end."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from opentrail_backends.state.port import Lease, LostOffsets, Parking, Settlement
from opentrail_delivery.client_book import ClientBook
from opentrail_delivery.configuration_feed import ConfigurationFeed
from opentrail_delivery.errors import PartitionHalted
from opentrail_delivery.intent_body import IntentOfNewerFormat
from opentrail_delivery.settle_examine import Case, Trouble
from opentrail_delivery.settle_files import Fates, all_fates
from opentrail_delivery.settle_put import put_or_park
from opentrail_delivery.settle_reader import SettleReader
from opentrail_delivery.settle_tools import Settled, SettleTools
from opentrail_delivery.window import Window
from opentrail_delivery.window_close import BuildTools, build_window, match_plan


def settle_cut(tools: SettleTools, case: Case, reader: SettleReader, feed: ConfigurationFeed) -> Settled:
    """Settles one partition. Raises SettleRefused, EventBusError, ObjectStoreError, StateError.

    Windows of which nothing was put are read anew, as far as the bus has their messages. A window of which a part was
    put is closed: what is missing of it is made again from the messages, or recorded as lost.
    """
    assert case.bounds is not None
    assert case.topic is not None
    bounds = case.bounds
    lease, intents = tools.state.ledger.own(*case.partition, bounds.start)
    fates = all_fates(intents, *case.partition, tools.object_store, tools.spool)
    done = Settled(
        partition=case.partition,
        trouble=case.trouble.value,
        next_offset_was=lease.next_offset,
        next_offset=bounds.start,
    )
    begun = [index for index, one in enumerate(fates) if one.found]
    closed = fates[: begun[-1] + 1] if begun else []
    for one in closed:
        if one.missing and bounds.start <= one.intent.first_offset and one.intent.end_offset <= bounds.end:
            missing = len(one.missing)
            try:
                _make_again(tools, case, lease, one, reader, feed)
            except (PartitionHalted, IntentOfNewerFormat) as error:
                done.notes.append(f"files of intent {one.intent.number} cannot be made again: {error}")
            done.rebuilt += missing - len(one.missing)
    passed = max([lease.next_offset, *(one.intent.end_offset for one in closed)])
    done.next_offset = min(max(passed, bounds.start), bounds.end)
    done.delivered = sum(len(one.delivered) for one in fates)
    done.parked = sum(len(one.parked) for one in fates)
    done.lost_offsets = [*_lost_files(case, closed), *_lost_messages(case, passed, fates)]
    done.lost = sum(len(one.missing) for one in closed)
    lease = tools.state.ledger.settle(
        lease,
        Settlement(
            topic_id=case.topic.id,
            partitions=case.topic.partitions,
            next_offset=done.next_offset,
            delivered={key for one in fates for key in one.delivered},
            parked={key: parking for one in fates for key, parking in one.parked.items()},
            lost={key for one in fates for key in one.missing},
            lost_offsets=done.lost_offsets,
        ),
    )
    if case.hint is not None and case.hint.offset > done.next_offset:
        # The log lost its end: what the bus was told lies above it, and would look as if the ledger had gone back.
        metadata = f"{lease.token}:{lease.last_intent}"
        if not reader.set_hint(case.partition, done.next_offset, metadata):
            done.notes.append("the bus did not keep the new position: settle again")
    return done


def _make_again(
    tools: SettleTools, case: Case, lease: Lease, fates: Fates, reader: SettleReader, feed: ConfigurationFeed
) -> None:
    """Puts an intent's missing files, made from its messages. A crash here: settling again finds them there.

    Raises PartitionHalted where the messages give other files than the intent fixed.
    """
    intent = fates.intent
    messages = list(reader.read(case.partition, intent.first_offset, intent.end_offset))
    window = Window(intent.first_offset, intent, messages=messages)
    # As delivery redoes it: the state of the clients is that before the window, if nothing is open before it.
    book = ClientBook(partial(tools.state.ledger.client_numbers, case.partition.region))
    settings = tools.settings
    built_with = BuildTools(case.partition, feed, tools.codec, book, settings.file_bytes, settings.record_proofs)
    built = build_window(window, built_with, tools.state.ledger.now())
    known = match_plan(built.files, intent, case.partition)
    for file, one in zip(known, built.files, strict=True):
        if file.object_key in fates.missing:
            key, parking = put_or_park(tools, lease, intent.number, file, one.log_file.body)
            fates.missing.discard(file.object_key)
            _note(fates, key, parking)


def _note(fates: Fates, key: str, parking: Parking | None) -> None:
    if parking is None:
        fates.delivered.add(key)
    else:
        fates.parked[key] = parking


def _lost_files(case: Case, closed: Sequence[Fates]) -> list[LostOffsets]:
    return [
        case.lost(
            one.intent.first_offset, one.intent.end_offset, "log files of these messages lie nowhere", one.accounts
        )
        for one in closed
        if one.missing
    ]


def _lost_messages(case: Case, passed: int, fates: Sequence[Fates]) -> list[LostOffsets]:
    """Messages that no window had taken whole and that are gone."""
    assert case.bounds is not None
    if case.trouble is Trouble.CUT_AT_START:
        unread = [one for one in fates if one.missing and not one.found]
        accounts = sorted({account for one in unread for account in one.accounts})
        if passed < case.bounds.start:
            reason = "the messages were deleted before they were delivered"
            return [case.lost(passed, case.bounds.start, reason, accounts)]
        return []
    if case.bounds.end < case.last_needed:
        reason = (
            "the log lost its end; messages that were appended after that at offsets which had been read before, and "
            "before this was settled, are not delivered"
        )
        return [case.lost(case.bounds.end, case.last_needed, reason)]
    return []
