"""Trails begin, stop, change and end while events come in: what counts is the revision at an event's append time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from opentrail.trails.configuration import Organization
from opentrail.trails.event_selectors import EventSelectors
from opentrail_backends.object_store.port import PutOptions
from opentrail_backends.state.port import Chain
from tests import judges
from tests.crash.world import ACCOUNT, REGION, Evidence, assert_chains_unforked, assert_exactly_once
from tests.pipeline.pipeline import FAST, OTHER_REGION, Pipeline, pipeline
from tests.servers.aws_cli import AwsCli
from tests.servers.s3 import S3Server

WRITES = EventSelectors.from_api([{"ReadWriteType": "WriteOnly"}])
STRANGER = "999988887777"


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Pipeline]:
    with pipeline(tmp_path) as opened:
        yield opened


@pytest.mark.s3
def test_a_trail_through_stop_start_new_selectors_and_a_new_bucket(
    tmp_path: Path, minio: S3Server, aws_cli: list[AwsCli]
) -> None:
    with pipeline(tmp_path, s3=minio) as running:
        second_bucket = minio.new_bucket()
        running.more_buckets.append(second_bucket)
        trail = running.add_trail("audit")
        running.start_delivery()
        wanted = running.send(5)
        running.wait_until_digested(5, trail)

        stopped = replace(trail, is_logging=False)
        running.put_trail(stopped)
        running.send(3, eventName="WhileStopped")
        started = replace(trail, logging_session=2, started_logging_at=running.state.configuration.now())
        running.put_trail(started)
        wanted += running.send(4)
        writes_only = replace(started, event_selectors=WRITES)
        running.put_trail(writes_only)
        running.send(2, readOnly=True, eventName="DescribeInstances")
        wanted += running.send(2)
        running.wait_until_digested(len(wanted), trail)

        moved = replace(writes_only, s3_bucket_name=second_bucket)
        running.put_trail(moved)
        wanted_there = running.send(6)
        running.wait_until_digested(len(wanted + wanted_there), trail)
        running.put_trail(replace(moved, is_logging=False))
        running.wait_until_all_ended()
        running.stop_delivery()

        evidence = running.seen()
        assert_exactly_once_but_for_starts(evidence, "audit", wanted + wanted_there)
        assert sorted(ids_in(running.seen(running.bucket))) == sorted(wanted)
        assert sorted(ids_in(running.seen(second_bucket))) == sorted(wanted_there)
        (digests,) = evidence.chains().values()
        # One starting digest for each session of logging; the move starts none.
        assert [digest.previous is None for digest in digests].count(True) == 2
        assert [digest.s3_bucket for digest in digests] == sorted(
            (digest.s3_bucket for digest in digests), key=[running.bucket, second_bucket].index
        )
        assert {digest.s3_bucket for digest in digests} == {running.bucket, second_bucket}
        everything = {
            f"s3://{bucket}/{key}" for bucket in (running.bucket, second_bucket) for key in running.keys_in(bucket)
        }
        with judges.api(running.state, minio, ACCOUNT) as env:
            flags = judges.flags(trail.arn, REGION)
            for verdict in (judges.aws(aws_cli[0], flags, env), judges.ours(flags, env)):
                assert (verdict.code, verdict.invalid) == (0, [])
                assert set(verdict.valid) == everything


def test_late_delivery_judges_each_event_by_the_revision_at_its_append_time(running: Pipeline) -> None:
    """Everything lies in one window, which is read long after the last change."""
    trail = running.add_trail("audit")
    other = running.add_trail("other", s3_key_prefix="other")
    wanted, others = running.send(2), []
    running.put_trail(replace(trail, is_logging=False))
    others += running.send(2)
    running.put_trail(replace(trail, event_selectors=WRITES))
    wanted += running.send(1)
    others += wanted[-1:] + running.send(1, readOnly=True)
    running.delete_trail(trail)
    others += running.send(1)
    running.start_delivery()
    running.wait_until_digested(7, other)
    assert Counter(running.seen().event_ids("other")) == Counter(wanted[:2] + others)
    delivered = [
        record["eventID"]
        for key, records in running.seen().log_files.items()
        if not key.startswith("other/")
        for record in records
    ]
    assert Counter(delivered) == Counter(wanted)


def test_a_session_that_was_over_before_delivery_looked_is_digested_too(running: Pipeline) -> None:
    trail = running.add_trail("audit")
    wanted = running.send(3)
    running.put_trail(replace(trail, is_logging=False))
    running.put_trail(replace(trail, logging_session=2))
    wanted += running.send(3)
    running.put_trail(replace(trail, logging_session=2, is_logging=False))
    running.start_delivery()
    running.wait_until_digested(6, trail)
    running.wait_until_all_ended()
    running.stop_delivery()
    evidence = running.seen()
    assert Counter(evidence.event_ids("audit")) == Counter(wanted)
    assert evidence.digested() == Counter(dict.fromkeys(evidence.log_files, 1))


def test_a_deleted_trail_gets_all_that_was_accepted_before_and_a_final_digest(running: Pipeline) -> None:
    trail = running.add_trail("audit")
    running.start_delivery()
    wanted = running.send(2)
    running.wait_until_digested(2, trail)
    wanted += running.send(2)
    running.delete_trail(trail)
    running.send(2)
    running.wait_until_all_ended()
    running.stop_delivery()
    assert_exactly_once(running.seen(), ["audit"], wanted)


def test_a_region_that_appears_later_joins_by_itself(running: Pipeline) -> None:
    trail = running.add_trail("everywhere", is_multi_region_trail=True)
    single = running.add_trail("at-home", s3_key_prefix="home")
    running.start_delivery()
    wanted = running.send(2)
    running.wait_until_digested(2, trail)
    running.bus.ensure_topic(OTHER_REGION, 2)
    running.wait_until_region_is_open(OTHER_REGION)
    there = running.send(3, region=OTHER_REGION)
    running.wait_until_digested(5, trail)
    running.stop_delivery()
    evidence = running.seen()
    assert Counter(evidence.event_ids("everywhere")) == Counter(wanted + there)
    assert Counter(evidence.event_ids("at-home")) == Counter(wanted)
    assert ("everywhere", ACCOUNT, OTHER_REGION) in evidence.chains()
    assert single.name not in {name for name, _, region in evidence.chains() if region == OTHER_REGION}
    assert_chains_unforked(evidence)


def test_an_account_without_a_trail_gets_no_files(running: Pipeline) -> None:
    trail = running.add_trail("audit")
    running.start_delivery()
    running.send(3, account=STRANGER)
    wanted = running.send(3)
    running.wait_until_digested(3, trail)
    running.stop_delivery()
    assert_exactly_once(running.seen(), ["audit"], wanted)
    assert not [key for key in running.keys_in() if STRANGER in key]


def test_a_member_that_leaves_and_comes_back_has_a_chain_each_time(running: Pipeline) -> None:
    member = "222233334444"
    together = Organization("o-exampleorg1", ACCOUNT, frozenset({ACCOUNT, member}))
    running.put_organization(together)
    trail = running.add_trail("all-of-us", organization_id=together.id)
    running.start_delivery()
    wanted = running.send(2, account=member)
    running.wait_until_digested(2, trail)
    running.put_organization(replace(together, member_account_ids=frozenset({ACCOUNT})))
    running.send(2, account=member)
    running.put_organization(together)
    # Whether the chain had its last digest in between or not: what comes now is digested.
    wanted += running.send(2, account=member)
    running.wait_until_digested(4, trail)
    running.put_organization(replace(together, member_account_ids=frozenset({ACCOUNT})))
    running.wait_until(lambda: chain_of(running, member).ended, "the member's chain ended")
    running.send(2, account=member)
    running.put_organization(together)
    running.wait_until(lambda: not chain_of(running, member).ended, "the member's chain began anew")
    wanted += running.send(2, account=member)
    running.wait_until_digested(6, trail)
    running.stop_delivery()
    evidence = running.seen()
    assert_exactly_once_but_for_starts(evidence, trail.name, wanted)
    digests = evidence.chains()[trail.name, member, REGION]
    assert [digest.previous is None for digest in digests].count(True) >= 2


def assert_exactly_once_but_for_starts(evidence: Evidence, trail_name: str, wanted: list[str]) -> None:
    """Each event in one digested file; each digest follows the one before it, or starts anew after it."""
    assert sorted(evidence.event_ids(trail_name)) == sorted(wanted)
    assert evidence.digested() == Counter(dict.fromkeys(evidence.log_files, 1))
    for digests in evidence.chains().values():
        for before, digest in pairwise(digests):
            assert digest.start >= before.end
            if digest.previous is not None:
                assert (digest.previous.s3_bucket, digest.previous.s3_object) == (before.s3_bucket, before.s3_object)


def ids_in(evidence: Evidence) -> list[str]:
    """The events in all log files, digested or not."""
    return [record["eventID"] for records in evidence.log_files.values() for record in records]


def chain_of(running: Pipeline, account: str) -> Chain:
    (chain,) = [chain for chain in running.state.chains.all_chains() if chain.account_id == account]
    return chain


def test_while_validation_is_off_files_are_delivered_and_not_digested(running: Pipeline) -> None:
    trail = running.add_trail("audit")
    running.start_delivery()
    digested = running.send(2)
    running.wait_until_digested(2, trail)
    running.put_trail(replace(trail, log_file_validation_enabled=False))
    running.wait_until_all_ended()
    undigested = running.send(2)
    running.wait_until(lambda: len(running.seen().log_files) == 2, "the file that no digest is to name")
    running.put_trail(replace(trail, logging_session=2))
    digested += running.send(2)
    running.wait_until_digested(4, trail)
    running.stop_delivery()
    evidence = running.seen()
    assert Counter(evidence.event_ids("audit")) == Counter(digested)
    assert sorted(ids_in(evidence)) == sorted(digested + undigested)
    digests = evidence.chains()["audit", ACCOUNT, REGION]
    assert [digest.previous is None for digest in digests].count(True) == 2


def test_a_trail_that_moves_and_moves_back_keeps_one_chain(running: Pipeline) -> None:
    trail = running.add_trail("audit")
    away = replace(trail, s3_key_prefix="elsewhere")
    running.start_delivery()
    wanted = running.send(2)
    running.wait_until_digested(2, trail)
    running.put_trail(away)
    there = running.send(2)
    running.wait_until_digested(4, away)
    # The digest that is cut for the old place may name those files already: the chain has to arrive.
    running.wait_until(lambda: any(key.startswith("elsewhere/") for key in running.seen().digests), "a digest there")
    running.put_trail(trail)
    wanted += running.send(2)
    running.wait_until_digested(6, trail)
    running.put_trail(replace(trail, is_logging=False))
    running.wait_until_all_ended()
    running.stop_delivery()
    evidence = running.seen()
    assert Counter(evidence.event_ids("audit")) == Counter(wanted + there)
    assert_chains_unforked(evidence)
    assert len({digest.s3_object.partition("AWSLogs/")[0] for _, digest in evidence.digests.values()}) == 2


def test_a_digest_is_encrypted_with_the_key_that_goes_with_its_bucket(tmp_path: Path) -> None:
    """A KMS key must be in its bucket's region: the last digest in the old bucket cannot use the new one's."""
    used: dict[str, list[str | None]] = {"first/": [], "second/": []}

    def before_put(_: str, key: str, __: bytes, options: PutOptions) -> None:
        if "/CloudTrail-Digest/" in key:
            used[key.partition("AWSLogs/")[0]].append(options.kms_key_id)

    with pipeline(tmp_path, settings=replace(FAST, digest_seconds=4)) as running:
        running.watched.before_put = before_put
        trail = running.add_trail("audit", kms_key_id="first-key", s3_key_prefix="first")
        running.start_delivery()
        running.send(2)
        running.wait_until_digested(2, trail)
        end, before = chain_of(running, ACCOUNT).last_end, len(used["first/"])
        running.wait_until(lambda: running.state.chains.now() // 1000 > end + 1, "time for a digest to be cut")
        moved = replace(trail, kms_key_id="second-key", s3_key_prefix="second")
        running.put_trail(moved)
        running.send(2)
        running.wait_until_digested(4, moved)
        # The digest that is cut for the old place may name those files already: the chain has to arrive.
        running.wait_until(lambda: bool(used["second/"]), "a digest there")
        running.stop_delivery()
    assert len(used["first/"]) > before, "no digest was cut for the old place"
    assert set(used["first/"]) == {"first-key"}
    assert set(used["second/"]) == {"second-key"}
