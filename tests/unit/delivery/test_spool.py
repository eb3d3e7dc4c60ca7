"""What lies in the spool can be read back, found, and removed."""

import gzip
import json
from dataclasses import replace

import pytest

from opentrail_backends.event_bus.port import Message, Partition
from opentrail_backends.object_store.in_memory import InMemoryObjectStore
from opentrail_backends.object_store.port import ObjectNotFound, OutcomeUnknown, PutOptions
from opentrail_backends.state.port import ParkedFile, StateError
from opentrail_delivery.client_book import DeadLetter, GivenUpHoles
from opentrail_delivery.spool import DamagedCopy, HeldMessage, Spool, copy_size, place_of
from opentrail_delivery.spool_space import SpoolSpace
from tests.unit.delivery.putting import Clock, Usage, log_file

HERE = Partition("eu-central-1", 3)
CLIENT = b"c" * 16


@pytest.fixture
def store():
    return InMemoryObjectStore(["spool"])


@pytest.fixture
def spool(store):
    return Spool(store, "spool")


def parked_row(file, **changes):
    """What the ledger says of a parked file."""
    known = file.file
    fields = {
        name: getattr(known, name)
        for name in ("incarnation", "logging_session", "account_id", "part", "owner", "bucket", "object_key", "sha256")
    }
    row = ParkedFile(
        id=1,
        region=file.region,
        partition=file.partition,
        intent=file.intent,
        trail_arn=known.trail_arn,
        kms_key_id=known.kms_key_id,
        size=copy_size(file),
        parked_at=5,
        failing_since=5,
        error="AccessDenied",
        is_answered=True,
        **fields,
    )
    return replace(row, **changes)


def test_a_file_comes_back_as_it_was(spool, store):
    file = log_file(7, kms_key_id="arn:aws:kms:eu-central-1:111122223333:key/1", is_digested=False)
    size = spool.park(file)
    (held,) = spool.held_files()
    (info,) = store.list("spool")
    assert info.size == size == copy_size(file)
    assert info.key == held.key == f"parked/i-1/eu-central-1/0/1/111122223333-7-{file.file.sha256}"
    assert spool.copy(held) == file
    assert spool.parked(parked_row(file)) == file
    assert spool.park(file) == size, "keeping it again is no error"


def test_a_copy_can_be_read_by_the_release_before(spool, store):
    """It knows these members and no other; whom to tell is the ledger's to know, the root can be made again."""
    file = log_file(sns_topic_arn="arn:aws:sns:eu-central-1:111122223333:told", records_root="e" * 64)
    spool.park(file)
    (info,) = store.list("spool")
    head = json.loads(store.get("spool", info.key).body.partition(b"\n")[0])
    assert set(head) == {
        "incarnation", "logging_session", "account_id", "part", "bucket", "object_key", "sha256", "events",
        "oldest_event_time", "newest_event_time", "trail_arn", "kms_key_id", "owner", "is_digested",
    }  # fmt: skip
    left = replace(file.file, sns_topic_arn=None, records_root=None)
    assert spool.copy(place_of(file)) == replace(file, file=left)


def test_a_prefix_of_any_letters_fits(spool):
    """S3 allows 2,048 bytes of metadata, which is why the head lies in the body."""
    file = log_file(object_key="\U0001f600" * 200 + "/AWSLogs/x", kms_key_id="k" * 2048)
    spool.park(file)
    assert spool.parked(parked_row(file)) == file


def test_where_a_parked_file_is_to_go_is_the_ledgers_word(spool):
    file = log_file()
    spool.park(file)
    row = parked_row(file, bucket="another", object_key="new/key", kms_key_id="key")
    put = spool.parked(row)
    assert (put.file.bucket, put.file.object_key, put.file.kms_key_id) == ("another", "new/key", "key")
    assert put.body == file.body


def test_a_delivered_files_copy_is_removed(spool, store):
    one, other = log_file(1), log_file(2)
    for file in (one, other):
        spool.park(file)
    spool.forget(parked_row(one))
    assert [held.part for held in spool.held_files()] == [2]
    spool.forget(parked_row(one))
    with pytest.raises(ObjectNotFound):
        spool.parked(parked_row(one))


def test_copies_that_nothing_needs_are_removed_and_no_others(spool, store):
    files = [log_file(1), log_file(2), log_file(3, incarnation="i-2"), replace(log_file(1), intent=2)]
    spool.forget_copies([place_of(file) for file in files])
    for file in files:
        spool.park(file)
    spool.forget_copies([place_of(files[0]), place_of(files[2]), place_of(log_file(9))])
    assert set(spool.held_files()) == {place_of(files[1]), place_of(files[3])}


def test_copies_that_cannot_be_removed_now_are_left(spool, store, monkeypatch):
    spool.park(log_file())

    def silent(*_):
        raise OutcomeUnknown("no answer")

    monkeypatch.setattr(store, "delete", silent)
    spool.forget_copies([place_of(log_file())])
    assert len(list(spool.held_files())) == 1


@pytest.mark.parametrize("damage", [lambda b: b[:-9], lambda b: b"x" + b, lambda b: b.partition(b"\n")[2]])
def test_a_copy_that_was_damaged_is_told(spool, store, damage):
    file = log_file()
    spool.park(file)
    (info,) = store.list("spool")
    store.tamper("spool", info.key, damage(store.get("spool", info.key).body))
    with pytest.raises(DamagedCopy):
        spool.parked(parked_row(file))


def test_a_copy_with_other_bytes_is_told(spool, store):
    file = log_file()
    spool.park(file)
    (info,) = store.list("spool")
    head = store.get("spool", info.key).body.partition(b"\n")[0]
    store.tamper("spool", info.key, head + b"\n" + gzip.compress(b"other"))
    with pytest.raises(DamagedCopy, match="other bytes"):
        spool.parked(parked_row(file))


# --- messages -------------------------------------------------------------------------------------


def test_poison_is_kept_under_its_place_on_the_bus(spool, store):
    message = Message(HERE, 41, 1_760_000_000_000, b"what nobody can read")
    spool.keep_poison("topic", message)
    spool.keep_poison("topic", message)
    (held,) = spool.held_messages("poison")
    assert held == HeldMessage("poison", "topic", HERE, 41)
    assert held.key == "poison/eu-central-1/topic/3/41"
    assert spool.message(held) == (message, [])
    assert list(spool.held_messages("dead-letters")) == []
    spool.forget_message(held)
    assert list(store.list("spool")) == []


def test_a_dead_letter_says_which_numbers_may_be_new(spool):
    message = Message(HERE, 42, 5, b"batch")
    spool.keep_dead_letter("topic", DeadLetter(message, [(5, 9), (12, 12)]))
    (held,) = spool.held_messages("dead-letters")
    assert spool.message(held) == (message, [(5, 12)])


def test_holes_that_were_given_up_are_found_by_their_client(spool):
    holes = [((4, 6), (8, 8)), ((1, 2),)]
    for offset, given_up in enumerate(holes):
        spool.keep_given_up("topic", GivenUpHoles(Message(HERE, offset, 5, b""), "111122223333", CLIENT, given_up))
    spool.keep_given_up("topic", GivenUpHoles(Message(HERE, 9, 5, b""), "444455556666", CLIENT, [(0, 0)]))
    assert spool.given_up("eu-central-1", "111122223333", CLIENT) == [(1, 2), (4, 6), (8, 8)]
    assert spool.given_up("eu-central-1", "444455556666", CLIENT) == [(0, 0)]
    assert spool.given_up("us-east-1", "111122223333", CLIENT) == []
    assert list(spool.held_messages("dead-letters")) == []


@pytest.mark.parametrize("name", ["notes.txt", "eu-central-1/topic/0/x", "eu-central-1/topic/ 0/7", "a/b/0/1/c-0"])
def test_what_an_operator_laid_there_is_passed_over(spool, store, name):
    for folder in ("poison", "parked"):
        store.put("spool", f"{folder}/{name}", b"mine", PutOptions())
    message = Message(HERE, 7, 1_000, b"no batch")
    spool.keep_poison("topic", message)
    spool.park(file := log_file(1))
    assert [held.offset for held in spool.held_messages("poison")] == [7]
    assert list(spool.held_files()) == [place_of(file)]
    spool.forget_copies([place_of(file)])
    assert list(spool.held_files()) == []


def test_a_spool_that_does_not_answer_is_told(spool, store):
    from opentrail_backends.object_store.in_memory import LoseAnswer

    store.script("*", LoseAnswer(kept=False), times=None)
    with pytest.raises(OutcomeUnknown):
        spool.park(log_file())
    store.clear_script()
    store.put("spool", "poison/eu-central-1/topic/3/41", b"x", PutOptions())
    spool.keep_poison("topic", Message(HERE, 41, 5, b"x"))


# --- space ----------------------------------------------------------------------------------------


def test_the_ledger_is_asked_every_few_seconds():
    clock, usage = Clock(), Usage()
    space = SpoolSpace(usage, 100, clock)
    assert space.has_room(100)
    usage.total = 50
    assert space.has_room(100)
    clock.now += 5
    assert not space.has_room(51)
    assert space.has_room(50)
    assert not space.is_full
    space.took(50)
    assert not space.has_room(1)
    assert space.is_full


def test_while_the_ledger_cannot_be_asked_what_was_known_counts():
    class Away(Usage):
        def spool_usage(self):
            raise StateError("away")

    clock = Clock()
    space = SpoolSpace(Away(), 100, clock)
    space.took(60)
    assert space.has_room(40)
    assert not space.has_room(41)
