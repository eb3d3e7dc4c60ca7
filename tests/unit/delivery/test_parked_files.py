"""Parked files: tried again, aimed anew, aged, delivered once."""

import threading
import time

import pytest

from opentrail.trails.configuration import Configuration
from opentrail.trails.trail import Trail
from opentrail_backends.object_store.in_memory import Hold, LoseAnswer, Refuse
from opentrail_backends.object_store.port import PutOptions
from opentrail_backends.state.port import StateError
from opentrail_delivery.rate_limits import RateLimits
from opentrail_delivery.threads import DaemonExecutor
from tests.unit.delivery.parked_fakes import World
from tests.unit.delivery.putting import SPOOL, log_file
from tests.unit.delivery.test_spool import parked_row


@pytest.fixture
def world():
    return World()


def test_files_are_delivered_and_their_copies_removed(world):
    files = [world.park(n) for n in range(60)]
    assert world.parked.run_once() == 60
    assert world.stored() == sorted(file.file.object_key for file in files)
    assert world.held() == []
    assert world.ledger.rows == {}
    assert world.metrics.parked_files._value.get() == 0
    assert world.parked.run_once() == 0


def test_a_copy_is_there_until_the_ledger_says_delivered(world):
    world.park(0)
    inner, seen = world.ledger.deliver_parked, []

    def deliver(file):
        seen.append(len(world.held()))
        return inner(file)

    world.ledger.deliver_parked = deliver
    world.parked.run_once()
    assert seen == [1]
    assert world.held() == []


def test_what_another_process_delivered_keeps_its_copy_for_that_one(world):
    world.park(0)
    world.ledger.deliver_parked = lambda _file: False
    assert world.parked.run_once() == 0
    assert len(world.held()) == 1


def test_a_failing_trail_is_left_for_the_round_after_one_try(world):
    for n in range(30):
        world.park(n, incarnation="refused")
    for n in range(30, 35):
        world.park(n)
    world.store.script("refused/*", Refuse("AccessDenied"), times=None)
    assert world.parked.run_once() == 5
    assert sum("refused" in attempt.key for attempt in world.store.attempts if attempt.bucket == "good") == 1
    assert world.metrics.parked_files._value.get() == 30
    assert {world.ledger.unanswered[n + 1] for n in range(30)} == {0}


def test_a_try_without_an_answer_stays_counted(world):
    world.park(0)
    world.store.script("i-1/*", LoseAnswer(kept="late"))
    world.parked.run_once()
    assert world.ledger.unanswered[1] == 1
    assert world.ledger.rows[1].error == "RequestTimeout"
    assert world.parked.run_once() == 1


def test_of_files_that_are_tried_together_only_those_that_were_tried_are_in_doubt(world):
    for n in range(10):
        world.park(n, row={"failing_since": 1})
    world.store.script("*0005.json.gz", LoseAnswer(kept=False))
    assert world.parked.run_once() == 5
    assert world.ledger.unanswered[6] == 1
    assert [world.ledger.unanswered[n + 1] for n in range(6, 10)] == [0] * 4


def test_files_that_only_our_limit_held_begin_to_age_when_their_bucket_fails(world):
    for n in range(40):
        world.park(n, row={"failing_since": None, "error": None})
    world.store.script("i-1/*", Refuse("AccessDenied"), times=None)
    world.parked.run_once()
    assert all(row.failing_since for row in world.ledger.rows.values())
    assert set(world.ledger.unanswered.values()) == {0}


def test_a_bucket_that_is_given_up_is_tried_once_in_a_while(world):
    world.park(0)
    world.store.script("i-1/*", Refuse("AccessDenied"), times=None)
    for _ in range(8):
        world.parked.run_once()
        world.clock.now += 1
    tries = world.tries("good")
    assert tries <= 5
    world.clock.now += 30
    world.parked.run_once()
    assert world.tries("good") == tries + 1
    world.store.clear_script()
    world.clock.now += 30
    assert world.parked.run_once() == 1


def test_a_foreign_object_at_the_key_is_left_alone(world):
    file = world.park(0)
    world.store.put("good", file.file.object_key, b"foreign", PutOptions())
    assert world.parked.run_once() == 1
    (delivered,) = world.ledger.delivered
    assert delivered.object_key != file.file.object_key
    assert world.store.get("good", delivered.object_key).body == file.body
    assert world.store.get("good", file.file.object_key).body == b"foreign"


def test_a_copy_that_another_process_removed_with_its_delivery_is_no_alarm(world):
    world.park(0)
    all_parked = world.ledger.parked_files

    def another_is_faster(*arguments, **named):
        found = all_parked(*arguments, **named)
        world.ledger.rows.clear()
        for key in world.held():
            world.store.delete(SPOOL, key)
        return found

    world.ledger.parked_files = another_is_faster
    assert world.parked.run_once() == 0
    assert world.metrics.damaged_copies._value.get() == 0


def test_a_damaged_copy_is_told_and_holds_up_no_other(world):
    _damaged, _missing, fine = world.park(0), world.park(1), world.park(2)
    keys = {int(key.split("/")[-1].split("-")[1]): key for key in world.held()}
    world.store.tamper("opentrail-spool", keys[0], b"rubbish")
    world.store.delete("opentrail-spool", keys[1])
    assert world.parked.run_once() == 1
    assert world.stored() == [fine.file.object_key]
    assert world.metrics.damaged_copies._value.get() == 2
    assert [world.ledger.unanswered[id_] for id_ in world.ledger.rows] == [0, 0]


def test_a_spool_that_does_not_answer_says_nothing_about_the_bucket(world):
    world.park(0)
    world.store.script("parked/*", LoseAnswer(kept=False), operation="read")
    assert world.parked.run_once() == 0
    assert world.ledger.rows[1].error == "AccessDenied", "as before"
    assert not world.health.is_failing("good")
    assert world.parked.run_once() == 1


def test_a_state_store_that_is_away_stops_the_round_only(world):
    world.park(0)
    inner = world.ledger.begin_parked

    def away(_ids):
        raise StateError("away")

    world.ledger.begin_parked = away
    assert world.parked.run_once() == 0
    world.ledger.begin_parked = inner
    assert world.parked.run_once() == 1


# --- aiming anew ----------------------------------------------------------------------------------


def configure(world, **changes):
    fields = {"s3_bucket_name": "good", "s3_key_prefix": "i-1", "home_region": "eu-central-1"} | changes
    trail = Trail(incarnation="i-1", name="i-1", account_id="111122223333", **fields)
    world.feed.configuration = Configuration(revision=2, trails={"i-1": trail}, organizations={})


def test_a_file_whose_every_put_was_refused_goes_to_the_trails_new_bucket(world):
    file = world.park(0)
    configure(world, s3_bucket_name="bad", s3_key_prefix="moved", kms_key_id="key", organization_id="o-exampleorg")
    assert world.parked.run_once() == 1
    assert world.stored() == []
    (key,) = world.stored("bad")
    tail = file.file.object_key.removeprefix("i-1/AWSLogs/")
    assert key == f"moved/AWSLogs/o-exampleorg/{tail}"
    assert world.store.options("bad", key).kms_key_id == "key"
    assert world.metrics.reaimed_files._value.get() == 1
    assert world.held() == []


def test_a_file_that_may_still_appear_at_its_old_place_stays_aimed_there(world):
    file = world.park(0, unanswered=1)
    configure(world, s3_bucket_name="bad")
    assert world.parked.run_once() == 1
    assert world.stored() == [file.file.object_key]
    assert world.stored("bad") == []


@pytest.mark.parametrize("row", [{"error": None, "failing_since": None}, {}], ids=["rate limit", "same target"])
def test_what_need_not_be_aimed_anew_is_not(world, row):
    file = world.park(0, row=row)
    configure(world, s3_bucket_name="bad" if row else "good")
    assert world.parked.run_once() == 1
    assert world.stored() == [file.file.object_key]
    assert world.metrics.reaimed_files._value.get() == 0


def test_a_file_of_a_deleted_trail_keeps_its_target(world):
    file = world.park(0)
    assert world.parked.run_once() == 1
    assert world.stored() == [file.file.object_key]


def test_a_file_that_was_aimed_anew_by_another_process_is_put_where_the_ledger_says(world):
    file = world.park(0)
    inner = world.ledger.begin_parked

    def begin(ids):
        world.ledger.reaim_parked(parked_row(file), "bad", "elsewhere", None)
        return inner(ids)

    world.ledger.begin_parked = begin
    assert world.parked.run_once() == 1
    assert (world.stored(), world.stored("bad")) == ([], ["elsewhere"])


# --- ages, limits, threads ------------------------------------------------------------------------


def test_files_expire_after_thirty_days(world, capsys):
    world.ledger.expired = 3
    world.parked.run_once()
    assert world.ledger.expire_after == 30 * 24 * 3600 * 1000


def test_rate_limits_hold_for_parked_files_too(world):
    waited = []

    class Stop(threading.Event):
        def wait(self, seconds=None):
            waited.append(seconds)
            world.clock.now += seconds
            return False

    for n in range(6):
        world.park(n)
    size = len(log_file().body)
    limits = RateLimits(trail_bytes=size, clock=world.clock)
    assert world.make(limits=limits, stop=Stop()).run_once() == 6
    assert sum(waited) == pytest.approx(4, abs=0.5), "six files at one a second, and a second's worth at once"


def test_a_silent_bucket_does_not_hold_up_others(world):
    held = Hold(threading.Event(), threading.Event())
    world.store.script("silent/*", held, times=None)
    for n in range(5):
        world.park(n, bucket="bad", incarnation="silent")
    for n in range(5, 10):
        world.park(n)
    parked = world.make(executor=DaemonExecutor(2, "test"))
    deadline = time.monotonic() + 60
    delivered = 0
    while delivered < 5:
        assert time.monotonic() < deadline
        delivered += parked.run_once()
        time.sleep(0.01)
    world.park(11)
    while world.ledger.rows.keys() & {12}:
        assert time.monotonic() < deadline, "while the first try is under way still"
        parked.run_once()
        time.sleep(0.01)
    assert held.entered.is_set()
    held.release.set()
    while world.ledger.rows:
        assert time.monotonic() < deadline
        parked.run_once()
        time.sleep(0.01)
    assert len(world.ledger.delivered) == 11
