from __future__ import annotations

from dataclasses import replace

import pytest

from opentrail.trails.trail import Trail
from opentrail.trails.trail_requests import created_trail
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

KEY = f"arn:aws:kms:{HOME}:{MANAGEMENT}:key/12345678-1234-1234-1234-123456789012"
TOPIC = f"arn:aws:sns:{HOME}:{MANAGEMENT}:told"


def create(*existing: Trail, account_id: str = MANAGEMENT, region: str = HOME, organization=ORGANIZATION, **members):
    return created_trail(
        configuration(*existing, organization=organization),
        caller(account_id, region),
        {"Name": "audit", "S3BucketName": "audit-logs", **members},
        incarnation="new",
        regions=REGIONS,
    )


def refused(*existing: Trail, **members) -> tuple[str, str]:
    return refusal(create, *existing, **members)


class TestFields:
    def test_a_new_trail_is_single_region_without_validation_and_does_not_log(self):
        assert create() == Trail(
            incarnation="new",
            name="audit",
            account_id=MANAGEMENT,
            home_region=HOME,
            s3_bucket_name="audit-logs",
            include_global_service_events=True,
            is_multi_region_trail=False,
            log_file_validation_enabled=False,
            recursive_logging=True,
            is_logging=False,
        )

    def test_each_member_sets_its_field(self):
        made = create(
            S3KeyPrefix="all/logs",
            SnsTopicName=TOPIC,
            IncludeGlobalServiceEvents=True,
            IsMultiRegionTrail=True,
            EnableLogFileValidation=True,
            CloudWatchLogsLogGroupArn=LOG_GROUP,
            CloudWatchLogsRoleArn=ROLE,
            KmsKeyId=KEY,
            TagsList=[{"Key": "team", "Value": "audit"}, {"Key": "empty"}],
            RecursiveLogging=False,
        )
        expected = trail(
            s3_key_prefix="all/logs",
            sns_topic_arn=TOPIC,
            is_multi_region_trail=True,
            log_file_validation_enabled=True,
            cloud_watch_logs_log_group_arn=LOG_GROUP,
            cloud_watch_logs_role_arn=ROLE,
            kms_key_id=KEY,
            tags={"team": "audit", "empty": None},
            recursive_logging=False,
        )
        assert made == replace(expected, incarnation="new")

    def test_empty_texts_set_nothing(self):
        empty = dict.fromkeys(
            ("S3KeyPrefix", "SnsTopicName", "CloudWatchLogsLogGroupArn", "CloudWatchLogsRoleArn", "KmsKeyId"), ""
        )
        assert create(**empty) == create()

    @pytest.mark.parametrize(
        ("members", "code", "message"),
        [
            ({"Name": "ab"}, "InvalidTrailName", "Trail name too short."),
            ({"Name": "a" * 129}, "InvalidTrailName", "Trail name too long."),
            ({"Name": "-ab"}, "InvalidTrailName", "Trail name must starts with a letter or number."),
            ({"Name": "arn:aws:cloudtrail:us-east-1:111122223333:trail/a"}, "InvalidTrailName", "can only contain"),
            ({"S3BucketName": "Upper"}, "InvalidS3BucketName", "Upper"),
            ({"S3BucketName": ""}, "InvalidS3BucketName", "3 to 63"),
            ({"S3KeyPrefix": "p" * 201}, "InvalidS3Prefix", "201"),
            ({"S3KeyPrefix": "p/"}, "InvalidS3Prefix", "slash"),
            (
                {"IsMultiRegionTrail": True, "IncludeGlobalServiceEvents": False},
                "InvalidParameterCombination",
                "Multi-Region trail must include global service events.",
            ),
            ({"CloudWatchLogsLogGroupArn": LOG_GROUP}, "InvalidParameterCombination", "together"),
            ({"CloudWatchLogsRoleArn": ROLE}, "InvalidParameterCombination", "together"),
            ({"TagsList": [{"Key": "aws:x"}]}, "InvalidTagParameter", "aws:x"),
            ({"TagsList": [{"Key": str(n)} for n in range(51)]}, "TagsLimitExceeded", "51"),
        ],
    )
    def test_what_is_refused(self, members, code, message):
        told = refused(**members)
        assert told[0] == code
        assert message in told[1]

    @pytest.mark.parametrize(
        "group",
        [
            LOG_GROUP.removesuffix(":*"),
            LOG_GROUP + "*",
            LOG_GROUP.replace(HOME, ELSEWHERE),
            LOG_GROUP.replace(":logs:", ":s3:"),
            "audit",
        ],
    )
    def test_a_log_group_ends_with_a_star_and_is_in_the_home_region(self, group):
        code, message = refused(CloudWatchLogsLogGroupArn=group, CloudWatchLogsRoleArn=ROLE)
        assert code == "InvalidCloudWatchLogsLogGroupArn"
        assert group in message
        assert "Access denied." not in message  # Terraform would ask again for two minutes

    @pytest.mark.parametrize("role", ["audit", ROLE.replace(":role/", ":user/"), ROLE.replace("::", ":us-east-1:")])
    def test_a_role_is_an_arn(self, role):
        code, message = refused(CloudWatchLogsLogGroupArn=LOG_GROUP, CloudWatchLogsRoleArn=role)
        assert code == "InvalidCloudWatchLogsRoleArn"
        assert role in message
        assert "Access denied." not in message

    def test_prefix_and_tags_at_their_limits(self):
        tags = [{"Key": f"{n:03}", "Value": "v"} for n in range(50)]
        made = create(S3KeyPrefix="p" * 200, TagsList=tags)
        assert (made.s3_key_prefix, len(made.tags)) == ("p" * 200, 50)


class TestNames:
    def test_a_name_is_taken_once_in_a_region_of_an_account(self):
        assert refused(trail()) == ("TrailAlreadyExists", f"Trail audit already exists for customer: {MANAGEMENT}")
        assert create(trail(home_region=ELSEWHERE)).name == "audit"
        assert create(trail(account_id=STRANGER)).name == "audit"
        assert create(trail("Audit")).name == "audit"

    def test_a_name_that_exists_is_told_before_a_limit_that_is_reached(self):
        assert refused(trail(), *trails(4))[0] == "TrailAlreadyExists"


class TestOrganizationTrails:
    @pytest.mark.parametrize("account_id", [MANAGEMENT, ADMINISTRATOR])
    def test_the_management_account_owns_it_whoever_made_it(self, account_id):
        made = create(account_id=account_id, IsOrganizationTrail=True)
        assert made.arn == f"arn:aws:cloudtrail:{HOME}:{MANAGEMENT}:trail/audit"
        assert (made.account_id, made.organization_id) == (MANAGEMENT, ORGANIZATION.id)

    def test_others_are_refused(self):
        code, message = refused(account_id=MEMBER, IsOrganizationTrail=True)
        assert code == "NotOrganizationMasterAccount"
        assert MEMBER in message
        assert refused(account_id=STRANGER, IsOrganizationTrail=True)[0] == "OrganizationsNotInUse"
        assert refused(organization=None, IsOrganizationTrail=True)[0] == "OrganizationsNotInUse"

    def test_everyone_makes_trails_for_itself(self):
        for account_id in (ADMINISTRATOR, MEMBER, STRANGER):
            made = create(account_id=account_id, IsOrganizationTrail=False)
            assert (made.account_id, made.organization_id) == (account_id, None)

    def test_the_name_is_the_owners_also_for_a_delegated_administrator(self):
        told = refused(trail(), account_id=ADMINISTRATOR, IsOrganizationTrail=True)
        assert told == ("TrailAlreadyExists", f"Trail audit already exists for customer: {MANAGEMENT}")
        assert create(trail(account_id=ADMINISTRATOR), account_id=ADMINISTRATOR, IsOrganizationTrail=True)
        assert create(organization_trail("audit"), account_id=ADMINISTRATOR).account_id == ADMINISTRATOR


class TestLimits:
    def test_the_fifth_is_made_and_the_sixth_is_not(self):
        assert create(*trails(3))
        assert create(*trails(4))
        told = refused(*trails(5))
        assert told == ("MaximumNumberOfTrailsExceeded", f"User: {MANAGEMENT} already has 5 trails in {HOME}.")

    def test_shadow_trails_count_in_every_region(self):
        there = trails(3, home_region=ELSEWHERE, is_multi_region_trail=True)
        assert create(*there, *trails(1))
        told = refused(*there, *trails(2))
        assert told == ("MaximumNumberOfTrailsExceeded", f"User: {MANAGEMENT} already has 5 trails in {HOME}.")

    def test_single_region_trails_elsewhere_do_not_count(self):
        assert create(*trails(5, home_region=ELSEWHERE), *trails(4))

    def test_a_multi_region_trail_has_to_fit_in_every_region(self):
        there = trails(5, home_region=ELSEWHERE)
        assert create(*there)
        told = refused(*there, IsMultiRegionTrail=True)
        assert told == ("MaximumNumberOfTrailsExceeded", f"User: {MANAGEMENT} already has 5 trails in {ELSEWHERE}.")
        assert create(*trails(4, home_region=ELSEWHERE), IsMultiRegionTrail=True)

    def test_a_region_that_is_full_for_others_is_no_reason(self):
        full = trails(6, home_region=ELSEWHERE)  # made by a declaration of an older release, say
        assert create(*full)

    def test_the_organizations_trails_count_in_each_member(self):
        of_all = [organization_trail(f"for-all-{n}") for n in range(3)]
        assert create(*of_all, *trails(1, account_id=MEMBER), account_id=MEMBER)
        told = refused(*of_all, *trails(2, account_id=MEMBER), account_id=MEMBER)
        assert told == ("MaximumNumberOfTrailsExceeded", f"User: {MEMBER} already has 5 trails in {HOME}.")
        assert create(*of_all, *trails(2, account_id=STRANGER), account_id=STRANGER)

    @pytest.mark.parametrize("account_id", [MANAGEMENT, ADMINISTRATOR])
    def test_an_organization_trail_has_to_fit_in_every_member(self, account_id):
        assert create(*trails(4, account_id=MEMBER), account_id=account_id, IsOrganizationTrail=True)
        assert create(*trails(5, account_id=STRANGER), account_id=account_id, IsOrganizationTrail=True)
        told = refused(*trails(5, account_id=MEMBER), account_id=account_id, IsOrganizationTrail=True)
        assert told == ("MaximumNumberOfTrailsExceeded", f"User: {MEMBER} already has 5 trails in {HOME}.")

    def test_a_multi_region_organization_trail_has_to_fit_in_every_region_of_every_member(self):
        there = trails(5, account_id=MEMBER, home_region="ap-south-1")
        assert create(*there, IsOrganizationTrail=True)
        told = refused(*there, IsOrganizationTrail=True, IsMultiRegionTrail=True)
        assert told == ("MaximumNumberOfTrailsExceeded", f"User: {MEMBER} already has 5 trails in ap-south-1.")

    def test_a_region_counts_even_if_it_is_not_among_those_there_are(self):
        there = trails(5, home_region="sa-east-1")
        assert refused(*there, IsMultiRegionTrail=True)[1].endswith("in sa-east-1.")
