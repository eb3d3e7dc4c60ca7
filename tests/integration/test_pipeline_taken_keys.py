"""Something lies where delivery wants to put a log file or a digest (412, steps 4 and 9)."""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from opentrail.evidence.digest import string_to_sign
from opentrail.evidence.object_keys import DigestKey, parse_key
from opentrail.evidence.times import format_time
from opentrail_backends.object_store.port import ObjectNotFound, OutcomeUnknown, PutOptions
from opentrail_delivery.key_ring import KeyRing
from tests.crash.world import ACCOUNT, REGION, assert_exactly_once
from tests.pipeline.pipeline import Pipeline, pipeline
from tests.pipeline.watched import Replaced

FOREIGN = gzip.compress(b'{"Records":[{"eventID":"not ours"}]}')


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Pipeline]:
    with pipeline(tmp_path) as opened:
        yield opened


class RecordingLedger:
    """Tells which files were renamed, before the ledger does it and after."""

    def __init__(self, ledger: Any) -> None:
        self._ledger = ledger
        self.renamed: dict[str, str] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)

    def rename_file(self, lease: Any, intent_number: int, old_key: str, new_key: str) -> None:
        self._ledger.rename_file(lease, intent_number, old_key, new_key)
        self.renamed[new_key] = old_key


@pytest.mark.parametrize(
    "foreign", [FOREIGN, b"no gzip at all", FOREIGN[:-9] + bytes(9)], ids=["log", "text", "broken"]
)
def test_a_log_file_whose_key_is_taken_gets_another_one_that_the_ledger_has_first(
    running: Pipeline, foreign: bytes
) -> None:
    trail = running.add_trail("audit")
    ledger = RecordingLedger(running.state.ledger)
    state = Replaced(running.state, ledger=ledger)
    taken: list[str] = []
    known_at_put: dict[str, bool] = {}

    def before_put(bucket: str, key: str, _: bytes, __: PutOptions) -> None:
        if "/CloudTrail/" not in key:
            return
        if not taken:
            taken.append(key)
            running.foreign.add(key)
            running.watched.inner.put(bucket, key, foreign, PutOptions())
        elif key not in taken:
            known_at_put[key] = key in ledger.renamed

    running.watched.before_put = before_put
    expected = running.send(3)
    running.start_delivery(state_store=state)
    running.wait_until_digested(3, trail)
    running.stop_delivery()
    (new_key,) = known_at_put
    assert known_at_put[new_key], "the new key was put before the ledger had it"
    assert ledger.renamed == {new_key: taken[0]}
    assert running.store.get(running.bucket, taken[0]).body == foreign
    evidence = running.seen()
    assert Counter(evidence.event_ids("audit")) == Counter(expected)
    assert evidence.digested() == Counter([new_key])


def test_our_own_log_file_in_its_place_is_found_by_its_uncompressed_bytes(running: Pipeline) -> None:
    """As after a lost answer, by a release whose gzip output differs."""
    trail = running.add_trail("audit")
    recompressed: list[str] = []

    def before_put(bucket: str, key: str, body: bytes, options: PutOptions) -> None:
        if "/CloudTrail/" in key:
            other = gzip.compress(zlib.decompress(body, 31), 9)
            assert other != body
            running.watched.inner.put(bucket, key, other, options)
            recompressed.append(key)

    running.watched.before_put = before_put
    expected = running.send(3)
    running.start_delivery()
    running.wait_until_digested(3, trail)
    running.stop_delivery()
    assert_exactly_once(running.seen(), ["audit"], expected)
    assert list(running.seen().log_files) == recompressed


class Squatter:
    """Puts something at the place of a trail's first digest, just before the digest comes."""

    def __init__(self, running: Pipeline, trail_name: str) -> None:
        self.running = running
        self.trail_name = trail_name
        self.body, self.options = FOREIGN, PutOptions(metadata={"signature": "00" * 256})
        self.key = ""

    def make(self, key: DigestKey, body: bytes) -> None:
        """May make what is put depend on the digest."""

    def __call__(self, bucket: str, key: str, body: bytes, _: PutOptions) -> None:
        parsed = parse_key(key) if "CloudTrail" in key else None
        if self.key or not isinstance(parsed, DigestKey) or parsed.trail_name != self.trail_name:
            return
        self.make(parsed, body)
        self.key = key
        self.running.foreign.add(key)
        self.running.watched.inner.put(bucket, key, self.body, self.options)


def test_a_foreign_digest_in_our_place_is_left_there_and_ours_lies_a_second_later(running: Pipeline) -> None:
    audit = running.add_trail("audit")
    squatter = Squatter(running, "audit")
    running.watched.before_put = squatter
    expected = running.send(2)
    service = running.start_delivery()
    running.wait_until_digested(2, audit)
    running.stop_delivery()
    assert service.metrics.foreign_objects._value.get() == 1
    assert running.store.get(running.bucket, squatter.key).body == FOREIGN
    assert_exactly_once(running.seen(), ["audit"], expected)
    first, *_ = running.seen().chains()["audit", ACCOUNT, REGION]
    taken = parse_key(squatter.key)
    assert isinstance(taken, DigestKey)
    assert first.end == taken.end_seconds + 1


class SignedSquatter(Squatter):
    """Another digest of the same place and time, signed with our key: what a ledger that went back would meet."""

    def make(self, key: DigestKey, body: bytes) -> None:
        digest = json.loads(gzip.decompress(body))
        digest["logFiles"] = []
        other = json.dumps(digest).encode()
        running = self.running
        ring = KeyRing(running.state.public_keys, running.keys, valid_seconds=1)
        signed = string_to_sign(
            format_time(key.end_seconds),
            digest["digestS3Bucket"],
            digest["digestS3Object"],
            hashlib.sha256(other).hexdigest(),
            digest["previousDigestSignature"],
        )
        signature = ring.sign(ring.key_for(key.region, key.end_seconds), signed)
        self.body, self.options = gzip.compress(other), PutOptions(metadata={"signature": signature})


def test_another_digest_that_we_signed_halts_its_chain_and_no_other(running: Pipeline, tmp_path: Path) -> None:
    audit = running.add_trail("audit")
    other = running.add_trail("other", s3_key_prefix="other")
    squatter = SignedSquatter(running, "audit")
    running.watched.before_put = squatter
    expected = running.send(2)
    service = running.start_delivery()
    reason = running.wait_until_halted(service, "chain ")
    assert f"s3://{running.bucket}/{squatter.key}" in reason
    assert "went back in time" in reason
    assert running.store.get(running.bucket, squatter.key).body == squatter.body
    expected += running.send(2)
    running.wait_until_digested(4, other)
    assert len(service.status()["halted"]) == 1

    # The operator moves it away: the chain goes on with the very digest that waited.
    (tmp_path / "objects" / running.bucket / squatter.key).unlink()
    running.foreign.clear()
    running.wait_until_digested(4, audit)
    running.wait_until(lambda: service.status()["halted"] == {}, "the chain released")
    running.stop_delivery()
    assert_exactly_once(running.seen(), ["audit", "other"], expected)
    assert squatter.key in running.keys_in()


def test_an_object_that_vanishes_between_412_and_the_comparison_is_put_again(running: Pipeline, tmp_path: Path) -> None:
    trail = running.add_trail("audit")
    vanished: list[str] = []

    def before_put(bucket: str, key: str, _: bytes, __: PutOptions) -> None:
        if "/CloudTrail/" in key and not vanished:
            running.watched.inner.put(bucket, key, FOREIGN, PutOptions())

    class Vanishing:
        def __getattr__(self, name: str) -> Any:
            return getattr(running.watched, name)

        def get(self, bucket: str, key: str) -> Any:
            if "/CloudTrail/" in key and not vanished:
                vanished.append(key)
                (tmp_path / "objects" / bucket / key).unlink()
                raise ObjectNotFound(key)
            return running.watched.get(bucket, key)

    running.watched.before_put = before_put
    expected = running.send(2)
    running.start_delivery(object_store=Vanishing())
    running.wait_until_digested(2, trail)
    running.stop_delivery()
    assert_exactly_once(running.seen(), ["audit"], expected)
    assert list(running.seen().log_files) == vanished


def test_replaced_settings_do_not_change_a_closed_window(running: Pipeline) -> None:
    """A redo obeys the intent, not today's settings: here the file limit shrank between intent and put."""
    trail = running.add_trail("audit")

    def refuse(*_: Any) -> None:
        raise OutcomeUnknown("not now")

    running.watched.before_put = refuse
    expected = running.send(50)
    running.start_delivery()
    running.wait_until(lambda: any(row["open_intents"] for row in running.state.ledger.windows()), "an intent")
    running.stop_delivery(timeout=0)
    running.watched.before_put = None
    running.settings = replace(running.settings, file_bytes=1000)
    running.start_delivery()
    running.wait_until_digested(50, trail)
    running.stop_delivery()
    assert_exactly_once(running.seen(), ["audit"], expected)
    assert len(running.seen().log_files) == 1
