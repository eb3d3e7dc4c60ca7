from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opentrail.evidence.object_keys import log_file_key
from opentrail.trails.configuration import Configuration, Organization
from opentrail.trails.trail import Trail
from opentrail_backends.state.port import Orphans
from opentrail_delivery.chain_roster import chain_key, chain_of_orphans, new_chain, place_of, wanted_chains

HOME, AWAY = "eu-central-1", "us-east-1"
MANAGEMENT, MEMBER = "111122223333", "444455556666"
ORGANIZATION = Organization("o-exampleorg", MANAGEMENT, frozenset({MANAGEMENT, MEMBER}))
TRAIL = Trail(
    incarnation="first",
    name="all",
    account_id=MANAGEMENT,
    home_region=HOME,
    s3_bucket_name="trail-logs",
    is_logging=True,
    logging_session=1,
    log_file_validation_enabled=True,
)


def configuration(*trails, organization=ORGANIZATION, revision=1):
    return Configuration(
        revision=revision,
        trails={trail.incarnation: trail for trail in trails},
        organizations={organization.id: organization} if organization else {},
    )


def keys(*trails, regions=(HOME, AWAY), **changes):
    return [key for key, _ in wanted_chains(configuration(*trails, **changes), regions)]


def test_a_trail_of_one_region_has_one_chain():
    assert keys(TRAIL) == [("first", 1, MANAGEMENT, HOME)]


@pytest.mark.parametrize("off", [{"is_logging": False}, {"log_file_validation_enabled": False}])
def test_no_chain_without_logging_or_validation(off):
    assert keys(replace(TRAIL, **off)) == []


def test_an_organizations_trail_has_a_chain_for_each_member_and_region():
    trail = replace(TRAIL, organization_id=ORGANIZATION.id, is_multi_region_trail=True)
    wanted = {("first", 1, account, region) for account in (MANAGEMENT, MEMBER) for region in (HOME, AWAY)}
    assert set(keys(trail)) == wanted
    assert len(keys(trail)) == 4
    assert keys(trail, organization=None) == []
    assert keys(trail, regions=()) == []


def test_a_region_that_the_bus_does_not_have_has_no_chain():
    assert keys(TRAIL, regions=(AWAY,)) == []


ORPHANS = Orphans(
    incarnation="first",
    logging_session=7,
    account_id=MEMBER,
    region=AWAY,
    bucket="trail-logs",
    object_key=log_file_key(
        account_id=MEMBER, region=AWAY, seconds=0, unique="abc", prefix="a/b", organization_id=ORGANIZATION.id
    ),
    trail_arn=TRAIL.arn,
    delivered_at=5_000_999,
)


def test_orphans_get_the_chain_that_their_trail_would_have_given_them():
    trail = replace(TRAIL, organization_id=ORGANIZATION.id, s3_key_prefix="a/b", logging_session=7)
    key = ("first", 7, MEMBER, AWAY)
    assert chain_of_orphans(ORPHANS, 5001, 3600) == new_chain(key, trail, 5000, 3600)


def test_the_chain_of_orphans_begins_at_most_one_digest_back():
    chain = chain_of_orphans(ORPHANS, 1_000_000, 3600)
    assert chain.last_end == 1_000_000 - 3600
    assert chain.next_end <= 1_000_000


@pytest.mark.parametrize("row", [{"trail_arn": ""}, {"object_key": "something else"}], ids=str)
def test_a_row_that_does_not_tell_its_trail_is_an_error(row):
    with pytest.raises(ValueError, match="not"):
        chain_of_orphans(replace(ORPHANS, **row), 5001, 3600)


@pytest.mark.parametrize(
    "other",
    [
        {"s3_bucket_name": "another-bucket"},
        {"s3_key_prefix": "prefix"},
        {"organization_id": "o-anotherorg0"},
        {"name": "another"},
        {"home_region": AWAY},
    ],
    ids=str,
)
def test_digests_with_other_keys_lie_in_another_place(other):
    assert place_of(replace(TRAIL, **other), MANAGEMENT, HOME) != place_of(TRAIL, MANAGEMENT, HOME)


def test_a_trail_made_anew_under_its_name_shares_the_place_but_not_the_chain():
    anew = replace(TRAIL, incarnation="second")
    chains = [new_chain(*pair, 1000, 3600) for pair in wanted_chains(configuration(TRAIL, anew), (HOME,))]
    assert chains[0].place == chains[1].place
    assert chains[0].id != chains[1].id
    assert place_of(TRAIL, MEMBER, HOME) != place_of(TRAIL, MANAGEMENT, HOME) != place_of(TRAIL, MANAGEMENT, AWAY)


@given(
    st.tuples(st.uuids().map(str), st.integers(1, 99), st.sampled_from([MANAGEMENT, MEMBER]), st.just(HOME)),
    st.integers(0, 2**33),
    st.sampled_from([1, 2, 7, 60, 3600]),
)
def test_the_first_digest_is_due_within_the_period_and_every_builder_makes_the_same_chain(key, started, period):
    chain = new_chain(key, TRAIL, started, period)
    assert chain.last_end == started
    assert started < chain.next_end <= started + period
    assert chain_key(chain) == key
    assert chain == new_chain(key, TRAIL, started, period)
    later = new_chain(key, TRAIL, started + 5, period)
    assert later.next_end == chain.next_end + 5
    assert later.id != chain.id, "one that was forgotten counts its digests from 1 again"


def test_first_digests_are_spread_over_the_hour():
    keys = [(str(n), 1, MANAGEMENT, HOME) for n in range(200)]
    minutes = {(new_chain(key, TRAIL, 0, 3600).next_end - 1) // 60 for key in keys}
    assert len(minutes) > 50
