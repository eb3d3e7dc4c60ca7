from __future__ import annotations

from dataclasses import replace

import pytest

from opentrail.trails.visibility import (
    asked_trail,
    find_trail,
    in_region,
    is_original,
    named_trail,
    seen_by_account,
    writable_trail,
)
from tests.unit.core.trails.trail_samples import (
    ADMINISTRATOR,
    ELSEWHERE,
    HOME,
    MANAGEMENT,
    MEMBER,
    ORGANIZATION,
    STRANGER,
    caller,
    configuration,
    organization_trail,
    refusal,
    trail,
)

OWN = trail("own")
EVERYWHERE = trail("everywhere", is_multi_region_trail=True)
THERE = trail("there", home_region=ELSEWHERE)
FOR_ALL = organization_trail("for-all", is_multi_region_trail=True)
MEMBERS = trail("members-own", account_id=MEMBER)
STRANGERS = trail("strangers", account_id=STRANGER)
ALL = (OWN, EVERYWHERE, THERE, FOR_ALL, MEMBERS, STRANGERS)
CONFIGURATION = configuration(*ALL)


class TestSeen:
    @pytest.mark.parametrize(
        ("account_id", "expected"),
        [
            (MANAGEMENT, [EVERYWHERE, FOR_ALL, OWN, THERE]),
            (ADMINISTRATOR, [FOR_ALL]),
            (MEMBER, [FOR_ALL, MEMBERS]),
            (STRANGER, [STRANGERS]),
            ("000000000000", []),
        ],
    )
    def test_an_account_sees_its_own_and_its_organizations_trails(self, account_id, expected):
        assert sorted(seen_by_account(CONFIGURATION, account_id), key=lambda t: t.name) == expected

    def test_they_come_in_the_order_of_their_arns(self):
        arns = [one.arn for one in seen_by_account(CONFIGURATION, MANAGEMENT)]
        assert arns == sorted(arns)

    def test_those_of_a_region_and_shadows(self):
        seen = seen_by_account(CONFIGURATION, MANAGEMENT)
        assert {one.name for one in in_region(seen, HOME)} == {"own", "everywhere", "for-all"}
        assert {one.name for one in in_region(seen, ELSEWHERE)} == {"there", "everywhere", "for-all"}
        originals = [one.name for one in in_region(seen, ELSEWHERE) if is_original(one, caller(region=ELSEWHERE))]
        assert originals == ["there"]
        assert not is_original(FOR_ALL, caller(MEMBER))

    def test_a_member_that_leaves_sees_the_trail_no_more_and_one_that_joins_does(self):
        left = replace(ORGANIZATION, member_account_ids=frozenset({MANAGEMENT, STRANGER}))
        after = configuration(*ALL, organization=left)
        assert list(seen_by_account(after, MEMBER)) == [MEMBERS]
        assert FOR_ALL in seen_by_account(after, STRANGER)
        assert FOR_ALL in seen_by_account(after, MANAGEMENT)

    def test_an_owner_without_its_organization_still_sees_its_trail(self):
        assert FOR_ALL in seen_by_account(configuration(*ALL, organization=None), MANAGEMENT)


class TestNames:
    def test_a_name_means_a_trail_at_home_here(self):
        assert named_trail(CONFIGURATION, caller(), "own") == OWN
        assert named_trail(CONFIGURATION, caller(region=ELSEWHERE), "own") is None
        assert named_trail(CONFIGURATION, caller(region=ELSEWHERE), "everywhere") is None
        assert named_trail(CONFIGURATION, caller(MEMBER), "for-all") is None
        assert named_trail(CONFIGURATION, caller(ADMINISTRATOR), "for-all") is None
        assert named_trail(CONFIGURATION, caller(), "Own") is None

    def test_an_arn_reaches_other_regions_and_the_organizations_trails(self):
        assert named_trail(CONFIGURATION, caller(), THERE.arn) == THERE
        assert named_trail(CONFIGURATION, caller(region=ELSEWHERE), OWN.arn) == OWN
        assert named_trail(CONFIGURATION, caller(MEMBER, "ap-south-1"), FOR_ALL.arn) == FOR_ALL

    def test_nobody_sees_trails_of_strangers(self):
        for account_id in (MANAGEMENT, MEMBER):
            assert named_trail(CONFIGURATION, caller(account_id), STRANGERS.arn) is None
        assert named_trail(CONFIGURATION, caller(STRANGER), FOR_ALL.arn) is None
        assert named_trail(CONFIGURATION, caller(MANAGEMENT), MEMBERS.arn) is None

    @pytest.mark.parametrize("name_or_arn", ["nothing-there", STRANGERS.arn, OWN.arn + "2"])
    def test_what_is_not_there_is_told_in_cloudtrails_words(self, name_or_arn):
        told = refusal(find_trail, CONFIGURATION, caller(), name_or_arn)
        assert told == ("TrailNotFound", f"Unknown trail: {name_or_arn} for the user: {MANAGEMENT}")

    @pytest.mark.parametrize(
        ("name_or_arn", "code"),
        [
            ("", "InvalidTrailName"),
            ("ab", "InvalidTrailName"),
            ("a b c", "InvalidTrailName"),
            ("arn:aws:s3:::bucket", "CloudTrailARNInvalid"),
            (OWN.arn.replace(":trail/", ":channel/"), "CloudTrailARNInvalid"),
            (OWN.arn + "/x", "CloudTrailARNInvalid"),
            (OWN.arn.replace("/own", "/o"), "CloudTrailARNInvalid"),
        ],
    )
    def test_what_can_be_no_trail(self, name_or_arn, code):
        for function in (named_trail, find_trail, writable_trail):
            assert refusal(function, CONFIGURATION, caller(), name_or_arn)[0] == code


class TestWriting:
    @pytest.mark.parametrize("one", [OWN, EVERYWHERE, FOR_ALL])
    def test_the_owner_writes_by_name_and_by_arn(self, one):
        assert writable_trail(CONFIGURATION, caller(), one.name) == one
        assert writable_trail(CONFIGURATION, caller(), one.arn) == one

    @pytest.mark.parametrize("one", [OWN, EVERYWHERE, FOR_ALL])
    def test_only_from_the_home_region(self, one):
        code, message = refusal(writable_trail, CONFIGURATION, caller(region=ELSEWHERE), one.arn)
        assert code == "InvalidHomeRegion"
        assert HOME in message

    def test_a_delegated_administrator_writes_the_organizations_trail_from_its_home_region(self):
        assert writable_trail(CONFIGURATION, caller(ADMINISTRATOR), FOR_ALL.arn) == FOR_ALL
        told = refusal(writable_trail, CONFIGURATION, caller(ADMINISTRATOR, ELSEWHERE), FOR_ALL.arn)
        assert told[0] == "InvalidHomeRegion"

    def test_a_delegated_administrator_does_not_reach_the_management_accounts_own_trails(self):
        assert refusal(writable_trail, CONFIGURATION, caller(ADMINISTRATOR), OWN.arn)[0] == "TrailNotFound"

    @pytest.mark.parametrize("region", [HOME, ELSEWHERE])
    def test_a_member_writes_nothing_of_the_organizations(self, region):
        told = refusal(writable_trail, CONFIGURATION, caller(MEMBER, region), FOR_ALL.arn)
        assert told[0] == "NotOrganizationMasterAccount"
        assert FOR_ALL.arn in told[1]
        assert refusal(writable_trail, CONFIGURATION, caller(MEMBER, region), "for-all")[0] == "TrailNotFound"

    def test_who_is_no_delegated_administrator_any_more_writes_no_more(self):
        after = configuration(*ALL, organization=replace(ORGANIZATION, delegated_administrators=frozenset()))
        told = refusal(writable_trail, after, caller(ADMINISTRATOR), FOR_ALL.arn)
        assert told[0] == "NotOrganizationMasterAccount"

    def test_an_administrator_that_left_the_organization_does_not_see_the_trail(self):
        left = replace(ORGANIZATION, member_account_ids=frozenset({MANAGEMENT}))
        after = configuration(*ALL, organization=left)
        assert refusal(writable_trail, after, caller(ADMINISTRATOR), FOR_ALL.arn)[0] == "TrailNotFound"

    def test_a_member_writes_its_own_trails(self):
        assert writable_trail(CONFIGURATION, caller(MEMBER), "members-own") == MEMBERS


class TestTrailsOrEventDataStores:
    def test_a_trail_is_named(self):
        assert asked_trail({"TrailName": "own"}) == "own"

    @pytest.mark.parametrize(
        ("members", "code"),
        [
            ({}, "InvalidParameter"),
            ({"TrailName": "own", "EventDataStore": "store"}, "InvalidParameterCombination"),
            ({"TrailName": "own", "InsightsDestination": "store"}, "InvalidParameterCombination"),
            ({"EventDataStore": "store"}, "UnsupportedOperation"),
            ({"InsightsDestination": "store"}, "UnsupportedOperation"),
        ],
    )
    def test_event_data_stores_are_not_to_be_had(self, members, code):
        assert refusal(asked_trail, members)[0] == code
