"""Something foreign at a digest's place: it is reported and left alone, and the chain goes on with later stamps."""

import gzip

import pytest

from opentrail.evidence.object_keys import DigestKey, parse_key
from opentrail_backends.event_bus import open_event_bus
from opentrail_backends.key_management import open_key_management
from opentrail_backends.object_store import names
from opentrail_backends.object_store.in_memory import InMemoryObjectStore, Refuse
from opentrail_backends.object_store.port import PutOptions
from opentrail_backends.state import open_state_store
from opentrail_delivery.settings import DeliverySettings
from tests.crash.world import REGION, World, assert_chains_unforked

BUCKET = "evidence"


@pytest.fixture
def world(tmp_path):
    state = open_state_store(f"sqlite:///{tmp_path}/state.db", secret_key=b"k" * 32)
    state.migrate()
    bus = open_event_bus(f"embedded:///{tmp_path}/bus.db")
    bus.ensure_topic(REGION, 1)
    keys = open_key_management(f"file://{tmp_path}/keys")
    settings = DeliverySettings(window_seconds=0, digest_seconds=1, put_threads=4, parked_retry_seconds=0.5)
    yield World(bus, InMemoryObjectStore([BUCKET]), state, keys, BUCKET, settings=settings)
    bus.close()
    state.close()


@pytest.fixture
def waiting(world):
    """A worker whose last few digests could not be put."""
    world.add_trail("trail")
    world.publish(3)
    worker = world.worker()
    worker.run_until(lambda: len(world.evidence().digests) >= 1)
    world.store.script("*CloudTrail-Digest*", Refuse("AccessDenied"), times=None)
    worker.run_until(lambda: len(world.state.chains.unpublished(100)) >= 3)
    yield worker
    worker.close()


def test_waiting_digests_get_later_stamps_and_new_links(world, waiting):
    before = world.state.chains.unpublished(100)
    taken = before[0]
    world.store.clear_script()
    foreign = gzip.compress(b"{}")
    world.store.put(BUCKET, taken.object_key, foreign, PutOptions())
    waiting.run_until(lambda: not world.state.chains.unpublished(100))
    assert world.store.get(BUCKET, taken.object_key).body == foreign
    assert waiting.metrics.foreign_objects._value.get() == 1
    world.store.delete(BUCKET, taken.object_key)
    evidence = world.evidence()
    assert_chains_unforked(evidence)
    stamps = sorted(key.end_seconds for key, _ in evidence.digests.values())
    assert taken.end not in stamps
    entries = [entry for _, digest in evidence.digests.values() for entry in digest.log_files]
    assert entries
    assert all(entry.record_count and entry.records_root for entry in entries), "as they were built"
    assert len(stamps) >= len(before) + 1
    (chain,) = world.state.chains.all_chains()
    assert chain.sequence == len(stamps), "no digest was left out or doubled"


def test_what_is_larger_than_any_digest_is_foreign_and_not_read(world, waiting, monkeypatch):
    """Whose bucket it is knows where the next digest comes: what he puts there must not fill the memory of delivery."""
    monkeypatch.setattr(names, "MAX_OBJECT_BYTES", 100_000)
    (taken, *_) = world.state.chains.unpublished(100)
    world.store.clear_script()
    world.store.put(BUCKET, taken.object_key, bytes(100_001), PutOptions())
    waiting.run_until(lambda: not world.state.chains.unpublished(100))
    assert waiting.metrics.foreign_objects._value.get() == 1


def test_a_digest_of_ours_in_the_place_stops_the_chain(world, waiting):
    """The ledger went back in time: what it wants to put differs from what we signed before."""
    before = world.evidence().digests
    published = next(iter(before))
    stored = world.store.get(BUCKET, published)
    (first, *_) = world.state.chains.unpublished(100)
    world.store.clear_script()
    key = parse_key(first.object_key)
    assert isinstance(key, DigestKey)
    resigned = resign_for(world, first)
    world.store.put(BUCKET, first.object_key, resigned[0], PutOptions(metadata=resigned[1]))
    waiting.run_until(lambda: bool(waiting.status.snapshot()["halted"]))
    assert "went back in time" in next(iter(waiting.status.snapshot()["halted"].values()))
    assert world.store.get(BUCKET, published) == stored
    assert len(world.evidence().digests) == len(before) + 1


def resign_for(world, digest):
    """Another digest for the same place, signed with our key, as a lost ledger would have made it."""
    import hashlib
    from dataclasses import replace

    from opentrail.evidence.digest import parse_digest, string_to_sign
    from opentrail.evidence.times import format_time

    other = replace(parse_digest(digest.body), log_files=(), extra={"other": True})
    body = other.to_bytes()
    keys = world.state.public_keys.between(REGION, digest.end, digest.end)
    (key,) = [key for key in keys if key.fingerprint == digest.fingerprint]
    message = string_to_sign(
        format_time(other.end),
        digest.bucket,
        digest.object_key,
        hashlib.sha256(body).hexdigest(),
        other.previous_signature,
    )
    signature = world.keys.sign(key.reference, message).hex()
    return gzip.compress(body), {"signature": signature, "signature-algorithm": "SHA256withRSA"}
