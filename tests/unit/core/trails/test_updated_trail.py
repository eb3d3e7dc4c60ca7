from __future__ import annotations

from dataclasses import replace

import pytest

from opentrail.trails.trail import Trail
from opentrail.trails.trail_requests import updated_trail
from tests.unit.core.trails.trail_samples import (
    ADMINISTRATOR,
    ELSEWHERE,
    HOME,
    LOG_GROUP,
    MANAGEMENT,
    MEMBER,
    ORGANIZATION,
    REGIONS,
    ROLE,
    STRANGER,
    caller,
    configuration,
    organization_trail,
    refusal,
    trail,
    trails,
)

NOW = 5_000
WHOLE = trail(
    s3_key_prefix="all/logs",
    kms_key_id="arn:aws:kms:us-east-1:111122223333:key/k",
    sns_topic_arn="arn:aws:sns:us-east-1:111122223333:told",
    cloud_watch_logs_log_group_arn=LOG_GROUP,
    cloud_watch_logs_role_arn=ROLE,
    log_file_validation_enabled=True,
    recursive_logging=False,
    is_logging=True,
    logging_session=3,
    started_logging_at=1_000,
    tags={"team": "audit"},
)


def update(before: Trail, *others: Trail, account_id: str = MANAGEMENT, organization=ORGANIZATION, **members) -> Trail:
    return updated_trail(
        configuration(before, *others, organization=organization),
        caller(account_id),
        before,
        {"Name": before.arn, **members},
        regions=REGIONS,
        now_ms=NOW,
    )


def refused(before: Trail, *others: Trail, **members) -> tuple[str, str]:
    return refusal(update, before, *others, **members)


class TestFields:
    def test_what_is_absent_stays(self):
        assert update(WHOLE) == WHOLE

    @pytest.mark.parametrize(
        ("members", "fields"),
        [
            ({"S3BucketName": "other"}, {"s3_bucket_name": "other"}),
            ({"S3KeyPrefix": "p"}, {"s3_key_prefix": "p"}),
            ({"S3KeyPrefix": ""}, {"s3_key_prefix": None}),
            ({"KmsKeyId": "arn:k"}, {"kms_key_id": "arn:k"}),
            ({"KmsKeyId": ""}, {"kms_key_id": None}),
            ({"SnsTopicName": "arn:t"}, {"sns_topic_arn": "arn:t"}),
            ({"SnsTopicName": ""}, {"sns_topic_arn": None}),
            (
                {"CloudWatchLogsLogGroupArn": "", "CloudWatchLogsRoleArn": ""},
                {"cloud_watch_logs_log_group_arn": None, "cloud_watch_logs_role_arn": None},
            ),
            ({"CloudWatchLogsRoleArn": ROLE + "2"}, {"cloud_watch_logs_role_arn": ROLE + "2"}),
            ({"IncludeGlobalServiceEvents": False}, {"include_global_service_events": False}),
            ({"IsMultiRegionTrail": True}, {"is_multi_region_trail": True}),
            ({"EnableLogFileValidation": False}, {"log_file_validation_enabled": False}),
            ({"RecursiveLogging": True}, {"recursive_logging": True}),
            ({"IsOrganizationTrail": False}, {}),
            ({"IsOrganizationTrail": True}, {"organization_id": ORGANIZATION.id}),
        ],
    )
    def test_a_member_changes_its_field_and_no_other(self, members, fields):
        assert update(WHOLE, **members) == replace(WHOLE, **fields)

    def test_an_update_leaves_tags_and_selectors_alone(self):
        assert update(WHOLE, TagsList=[{"Key": "x"}], EventSelectors=[]) == WHOLE

    @pytest.mark.parametrize(
        ("members", "code"),
        [
            ({"S3BucketName": ""}, "InvalidS3BucketName"),
            ({"S3BucketName": "a_b"}, "InvalidS3BucketName"),
            ({"S3KeyPrefix": "p" * 201}, "InvalidS3Prefix"),
            ({"CloudWatchLogsLogGroupArn": ""}, "InvalidParameterCombination"),
            ({"CloudWatchLogsRoleArn": ""}, "InvalidParameterCombination"),
            ({"CloudWatchLogsLogGroupArn": "x"}, "InvalidCloudWatchLogsLogGroupArn"),
            ({"CloudWatchLogsRoleArn": "x"}, "InvalidCloudWatchLogsRoleArn"),
            ({"IsMultiRegionTrail": True, "IncludeGlobalServiceEvents": False}, "InvalidParameterCombination"),
        ],
    )
    def test_what_is_refused(self, members, code):
        assert refused(WHOLE, **members)[0] == code

    def test_multi_region_and_global_services_are_judged_together_whichever_comes_second(self):
        expected = ("InvalidParameterCombination", "Multi-Region trail must include global service events.")
        without = trail(include_global_service_events=False)
        assert refused(without, IsMultiRegionTrail=True) == expected
        assert refused(trail(is_multi_region_trail=True), IncludeGlobalServiceEvents=False) == expected
        assert update(without, IsMultiRegionTrail=True, IncludeGlobalServiceEvents=True).is_multi_region_trail

    def test_what_was_declared_otherwise_hinders_no_other_change(self):
        declared = trail(
            s3_bucket_name="Old_Bucket", cloud_watch_logs_log_group_arn="arn:g", cloud_watch_logs_role_arn="arn:r"
        )
        assert update(declared, RecursiveLogging=False) == replace(declared, recursive_logging=False)


class TestRegions:
    def test_back_to_one_region_keeps_the_events_of_global_services(self):
        multi = trail(is_multi_region_trail=True)
        assert update(multi, IsMultiRegionTrail=False) == trail()

    def test_a_trail_that_becomes_multi_region_has_to_fit_everywhere(self):
        there = trails(5, home_region=ELSEWHERE)
        told = refused(trail(), *there, IsMultiRegionTrail=True)
        assert told == ("MaximumNumberOfTrailsExceeded", f"User: {MANAGEMENT} already has 5 trails in {ELSEWHERE}.")
        assert update(trail(), *there[:4], IsMultiRegionTrail=True).is_multi_region_trail

    def test_a_trail_does_not_count_twice(self):
        assert update(trail(), *trails(4), IsMultiRegionTrail=True).is_multi_region_trail
        multi = trail(is_multi_region_trail=True)
        full = trails(4, is_multi_region_trail=True, home_region=ELSEWHERE)
        assert update(multi, *full, IsMultiRegionTrail=True, S3KeyPrefix="p").s3_key_prefix == "p"

    def test_too_many_trails_hinder_no_other_change(self):
        crowded = trails(6, is_multi_region_trail=True)
        assert update(*crowded, S3KeyPrefix="p").s3_key_prefix == "p"
        assert not update(*crowded, IsMultiRegionTrail=False).is_multi_region_trail


class TestOrganizations:
    def test_the_management_account_converts_both_ways(self):
        converted = update(trail(), IsOrganizationTrail=True)
        assert converted == trail(organization_id=ORGANIZATION.id)
        assert update(converted, IsOrganizationTrail=False) == trail()

    def test_a_delegated_administrator_changes_an_organizations_trail_but_converts_none(self):
        of_all = organization_trail()
        changed = update(of_all, account_id=ADMINISTRATOR, S3KeyPrefix="p", IsOrganizationTrail=True)
        assert changed == replace(of_all, s3_key_prefix="p")
        told = refused(of_all, account_id=ADMINISTRATOR, IsOrganizationTrail=False)
        assert told[0] == "NotOrganizationMasterAccount"
        own = trail(account_id=ADMINISTRATOR)
        told = refused(own, account_id=ADMINISTRATOR, IsOrganizationTrail=True)
        assert told[0] == "NotOrganizationMasterAccount"

    def test_others_convert_nothing(self):
        own = trail(account_id=MEMBER)
        assert refused(own, account_id=MEMBER, IsOrganizationTrail=True)[0] == "NotOrganizationMasterAccount"
        own = trail(account_id=STRANGER)
        assert refused(own, account_id=STRANGER, IsOrganizationTrail=True)[0] == "OrganizationsNotInUse"

    def test_a_trail_for_all_has_to_fit_in_every_member(self):
        full = trails(5, account_id=MEMBER)
        told = refused(trail(), *full, IsOrganizationTrail=True)
        assert told == ("MaximumNumberOfTrailsExceeded", f"User: {MEMBER} already has 5 trails in {HOME}.")
        assert update(trail(), *full[:4], IsOrganizationTrail=True).is_organization_trail


class TestSessions:
    def test_switching_validation_on_begins_a_session_while_the_trail_logs(self):
        without = replace(WHOLE, log_file_validation_enabled=False)
        changed = update(without, EnableLogFileValidation=True)
        assert changed == replace(WHOLE, logging_session=4, started_logging_at=NOW)
        silent = replace(without, is_logging=False)
        assert update(silent, EnableLogFileValidation=True) == replace(WHOLE, is_logging=False)
        assert update(WHOLE, EnableLogFileValidation=True) == WHOLE
