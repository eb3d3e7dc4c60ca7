"""Which chains a bucket holds."""

from typing import ClassVar

import pytest

from opentrail_validator.discovery import discover
from opentrail_validator.readers.port import CouldNotRead
from tests.evidence_maker.in_memory import InMemory, place_of
from tests.evidence_maker.maker import Chain

ORGANIZATION = "o-exampleorg1"


def organization(accounts=("111111111111", "222222222222"), regions=("eu-west-1", "us-east-1"), **fields):
    """One digest for each account and region."""
    objects = {}
    for account in accounts:
        for region in regions:
            Chain(objects, organization=ORGANIZATION, account=account, region=region, **fields).hours(1, logs=0)
    return objects


TRAIL = place_of(Chain(organization=ORGANIZATION, account="999999999999"))


def found(objects, accounts=None, regions=None, trail=TRAIL, **changes):
    reader = objects if isinstance(objects, InMemory) else InMemory(objects)
    return [(place.account_id, place.region) for place in discover([trail], reader, accounts, regions, **changes)]


def test_all_that_lie_in_the_bucket_sorted():
    assert found(organization()) == [
        ("111111111111", "eu-west-1"),
        ("111111111111", "us-east-1"),
        ("222222222222", "eu-west-1"),
        ("222222222222", "us-east-1"),
    ]


def test_places_are_the_trails_own():
    (place,) = discover([TRAIL], InMemory(organization(["111111111111"], ["us-east-1"])), None, None)
    assert place == TRAIL.of("111111111111", "us-east-1")


@pytest.mark.parametrize("prefix", ["", "a/b"])
def test_without_an_organization_only_accounts_right_below_count(prefix):
    objects = organization(prefix=prefix)
    Chain(objects, prefix=prefix, account="333333333333").hours(1)
    Chain(objects, prefix="other", account="444444444444").hours(1)
    assert found(objects, trail=place_of(Chain(prefix=prefix))) == [("333333333333", "eu-west-1")]


def test_regions_and_accounts_without_digests_of_the_trail_are_left_out():
    objects = organization(["111111111111"])
    organization_of_another = organization(["111111111111", "555555555555"], ["ap-south-1"], trail="other")
    assert found(objects | organization_of_another) == [("111111111111", "eu-west-1"), ("111111111111", "us-east-1")]


def test_a_trail_whose_digests_come_after_anothers_in_one_folder_is_found():
    objects = organization(["111111111111"], ["eu-west-1"], trail="zz")
    Chain(objects, organization=ORGANIZATION, account="111111111111", trail="audit", now=2_000_000_000).hours(1)
    assert found(objects) == [("111111111111", "eu-west-1")]


def test_an_account_that_is_named_and_not_there_is_asked_for_anyway():
    objects = organization(["111111111111"], ["us-east-1"])
    assert found(objects, accounts=["111111111111", "777777777777"]) == [
        ("111111111111", "us-east-1"),
        ("777777777777", TRAIL.region),
    ]


def test_a_region_that_is_named_is_asked_for_in_each_account_of_the_trail():
    objects = organization(["111111111111"], ["us-east-1"]) | organization(["222222222222"], ["eu-west-1"])
    assert found(objects, regions=["us-east-1"]) == [("111111111111", "us-east-1"), ("222222222222", "us-east-1")]


def test_what_is_named_is_not_looked_for():
    assert found(InMemory({}, unlistable=("trail-logs",)), ["2" * 12, "1" * 12], ["b", "a"]) == [
        ("1" * 12, "a"),
        ("1" * 12, "b"),
        ("2" * 12, "a"),
        ("2" * 12, "b"),
    ]


def test_several_trails_in_one_bucket():
    objects = organization(["111111111111"], ["eu-west-1"]) | organization(["222222222222"], ["eu-west-1"], trail="b")
    other = place_of(Chain(organization=ORGANIZATION, trail="b"))
    places = discover([other, TRAIL, TRAIL], InMemory(objects), None, None)
    assert [(place.trail_name, place.account_id) for place in places] == [
        ("audit", "111111111111"),
        ("b", "222222222222"),
    ]


def test_places_that_were_there_once_are_asked_for_too():
    objects = organization(["111111111111"], ["eu-west-1"])
    gone = TRAIL.of("666666666666", "us-east-1")
    others = [place_of(Chain(trail="b")), place_of(Chain(bucket="old", organization=ORGANIZATION))]
    expected = [gone, TRAIL.of("111111111111", "eu-west-1"), *others]
    assert found(objects, expected=expected) == [("111111111111", "eu-west-1"), ("666666666666", "us-east-1")]
    assert found(objects, regions=["eu-west-1"], expected=expected) == [("111111111111", "eu-west-1")]
    assert found(objects, accounts=["111111111111"], expected=expected) == [("111111111111", "eu-west-1")]


def test_nothing_is_there():
    assert found({}) == []


def test_a_bucket_that_cannot_be_listed_is_an_error():
    with pytest.raises(CouldNotRead):
        found(InMemory(organization(), unlistable=("trail-logs",)))


def test_hundreds_of_accounts_are_listed_side_by_side():
    accounts = [f"{number:012}" for number in range(300)]
    objects = organization(accounts, ["eu-west-1"])
    by_folder = {}
    for bucket, key in objects:
        by_folder.setdefault(key.rsplit("/", 4)[0] + "/", []).append((bucket, key))

    class Indexed(InMemory):
        lists: ClassVar = []

        def list(self, bucket, prefix, start_after=""):
            Indexed.lists.append(prefix)
            return InMemory({place: objects[place] for place in by_folder.get(prefix, ())}).list(bucket, prefix)

        def folders(self, bucket, prefix):
            return iter(["eu-west-1"] if "CloudTrail-Digest" in prefix else accounts)

    assert len(found(Indexed(objects))) == 300
    assert len(Indexed.lists) == 300
