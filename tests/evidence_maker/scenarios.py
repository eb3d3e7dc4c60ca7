"""Buckets named by what is wrong with them; each is built anew, with the names of the buckets that are given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from tests.evidence_maker.maker import HOUR, Chain, MadeObject, Place, change_content


@dataclass
class Scenario:
    """`chain` holds the objects; `named` the objects that a validator must call invalid."""

    chain: Chain
    named: list[Place] = field(default_factory=list)
    flags: list[str] = field(default_factory=list)
    is_organization_trail: bool = False


Build = Callable[[str, str], Scenario]


def valid(bucket: str, _other: str) -> Scenario:
    return Scenario(Chain(bucket=bucket).hours(3))


def valid_with_prefix(bucket: str, _other: str) -> Scenario:
    return Scenario(Chain(bucket=bucket, prefix="audit/logs").hours(2))


def empty_hours(bucket: str, _other: str) -> Scenario:
    return Scenario(Chain(bucket=bucket).hours(1).hours(2, logs=0).hours(1))


def odd_trail_name(bucket: str, _other: str) -> Scenario:
    return Scenario(Chain(bucket=bucket, trail="a_b-c.d").hours(2))


def log_byte_changed(bucket: str, _other: str) -> Scenario:
    chain = Chain(bucket=bucket).hours(3)
    change_content(chain.objects, chain.logs[2], b"Get", b"Put")
    return Scenario(chain, [chain.logs[2]])


def log_not_gzip(bucket: str, _other: str) -> Scenario:
    chain = Chain(bucket=bucket).hours(2)
    chain.objects[chain.logs[1]] = MadeObject(b"not gzip", {})
    return Scenario(chain, [chain.logs[1]])


def log_deleted(bucket: str, _other: str) -> Scenario:
    chain = Chain(bucket=bucket).hours(3)
    del chain.objects[chain.logs[0]]
    return Scenario(chain, [chain.logs[0]])


def logs_swapped(bucket: str, _other: str) -> Scenario:
    chain = Chain(bucket=bucket).hours(2)
    first, second = chain.logs[:2]
    chain.objects[first], chain.objects[second] = chain.objects[second], chain.objects[first]
    return Scenario(chain, [first, second])


def digest_changed(bucket: str, _other: str) -> Scenario:
    chain = Chain(bucket=bucket).hours(3)
    change_content(chain.objects, chain.digests[1], b'"logFiles"', b' "logFiles"')
    return Scenario(chain, [chain.digests[1]])


def digest_not_json(bucket: str, _other: str) -> Scenario:
    chain = Chain(bucket=bucket).hours(3)
    change_content(chain.objects, chain.digests[1], b'"logFiles"', b'logFiles"')
    return Scenario(chain, [chain.digests[1]])


def digest_without_signature(bucket: str, _other: str) -> Scenario:
    chain = Chain(bucket=bucket).hours(3)
    place = chain.digests[1]
    chain.objects[place] = MadeObject(chain.objects[place].body, {})
    return Scenario(chain, [place])


def digest_of_unknown_key(bucket: str, _other: str) -> Scenario:
    chain = Chain(bucket=bucket).hours(1)
    chain.key_number = 9
    place = chain.hour()
    chain.key_number = 0
    return Scenario(chain.hours(1), [place])


def digest_deleted(bucket: str, _other: str) -> Scenario:
    chain = Chain(bucket=bucket).hours(4)
    del chain.objects[chain.digests[2]]
    return Scenario(chain, [chain.digests[2]])


def digest_moved(bucket: str, _other: str) -> Scenario:
    """A copy of the newest digest under a later name, as if there had been one more hour."""
    chain = Chain(bucket=bucket).hours(3)
    bucket, key = chain.digests[-1]
    later = (bucket, key.replace("T130731Z", "T132731Z"))
    assert later[1] != key
    chain.objects[later] = chain.objects[bucket, key]
    return Scenario(chain, [later])


def no_valid_digest(bucket: str, _other: str) -> Scenario:
    chain = Chain(bucket=bucket).hours(2)
    for place in chain.digests:
        change_content(chain.objects, place, b'"logFiles"', b' "logFiles"')
    return Scenario(chain, list(chain.digests))


def nothing(bucket: str, _other: str) -> Scenario:
    return Scenario(Chain(bucket=bucket))


def gap(bucket: str, _other: str) -> Scenario:
    return Scenario(Chain(bucket=bucket).hours(2).restart().hours(2))


def restart_without_pause(bucket: str, _other: str) -> Scenario:
    return Scenario(Chain(bucket=bucket).hours(2).restart(pause=0).hours(2))


def bucket_changed(bucket: str, other: str) -> Scenario:
    chain = Chain(bucket=other).hours(2)
    chain.bucket = bucket
    return Scenario(chain.hours(2))


def bucket_changed_and_digest_deleted(bucket: str, other: str) -> Scenario:
    scenario = bucket_changed(bucket, other)
    place = scenario.chain.digests[1]
    del scenario.chain.objects[place]
    return Scenario(scenario.chain, [place])


def organization(bucket: str, _other: str) -> Scenario:
    chain = Chain(bucket=bucket, organization="o-exampleorg1", account="444455556666").hours(2)
    return Scenario(chain, flags=["--account-id", "444455556666"], is_organization_trail=True)


def backfill(bucket: str, _other: str) -> Scenario:
    chain = Chain(bucket=bucket).hours(3)
    Chain(chain.objects, bucket, backfill=True, now=chain.now - 3 * HOUR + 60).hours(2)
    return Scenario(chain)


def backfill_log_changed(bucket: str, _other: str) -> Scenario:
    scenario = backfill(bucket, _other)
    made = Chain(scenario.chain.objects, bucket, backfill=True, now=scenario.chain.now - 3 * HOUR + 60).hours(2)
    change_content(scenario.chain.objects, made.logs[2], b"Get", b"Put")
    change_content(scenario.chain.objects, made.digests[0], b'"logFiles"', b' "logFiles"')
    return Scenario(scenario.chain, [made.logs[2], made.digests[0]])


def source_region(bucket: str, _other: str) -> Scenario:
    return Scenario(Chain(bucket=bucket, region="us-west-2").hours(2), flags=["--region", "us-west-2"])


SCENARIOS: dict[str, Build] = {
    build.__name__: build
    for build in (
        valid,
        valid_with_prefix,
        empty_hours,
        odd_trail_name,
        log_byte_changed,
        log_not_gzip,
        log_deleted,
        logs_swapped,
        digest_changed,
        digest_not_json,
        digest_without_signature,
        digest_of_unknown_key,
        digest_deleted,
        digest_moved,
        no_valid_digest,
        nothing,
        gap,
        restart_without_pause,
        bucket_changed,
        bucket_changed_and_digest_deleted,
        organization,
        backfill,
        backfill_log_changed,
        source_region,
    )
}
