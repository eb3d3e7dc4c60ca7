"""ListPublicKeys: the keys of a time range, a page at a time."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from opentrail_backends.state.port import PublicKey, StateStore
from opentrail_control_plane.operations.public_keys import KEYS_PER_PAGE
from tests.unit.control_plane.conftest import MEMBER, Api


def add(state: StateStore, valid_from: int, valid_until: int, region: str = "us-east-1") -> None:
    state.public_keys.add(
        PublicKey(
            region=region,
            fingerprint=f"{valid_from:032x}",
            der=b"\x30\x82\x01\x0a",
            valid_from=valid_from,
            valid_until=valid_until,
            reference="k",
        )
    )


def starts(answer: dict[str, Any]) -> list[int]:
    return [key["ValidityStartTime"] for key in answer["PublicKeyList"]]


def test_keys_of_a_range_in_the_region_of_the_caller(api: Api, state: StateStore) -> None:
    add(state, 1000, 2000)
    assert api("ListPublicKeys", {"StartTime": 1500, "EndTime": 1600}) == {
        "PublicKeyList": [
            {"Value": "MIIBCg==", "ValidityStartTime": 1000, "ValidityEndTime": 2000, "Fingerprint": f"{1000:032x}"}
        ]
    }
    assert starts(api("ListPublicKeys", {"StartTime": 2001, "EndTime": 3000})) == []
    assert starts(api("ListPublicKeys", {"StartTime": 1500, "EndTime": 1600}, region="eu-central-1")) == []


def test_without_a_range_the_key_of_now(api: Api, state: StateStore) -> None:
    add(state, 1000, 2000)
    assert starts(api("ListPublicKeys")) == []
    add(state, 2001, 32_503_680_000)
    assert starts(api("ListPublicKeys")) == [2001]


@pytest.mark.parametrize("keys", [KEYS_PER_PAGE - 1, KEYS_PER_PAGE, KEYS_PER_PAGE + 1, 2 * KEYS_PER_PAGE + 1])
def test_many_keys_come_in_pages_each_once(api: Api, state: StateStore, keys: int) -> None:
    for number in range(keys):
        add(state, 1000 * number, 1000 * number + 999)
    asked = {"StartTime": 0, "EndTime": 1_000_000_000}
    pages = [api("ListPublicKeys", asked)]
    while "NextToken" in pages[-1]:
        pages.append(api("ListPublicKeys", {**asked, "NextToken": pages[-1]["NextToken"]}))
    assert [start for page in pages for start in starts(page)] == [1000 * number for number in range(keys)]
    assert len(pages) == -(-keys // KEYS_PER_PAGE)
    assert all(len(starts(page)) == KEYS_PER_PAGE for page, _ in pairwise(pages))


def test_a_token_is_good_for_its_query_only(api: Api, state: StateStore) -> None:
    for number in range(KEYS_PER_PAGE + 1):
        add(state, 1000 * number, 1000 * number + 999)
        add(state, 1000 * number, 1000 * number + 999, "eu-central-1")
    asked = {"StartTime": 0, "EndTime": 1_000_000_000}
    token = {"NextToken": api("ListPublicKeys", asked)["NextToken"]}
    others: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({**asked, "EndTime": 999_999_999, **token}, {}),
        (token, {}),
        ({**asked, **token}, {"region": "eu-central-1"}),
        ({**asked, **token}, {"account_id": MEMBER}),
        ({**asked, "NextToken": "made-up"}, {}),
    ]
    for members, options in others:
        assert api.refused("ListPublicKeys", members, **options)[:2] == (400, "InvalidTokenException")
    assert len(starts(api("ListPublicKeys", {**asked, **token}))) == 1


@pytest.mark.parametrize("asked", [{"StartTime": 5, "EndTime": 4}, {"StartTime": 32_503_680_000}])
def test_a_range_that_ends_before_it_begins(api: Api, asked: dict[str, int]) -> None:
    assert api.refused("ListPublicKeys", asked)[:2] == (400, "InvalidTimeRangeException")
