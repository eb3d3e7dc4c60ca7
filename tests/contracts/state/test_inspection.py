"""What `opentrail fsck` and `opentrail settle` ask of a ledger beside what delivery asks."""

from __future__ import annotations

from dataclasses import replace

from opentrail_backends.state.inspection import inspection_of
from opentrail_backends.state.port import FileState, IntendedFile, Intent, Parking, StateStore
from tests.contracts.state.samples import ACCOUNT, HOUR, REGION, chain, current, digest

FILE = IntendedFile(
    incarnation="i",
    logging_session=1,
    account_id=ACCOUNT,
    part=0,
    bucket="b",
    object_key="first",
    sha256="00",
    events=1,
    oldest_event_time=1,
    newest_event_time=1,
    trail_arn="arn",
    owner=ACCOUNT,
)


def write(store: StateStore, *files: IntendedFile) -> Intent:
    lease, opened = store.ledger.own(REGION, 0, 0)
    first = opened[-1].end_offset if opened else lease.next_offset
    intent = Intent(lease.last_intent + 1, first, first + 1, {"formatVersion": 1}, list(files))
    store.ledger.write_intent(lease, intent)
    return intent


def deliver(store: StateStore, intent: Intent, **parked: Parking) -> None:
    lease, _ = store.ledger.own(REGION, 0, 0)
    store.ledger.deliver(lease, intent, parked)


def test_all_files_are_read_a_page_at_a_time_whatever_became_of_them(store: StateStore) -> None:
    inspection = inspection_of(store)
    second = replace(FILE, part=1, object_key="second", sha256="11", is_digested=False)
    deliver(store, write(store, FILE, second), second=Parking(10, "AccessDenied", is_answered=True))
    write(store, replace(FILE, object_key="third"))
    first_page = inspection.files(2)
    rows = [*first_page, *inspection.files(2, first_page[-1].id)]
    assert [(row.object_key, row.state, row.digest) for row in rows] == [
        ("first", FileState.DELIVERED, None),
        ("second", FileState.PARKED, 0),
        ("third", FileState.INTENDED, None),
    ]
    assert rows[0].delivered_at is not None
    assert (rows[1].region, rows[1].partition, rows[1].intent, rows[1].part) == (REGION, 0, 1, 1)
    assert inspection.files(2, rows[-1].id) == []


def test_open_intents_are_read_without_owning_their_partition(store: StateStore) -> None:
    inspection = inspection_of(store)
    intent = write(store, FILE)
    lease, _ = store.ledger.own(REGION, 0, 0)
    assert list(inspection.open_intents(REGION, 0)) == [intent]
    store.ledger.deliver(lease, intent)  # the lease holds still
    assert list(inspection.open_intents(REGION, 0)) == []
    assert list(inspection.open_intents(REGION, 7)) == []


def test_a_parked_file_that_a_digest_names_already_comes_into_no_other(store: StateStore) -> None:
    inspection = inspection_of(store)
    deliver(store, write(store, FILE), first=Parking(10, None, is_answered=False))
    (parked,) = store.ledger.parked_files(10)
    assert inspection.deliver_digested(parked)
    assert not inspection.deliver_digested(parked)
    (row,) = inspection.files(10)
    assert (row.state, row.digest) == (FileState.DELIVERED, 0)
    assert list(store.chains.orphans(10)) == []
    assert store.ledger.parked_files(10) == []


def test_stamps_of_a_place_are_free_again_only_if_it_is_said(store: StateStore) -> None:
    inspection = inspection_of(store)
    store.chains.ensure_chains([chain("one"), chain("two", incarnation="other")])
    newest = digest(current(store, "one"))
    assert store.chains.append(current(store, "one"), newest, [], newest.end + HOUR, ended=False)
    earlier = digest(current(store, "two"), newest.end - 1)
    assert not store.chains.append(current(store, "two"), earlier, [], newest.end + HOUR, ended=False)
    inspection.lower_stamp(newest_place(store), newest.end + 10)  # never raised
    assert not store.chains.append(current(store, "two"), earlier, [], newest.end + HOUR, ended=False)
    inspection.lower_stamp(newest_place(store), newest.end - 2)
    assert store.chains.append(current(store, "two"), earlier, [], newest.end + HOUR, ended=False)


def newest_place(store: StateStore) -> str:
    return current(store, "one").place
