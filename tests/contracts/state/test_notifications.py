"""Delivered files whose trail's topic is to be told: each is, and what became of it is shown."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import text

from opentrail.trails.configuration import Kind
from opentrail_backends.state.port import NewChange, OutcomeUnknown, StateStore
from tests.contracts.state.notification_samples import LEASE, OTHER_TOPIC, TOPIC, deliver, keys, status, take
from tests.contracts.state.plans import looks_at_every, plans_of
from tests.contracts.state.samples import PARKED, REGION, Clock, delivered, dump, intended_file, intent
from tests.contracts.state.severed import lose_next_commit

DAY = 24 * 3600


# --- which files


def test_a_delivered_file_is_to_be_told_where_it_lies(store: StateStore) -> None:
    deliver(store, "a", trail_arn="arn:trail")
    (file,) = store.notifications.untold("trail-1", 10)
    assert (file.topic_arn, file.trail_arn, file.region, file.bucket, file.object_key) == (
        TOPIC, "arn:trail", REGION, "trail-bucket", "AWSLogs/a.json.gz"
    )  # fmt: skip
    assert store.notifications.waiting() == 1


def test_a_file_without_a_topic_is_told_to_nobody(store: StateStore) -> None:
    delivered(store, ["a"])
    assert store.notifications.take_turns(10, LEASE) == []
    assert (keys(store), store.notifications.waiting()) == ([], 0)


def test_an_intended_file_is_not_told_before_it_is_delivered(store: StateStore) -> None:
    lease, _ = store.ledger.own(REGION, 0, 0)
    window = intent(1, 0, 10, intended_file("a", sns_topic_arn=TOPIC))
    lease = store.ledger.write_intent(lease, window)
    assert store.notifications.take_turns(10, LEASE) == []
    assert keys(store) == []
    _, (found,) = store.ledger.own(REGION, 0, 0)
    assert found.files[0].sns_topic_arn == TOPIC, "the next owner's intent has it, too"


def test_a_parked_file_is_told_once_it_is_delivered_and_where_it_lies_then(store: StateStore) -> None:
    lease, _ = store.ledger.own(REGION, 0, 0)
    window = intent(1, 0, 10, intended_file("a", sns_topic_arn=TOPIC), intended_file("b", part=1, sns_topic_arn=TOPIC))
    lease = store.ledger.write_intent(lease, window)
    store.ledger.deliver(lease, window, {window.files[0].object_key: PARKED})
    assert keys(store) == ["b"]
    (file,) = store.ledger.parked_files(10)
    assert store.ledger.reaim_parked(file, "new-bucket", "AWSLogs/a2.json.gz", None)
    assert store.ledger.deliver_parked(replace(file, bucket="new-bucket", object_key="AWSLogs/a2.json.gz"))
    assert [(file.bucket, file.object_key) for file in store.notifications.untold("trail-1", 10)] == [
        ("new-bucket", "AWSLogs/a2.json.gz"),
        ("trail-bucket", "AWSLogs/b.json.gz"),
    ]


def test_a_file_that_was_renamed_is_told_under_its_new_key(store: StateStore) -> None:
    lease, _ = store.ledger.own(REGION, 0, 0)
    window = intent(1, 0, 10, intended_file("a", sns_topic_arn=TOPIC))
    lease = store.ledger.write_intent(lease, window)
    store.ledger.rename_file(lease, 1, window.files[0].object_key, "AWSLogs/b.json.gz")
    store.ledger.deliver(lease, window)
    assert keys(store) == ["b"]


def test_the_oldest_files_come_first_and_no_more_than_asked_for(store: StateStore) -> None:
    deliver(store, "c", "a", "b")
    assert [file.object_key[8:-8] for file in store.notifications.untold("trail-1", 2)] == ["c", "a"]


def test_told_files_are_told_no_more_and_no_other_ones(store: StateStore) -> None:
    deliver(store, "a", "b", "c")
    turn = take(store)
    a, _, c = store.notifications.untold("trail-1", 10)
    assert store.notifications.told(turn, [a, c], LEASE)
    assert keys(store) == ["b"]
    assert store.notifications.waiting() == 1


def test_what_an_older_release_delivers_of_our_intent_is_told(store: StateStore) -> None:
    lease, _ = store.ledger.own(REGION, 0, 0)
    store.ledger.write_intent(lease, intent(1, 0, 10, intended_file("a", sns_topic_arn=TOPIC)))
    with store._transactions.writing() as connection:  # type: ignore[attr-defined]
        connection.execute(text("UPDATE file SET state = 'delivered', delivered_at = 1"))
    assert keys(store) == ["a"]


# --- what became of it


def test_a_success_is_shown_with_its_time_and_region(store: StateStore, clock: Clock) -> None:
    assert status(store) == (None, None, None)
    deliver(store, "a")
    clock.move(5)
    store.notifications.told(take(store), store.notifications.untold("trail-1", 10), LEASE)
    assert status(store) == (clock.milliseconds, None, None)
    assert status(store, "eu-west-1") == (None, None, None)


def test_a_failure_is_shown_since_when_until_the_next_success(store: StateStore, clock: Clock) -> None:
    deliver(store, "a", "b")
    files = store.notifications.untold("trail-1", 10)
    store.notifications.told(take(store), files[:1], LEASE)
    told_at = clock.milliseconds
    clock.move(LEASE / 1000)
    turn = take(store)
    assert turn.failing_for == 0
    store.notifications.failed(turn, [REGION], "AuthorizationError", 1_000)
    since = clock.milliseconds
    assert status(store) == (told_at, "AuthorizationError", since)
    clock.move(7)
    turn = take(store)
    assert turn.failing_for == 7_000
    store.notifications.failed(turn, [REGION], "NotFound", 1_000)
    assert status(store) == (told_at, "NotFound", since)
    clock.move(7)
    store.notifications.told(take(store), files[1:], LEASE)
    assert status(store) == (clock.milliseconds, None, None)
    deliver(store, "c", partition=1)
    clock.move(LEASE / 1000)
    assert take(store).failing_for == 0


def test_after_a_failure_nobody_tries_until_the_retry(store: StateStore, other: StateStore, clock: Clock) -> None:
    deliver(store, "a")
    store.notifications.failed(take(store), [REGION], "NotFound", 10_000)
    clock.move(9)
    assert other.notifications.take_turns(10, LEASE) == []
    clock.move(1)
    assert take(other).failing_for == 10_000


# --- ends


def test_files_for_a_topic_that_the_trail_has_left_go_to_its_new_one(store: StateStore) -> None:
    deliver(store, "a", "b")
    deliver(store, "c", partition=1, sns_topic_arn=OTHER_TOPIC)
    deliver(store, "d", partition=2, incarnation="trail-2")
    assert store.notifications.readdress("trail-1", TOPIC, OTHER_TOPIC) == 2
    assert {file.topic_arn for file in store.notifications.untold("trail-1", 10)} == {OTHER_TOPIC}
    assert store.notifications.untold("trail-2", 10)[0].topic_arn == TOPIC


def test_of_a_trail_that_has_no_topic_any_more_nobody_is_told_and_nothing_fails(store: StateStore) -> None:
    deliver(store, "a")
    store.notifications.failed(take(store), [REGION], "NotFound", 1_000)
    assert store.notifications.readdress("trail-1", TOPIC, None) == 1
    assert keys(store) == []
    assert status(store) == (None, None, None)


def test_what_was_delivered_too_long_ago_is_told_to_nobody(store: StateStore, clock: Clock) -> None:
    deliver(store, "old")
    clock.move(DAY)
    deliver(store, "young", partition=1)
    clock.move(29 * DAY)
    assert store.notifications.expire(30 * DAY * 1000 + 1) == 0
    assert store.notifications.expire(30 * DAY * 1000) == 1
    assert keys(store) == ["young"]


@pytest.mark.parametrize("kept", [True, False])
def test_telling_can_be_noted_again_when_the_answer_was_lost(
    store: StateStore, monkeypatch: pytest.MonkeyPatch, kept: bool
) -> None:
    deliver(store, "a")
    turn, files = take(store), store.notifications.untold("trail-1", 10)
    lose_next_commit(store, monkeypatch, kept=kept)
    with pytest.raises(OutcomeUnknown):
        store.notifications.told(turn, files, LEASE)
    assert keys(store) == ([] if kept else ["a"])
    assert store.notifications.told(turn, files, LEASE)
    assert keys(store) == []


def test_rows_of_deleted_trails_and_of_turns_that_nobody_has_are_forgotten(store: StateStore, clock: Clock) -> None:
    store.configuration.apply([NewChange(Kind.TRAIL, "trail-1", {"name": "kept"})])
    for number, name in enumerate(("trail-1", "gone", "gone too")):
        deliver(store, name, incarnation=name, part=number)
    turns = {turn.incarnation: turn for turn in store.notifications.take_turns(10, LEASE)}
    for name in ("trail-1", "gone"):
        store.notifications.told(turns[name], store.notifications.untold(name, 10), LEASE)
    store.notifications.failed(turns["gone too"], [REGION], "NotFound", 1_000)
    clock.move(2 * DAY)
    store.forget(DAY * 1000)
    rows = dump(store)
    assert [row["incarnation"] for row in rows["trail_notification"]] == ["trail-1"]
    assert rows["notification_turn"] == []


def test_a_look_for_what_waits_reads_no_whole_table(store: StateStore) -> None:
    for number in range(100):
        deliver(store, *(f"{number}-{part}" for part in range(10)), partition=number, incarnation=f"trail-{number}")
    with store._transactions.writing() as connection:  # type: ignore[attr-defined]
        connection.execute(text("UPDATE file SET sns_topic_arn = NULL WHERE id % 10 > 0"))
        connection.execute(text("ANALYZE"))
    queue = store.notifications
    assert queue.waiting() == 100
    for call in (
        lambda: queue.take_turns(10, LEASE),
        lambda: queue.untold("trail-7", 10),
        queue.waiting,
        lambda: store.trail_status("trail-7", REGION),
    ):
        plan = plans_of(store, call)
        assert not looks_at_every("file", plan), plan
