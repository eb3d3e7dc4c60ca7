from __future__ import annotations

import pytest

from opentrail.trails.limits import CrowdedRegion, check_trail_limits, crowded_regions
from tests.unit.core.trails.trail_samples import (
    ELSEWHERE,
    HOME,
    MANAGEMENT,
    MEMBER,
    REGIONS,
    configuration,
    organization_trail,
    refusal,
    trails,
)


@pytest.mark.parametrize(("count", "crowded"), [(4, False), (5, False), (6, True)])
def test_five_trails_in_a_region(count, crowded):
    found = list(crowded_regions(configuration(*trails(count)), [MANAGEMENT, MEMBER], REGIONS))
    assert found == [CrowdedRegion(MANAGEMENT, HOME, count)] * crowded


def test_a_multi_region_trail_counts_in_each_region_and_an_organizations_in_each_member():
    five = trails(5, is_multi_region_trail=True, home_region=ELSEWHERE)
    one_more = configuration(*five, organization_trail())
    assert list(crowded_regions(one_more, [MANAGEMENT, MEMBER], REGIONS)) == [CrowdedRegion(MANAGEMENT, HOME, 6)]
    five = trails(5, account_id=MEMBER)
    one_more = configuration(*five, organization_trail())
    assert list(crowded_regions(one_more, [MANAGEMENT, MEMBER], ())) == [CrowdedRegion(MEMBER, HOME, 6)]


def test_regions_without_a_home_of_any_trail_are_looked_at_only_when_they_are_named():
    six = configuration(*trails(6, is_multi_region_trail=True))
    assert {crowded.region for crowded in crowded_regions(six, [MANAGEMENT], ())} == {HOME}
    assert {crowded.region for crowded in crowded_regions(six, [MANAGEMENT], REGIONS)} == set(REGIONS)


def test_the_trails_home_region_is_named_first():
    six = trails(6, is_multi_region_trail=True, home_region=ELSEWHERE)
    told = refusal(check_trail_limits, configuration(*six), six[0], REGIONS)
    assert told == ("MaximumNumberOfTrailsExceeded", f"User: {MANAGEMENT} already has 5 trails in {ELSEWHERE}.")


def test_a_crowd_where_the_trail_is_not_is_no_reason_against_it():
    here, there = trails(1), trails(6, named="other", home_region=ELSEWHERE)
    check_trail_limits(configuration(*here, *there), here[0], REGIONS)
