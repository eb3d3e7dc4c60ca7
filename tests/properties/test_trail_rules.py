"""Rules of trails over many random ones, against counts that are made anew from scratch."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from opentrail.trails.caller import Caller
from opentrail.trails.configuration import Configuration, Organization, trail_body, trail_from_body
from opentrail.trails.logging_sessions import started, stopped
from opentrail.trails.refused import Refused
from opentrail.trails.tags import with_tags, without_tags
from opentrail.trails.trail import Trail
from opentrail.trails.trail_requests import created_trail, updated_trail
from opentrail.trails.visibility import find_trail, writable_trail

OWNER, ADMINISTRATOR, MEMBER, STRANGER = "100000000000", "200000000000", "300000000000", "400000000000"
ACCOUNTS = (OWNER, ADMINISTRATOR, MEMBER, STRANGER)
REGIONS = ("eu-west-1", "sa-east-1", "us-east-1")
ORGANIZATION = Organization(
    "o-abcdefghij", OWNER, frozenset({OWNER, ADMINISTRATOR, MEMBER}), frozenset({ADMINISTRATOR})
)

callers = st.builds(Caller, st.sampled_from(ACCOUNTS), st.sampled_from(REGIONS))
placements = st.tuples(callers, st.booleans(), st.booleans())
"""(caller, multi-region, organization's)"""


def configuration(trails) -> Configuration:
    return Configuration(
        trails={trail.incarnation: trail for trail in trails}, organizations={ORGANIZATION.id: ORGANIZATION}
    )


def places_of(account_id: str, region: str, is_multi_region: bool, of_organization: bool):
    """Every (account, region) in which a trail counts."""
    accounts = ORGANIZATION.member_account_ids if of_organization else {account_id}
    regions = REGIONS if is_multi_region else (region,)
    return [(account, there) for account in accounts for there in regions]


@settings(max_examples=300)
@given(st.lists(placements, min_size=8, max_size=40))
def test_nobody_ever_has_more_than_five_trails_and_nobody_is_refused_with_fewer(requests):
    trails: list[Trail] = []
    counted: Counter[tuple[str, str]] = Counter()
    for number, (caller, is_multi_region, of_organization) in enumerate(requests):
        members = {
            "Name": f"trail-{number}",
            "S3BucketName": "bucket",
            "IsMultiRegionTrail": is_multi_region,
            "IsOrganizationTrail": of_organization,
        }
        places = places_of(caller.account_id, caller.region, is_multi_region, of_organization)
        trail = tried(created_trail, configuration(trails), caller, members, incarnation=str(number), regions=REGIONS)
        if isinstance(trail, Refused) and trail.code == "MaximumNumberOfTrailsExceededException":
            full = [(account, region) for account, region in places if counted[account, region] == 5]
            assert trail.message in {f"User: {a} already has 5 trails in {r}." for a, r in full}
            continue
        assert isinstance(trail, Refused) is (of_organization and caller.account_id in {MEMBER, STRANGER})
        if isinstance(trail, Refused):
            assert trail.code in {"NotOrganizationMasterAccountException", "OrganizationsNotInUseException"}
            continue
        trails.append(trail)
        counted.update(places)
        assert max(counted.values()) <= 5


@st.composite
def some_trails(draw):
    trails = []
    for number, (caller, is_multi_region, of_organization) in enumerate(draw(st.lists(placements, max_size=12))):
        trails.append(
            Trail(
                incarnation=str(number),
                name=f"trail-{number % 4}",
                account_id=OWNER if of_organization else caller.account_id,
                home_region=caller.region,
                s3_bucket_name="bucket",
                is_multi_region_trail=is_multi_region,
                organization_id=ORGANIZATION.id if of_organization else None,
            )
        )
    return list({trail.arn: trail for trail in trails}.values())


@settings(max_examples=300)
@given(some_trails(), callers)
def test_who_finds_and_who_changes_a_trail(trails, caller):
    known = configuration(trails)
    for trail in trails:
        is_owner = trail.account_id == caller.account_id
        sees = is_owner or (trail.is_organization_trail and caller.account_id in ORGANIZATION.member_account_ids)
        assert found(find_trail, known, caller, trail.arn) == (trail if sees else "TrailNotFoundException")
        here = [one for one in trails if one.name == trail.name and one.home_region == caller.region]
        own = [one for one in here if one.account_id == caller.account_id]
        assert found(find_trail, known, caller, trail.name) == (own[0] if own else "TrailNotFoundException")
        may_change = is_owner or (trail.is_organization_trail and caller.account_id == ADMINISTRATOR)
        expected = (
            "TrailNotFoundException"
            if not sees
            else "NotOrganizationMasterAccountException"
            if not may_change
            else "InvalidHomeRegionException"
            if trail.home_region != caller.region
            else trail
        )
        assert found(writable_trail, known, caller, trail.arn) == expected


def tried(function, *arguments, **keywords):
    """What the rule gives, or its refusal."""
    try:
        return function(*arguments, **keywords)
    except Refused as refused:
        return refused


def found(function, *arguments, **keywords):
    """What the rule gives, or the code of its refusal."""
    result = tried(function, *arguments, **keywords)
    return result.code if isinstance(result, Refused) else result


STEPS = st.lists(st.sampled_from(["start", "stop", "validate", "do not validate", "other"]), max_size=20)


@given(STEPS)
def test_sessions_rise_with_each_beginning_and_times_are_those_of_the_newest(steps):
    trail = Trail(incarnation="i", name="audit", account_id=OWNER, home_region="us-east-1", s3_bucket_name="bucket")
    is_logging = validates = False
    sessions = began = ended = 0
    for now, step in enumerate(steps, 1):
        if step == "start":
            trail = started(trail, now)
        elif step == "stop":
            trail = stopped(trail, now)
        else:
            members = {} if step == "other" else {"EnableLogFileValidation": step == "validate"}
            caller = Caller(OWNER, "us-east-1")
            trail = updated_trail(configuration([trail]), caller, trail, members, regions=REGIONS, now_ms=now)
        begins = (step == "start" and not is_logging) or (step == "validate" and is_logging and not validates)
        ends = step == "stop" and is_logging
        is_logging = step == "start" or (is_logging and step != "stop")
        validates = step == "validate" or (validates and step != "do not validate")
        sessions, began, ended = sessions + begins, now if begins else began, now if ends else ended
        assert (trail.is_logging, trail.log_file_validation_enabled) == (is_logging, validates)
        assert (trail.logging_session, trail.started_logging_at, trail.stopped_logging_at) == (sessions, began, ended)


TEXTS = {
    "S3KeyPrefix": ("s3_key_prefix", "prefix"),
    "KmsKeyId": ("kms_key_id", "arn:key"),
    "SnsTopicName": ("sns_topic_arn", "arn:topic"),
}
FLAGS = {
    "IncludeGlobalServiceEvents": "include_global_service_events",
    "IsMultiRegionTrail": "is_multi_region_trail",
    "RecursiveLogging": "recursive_logging",
}
requests = st.fixed_dictionaries(
    {},
    optional={
        **{name: st.sampled_from(["", value]) for name, (_, value) in TEXTS.items()},
        **{name: st.booleans() for name in FLAGS},
    },
)


@given(st.lists(requests, max_size=6))
def test_an_update_sets_what_it_names_clears_what_is_empty_and_leaves_the_rest(updates):
    trail = Trail(incarnation="i", name="audit", account_id=OWNER, home_region="us-east-1", s3_bucket_name="bucket")
    for members in updates:
        texts = {TEXTS[name][0]: value or None for name, value in members.items() if name in TEXTS}
        expected = replace(trail, **texts, **{FLAGS[name]: value for name, value in members.items() if name in FLAGS})
        caller = Caller(OWNER, "us-east-1")
        arguments = (configuration([trail]), caller, trail, members)
        if expected.is_multi_region_trail and not expected.include_global_service_events:
            told = found(updated_trail, *arguments, regions=REGIONS, now_ms=1)
            assert told == "InvalidParameterCombinationException"
            continue
        trail = updated_trail(*arguments, regions=REGIONS, now_ms=1)
        assert trail == expected
        assert trail_from_body("i", json.loads(json.dumps(trail_body(trail)))) == trail


keys = st.sampled_from([f"key-{number}" for number in range(60)])
tag_lists = st.lists(st.tuples(keys, st.none() | st.text(max_size=3)), unique_by=lambda tag: tag[0], max_size=40)


@given(st.lists(st.tuples(st.booleans(), tag_lists), max_size=6))
def test_tags_are_as_a_dictionary_of_fifty(requests):
    tags, expected = {}, {}
    for adds, given_tags in requests:
        tags_list = [{"Key": key, "Value": value} for key, value in given_tags]
        if not adds:
            tags = without_tags(tags, tags_list)
            for key, _ in given_tags:
                expected.pop(key, None)
        elif len({**expected, **dict(given_tags)}) > 50:
            assert found(with_tags, tags, tags_list) == "TagsLimitExceededException"
        else:
            tags = with_tags(tags, tags_list)
            expected.update(given_tags)
        assert tags == expected
