"""Tokens of the next page are ours, of one query, and say nothing."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opentrail_control_plane.paging import MAX_TOKEN_CHARACTERS, opened, seal

KEY = bytes(range(32))
QUERY = {"operation": "LookupEvents", "account": "111122223333", "region": "us-east-1", "attribute": None, "end": 5}
PLACES = st.lists(st.integers(-(2**63), 2**63 - 1) | st.text(max_size=40), max_size=5)


@given(PLACES)
def test_a_token_gives_its_place_back(place: list) -> None:
    assert opened(KEY, QUERY, seal(KEY, QUERY, place)) == place


def test_the_order_of_a_querys_members_is_nothing() -> None:
    assert opened(KEY, dict(reversed(QUERY.items())), seal(KEY, QUERY, [1])) == [1]


@pytest.mark.parametrize(
    "changed",
    [{"operation": "ListTags"}, {"account": "444455556666"}, {"region": "eu-west-1"}, {"end": 6}, {"attribute": ""}],
)
def test_a_token_is_of_one_query(changed: dict) -> None:
    assert opened(KEY, QUERY | changed, seal(KEY, QUERY, [1])) is None


def test_a_token_is_of_one_installation() -> None:
    assert opened(bytes(32), QUERY, seal(KEY, QUERY, [1])) is None


@given(st.integers(0, 10_000))
def test_each_bit_of_a_token_counts(bit: int) -> None:
    sealed = bytearray(base64.urlsafe_b64decode(seal(KEY, QUERY, [1, "a"])))
    sealed[bit // 8 % len(sealed)] ^= 1 << bit % 8
    assert opened(KEY, QUERY, base64.urlsafe_b64encode(sealed).decode()) is None


@given(st.text(max_size=200))
def test_what_is_no_token(text: str) -> None:
    assert opened(KEY, QUERY, text) is None


def test_a_token_says_nothing_and_is_no_longer_than_cloudtrails() -> None:
    token = seal(KEY, QUERY, ["x" * 600])
    assert len(token) <= MAX_TOKEN_CHARACTERS
    assert b"xxx" not in base64.urlsafe_b64decode(token)
    assert seal(KEY, QUERY, [1]) != seal(KEY, QUERY, [1])
    assert opened(KEY, QUERY, seal(KEY, QUERY, ["x" * 2_000])) is None
