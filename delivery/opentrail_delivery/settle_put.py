"""Steps 3 to 5 of a window that `opentrail settle` makes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from opentrail.events.client_numbers import ClientNumbers
from opentrail_backends.object_store.port import ObjectStoreError
from opentrail_backends.state.port import IntendedFile, Intent, Lease, Parking
from opentrail_delivery.bucket_health import error_code
from opentrail_delivery.file_names import another_key
from opentrail_delivery.log_file_put import PutResult, put_once
from opentrail_delivery.settle_tools import SettleTools
from opentrail_delivery.spool import HeldFile, LogFilePut


def put_window(
    tools: SettleTools,
    lease: Lease,
    intent: Intent,
    new: Sequence[tuple[IntendedFile, bytes]],
    adopted: Sequence[tuple[IntendedFile, HeldFile | None]],
    numbers: Mapping[tuple[str, bytes], ClientNumbers | None],
) -> Lease:
    """Writes the intent, puts what is new, delivers. `adopted`: with their places in the spool if they lie there.

    A file that its bucket does not take is parked at once. A crash in between leaves an open intent, which settling
    again looks through by hash. Raises ObjectStoreError, StateError.
    """
    lease = tools.state.ledger.write_intent(lease, intent)
    parked: dict[str, Parking] = {}
    for file, body in new:
        key, parking = put_or_park(tools, lease, intent.number, file, body)
        if parking is not None:
            parked[key] = parking
    moved = []
    for file, held in adopted:
        if held is not None:
            # Its place in the spool names the intent.
            copy = LogFilePut(lease.region, lease.partition, intent.number, file, tools.spool.copy(held).body)
            parked[file.object_key] = Parking(tools.spool.park(copy), None, is_answered=False)
            place = HeldFile(
                file.incarnation,
                lease.region,
                lease.partition,
                intent.number,
                file.account_id,
                file.part,
                file.sha256,
            )
            if held != place:
                moved.append(held)
    lease = tools.state.ledger.deliver(lease, intent, parked, numbers)
    for held in moved:
        tools.spool.forget_copy(held)
    return lease


def put_or_park(
    tools: SettleTools, lease: Lease, number: int, file: IntendedFile, body: bytes
) -> tuple[str, Parking | None]:
    """Puts a file of an open intent, under another key if something else lies at its own; returns the key it has.

    Raises ObjectStoreError where neither bucket nor spool take it, StateError.
    """
    store = tools.checked_store
    put = LogFilePut(lease.region, lease.partition, number, file, body)
    while True:
        try:
            if put_once(store, put) is PutResult.DONE:
                return put.file.object_key, None
        except ObjectStoreError as error:
            return put.file.object_key, Parking(tools.spool.park(put), error_code(error), is_answered=False)
        key = another_key(put.file.object_key)
        tools.state.ledger.rename_file(lease, number, put.file.object_key, key)
        put = replace(put, file=replace(put.file, object_key=key))
