"""What is checked when a trail's bucket is set, and what is asked again: CloudTrail's errors, and what is none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from opentrail.trails.trail import Trail
from opentrail_backends.object_store.port import OutcomeUnknown, PutRefused, StoreThrottled
from opentrail_control_plane.errors import ApiError
from opentrail_control_plane.targets import VALIDATION_MESSAGE
from tests.trail_policies import bucket_statements, policy
from tests.unit.control_plane.target_fakes import (
    ACCOUNT,
    BAD_POLICY,
    BUCKET,
    STRANGER,
    TOPIC,
    TRAIL,
    WITH_ALL,
    Store,
    World,
)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def local() -> World:
    return World(Store(keeps_policies=False))


def test_a_trail_whose_targets_all_let_it_in_is_set(world: World) -> None:
    world.check(WITH_ALL)
    assert world.topics.published == [(TOPIC, VALIDATION_MESSAGE)]
    assert VALIDATION_MESSAGE == "CloudTrail validation message.", "its readers know it by this text"


# --- the bucket


def test_a_bucket_that_is_not_there(world: World) -> None:
    trail = replace(TRAIL, s3_bucket_name="no-such-bucket")
    assert world.refusal(trail) == ("S3BucketDoesNotExistException", "S3 bucket no-such-bucket does not exist!")


@pytest.mark.parametrize(
    "text",
    [
        None,
        "no JSON",
        policy(*bucket_statements(BUCKET, TRAIL.arn.replace("audit", "other"))),
        policy(*({**one, "Condition": {}} for one in bucket_statements(BUCKET, TRAIL.arn))),
    ],
    ids=["none", "unreadable", "of another trail", "open to all"],
)
def test_a_bucket_whose_policy_does_not_name_the_trail(world: World, text: str | None) -> None:
    world.store.policies = {} if text is None else {BUCKET: text}
    assert world.refusal(TRAIL) == BAD_POLICY
    assert "probe" not in world.store.asked, "nothing is put before it is allowed"


def test_a_bucket_whose_policy_we_may_not_read(world: World) -> None:
    world.store.errors["policy"] = PutRefused("no", "AccessDenied")
    assert world.refusal(TRAIL) == BAD_POLICY


def test_an_operator_may_allow_a_bucket_whatever_its_policy_says(world: World) -> None:
    world.allowed = (f"{ACCOUNT}:trail-*",)
    world.store.policies = {}
    world.check(TRAIL)
    world.store.errors["policy"] = PutRefused("no", "MethodNotAllowed")
    world.check(TRAIL)
    world.store.errors = {}
    stranger = replace(TRAIL, account_id=STRANGER)
    assert world.refusal(stranger) == BAD_POLICY
    gone = replace(TRAIL, s3_bucket_name="trail-of-nobody")
    assert world.refusal(gone)[0] == "S3BucketDoesNotExistException"


def test_a_bucket_that_replaces_objects_is_no_bucket_for_evidence(world: World) -> None:
    world.store.errors["probe"] = PutRefused("it replaced one", "ConditionalWritesUnsupported")
    assert world.refusal(TRAIL) == BAD_POLICY


def test_a_bucket_that_allows_only_log_files_refuses_the_probe_and_is_set(world: World) -> None:
    world.store.errors["probe"] = PutRefused("no", "AccessDenied")
    world.check(TRAIL)
    assert "probe" in world.store.asked


def test_the_installations_own_bucket_is_for_no_trail(world: World) -> None:
    world.reserved, world.allowed = (BUCKET,), ("*:*",)
    assert world.refusal(TRAIL) == BAD_POLICY


@pytest.mark.parametrize("what", ["policy", "probe"])
@pytest.mark.parametrize("error", [OutcomeUnknown("no answer"), StoreThrottled("slow down")])
def test_a_store_that_cannot_be_asked_is_no_refusal(world: World, what: str, error: Exception) -> None:
    world.store.errors[what] = error
    with pytest.raises(ApiError) as raised:
        world.check(TRAIL)
    assert (raised.value.code, raised.value.status) == ("ServiceUnavailable", 503)


def test_an_organizations_trail_is_checked_as_one(world: World) -> None:
    trail = replace(TRAIL, organization_id="o-exampleorgid")
    assert world.refusal(trail) == BAD_POLICY
    world.store.policies[BUCKET] = policy(*bucket_statements(BUCKET, TRAIL.arn, organization_id="o-exampleorgid"))
    world.check(trail)


# --- buckets of an installation's own directory


def test_a_new_bucket_is_made_for_who_names_it_first(local: World) -> None:
    trail = replace(TRAIL, s3_bucket_name="new-bucket")
    local.check(trail)
    assert list(local.store.list("new-bucket")) == []


def test_a_bucket_is_its_first_accounts_as_long_as_a_trail_of_it_uses_it(local: World) -> None:
    strangers = replace(TRAIL, incarnation="i-2", account_id=STRANGER)
    assert local.refusal(strangers, None, TRAIL) == BAD_POLICY
    local.check(replace(TRAIL, incarnation="i-3", name="second"), None, TRAIL)
    local.check(strangers)
    local.allowed = (f"{STRANGER}:{BUCKET}",)
    local.check(strangers, None, TRAIL)


def test_a_refused_account_makes_no_bucket(local: World) -> None:
    strangers = replace(TRAIL, incarnation="i-2", account_id=STRANGER, s3_bucket_name="new-bucket")
    local.refusal(strangers, None, replace(TRAIL, s3_bucket_name="new-bucket"))
    assert "create" not in local.store.asked


def test_an_organizations_trail_is_its_management_accounts(local: World) -> None:
    of_organization = replace(TRAIL, incarnation="i-2", organization_id="o-exampleorgid")
    local.check(of_organization, None, TRAIL)
    members = replace(TRAIL, incarnation="i-3", account_id=STRANGER)
    assert local.refusal(members, None, of_organization) == BAD_POLICY


# --- what is asked again


@pytest.mark.parametrize(
    ("before", "asked"),
    [
        (WITH_ALL, set()),
        (replace(WITH_ALL, is_logging=True, s3_key_prefix=""), set()),
        (replace(WITH_ALL, sns_topic_arn=None), {"topic"}),
        (replace(WITH_ALL, sns_topic_arn=f"{TOPIC}-2"), {"topic"}),
        (replace(WITH_ALL, kms_key_id=None), {"key"}),
        (replace(WITH_ALL, s3_bucket_name="other-logs"), {"bucket", "key"}),
        (replace(WITH_ALL, s3_key_prefix="audit"), {"bucket", "key"}),
        (replace(WITH_ALL, organization_id="o-exampleorgid"), {"bucket", "key"}),
        (None, {"bucket", "key", "topic"}),
    ],
)
def test_only_what_was_set_or_changed_is_asked(world: World, before: Trail | None, asked: set[str]) -> None:
    world.check(WITH_ALL, before)
    found: dict[str, Callable[[], bool]] = {
        "bucket": lambda: bool(world.store.asked),
        "key": lambda: bool(world.keys.asked),
        "topic": lambda: bool(world.topics.published),
    }
    assert {what for what, was_asked in found.items() if was_asked()} == asked


def test_what_a_trail_has_no_more_is_not_asked(world: World) -> None:
    world.store.errors["policy"] = OutcomeUnknown("no answer")
    world.check(TRAIL, WITH_ALL)
    assert (world.keys.asked, world.topics.published) == ([], [])
