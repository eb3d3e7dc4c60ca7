from __future__ import annotations

import pytest

from opentrail.trails.tags import tags_list_of, with_tags, without_tags
from tests.unit.core.trails.trail_samples import refusal

FIFTY = {f"key-{number}": None for number in range(50)}


def tags_list(*keys: str) -> list[dict]:
    return [{"Key": key} for key in keys]


def test_a_key_that_was_there_has_the_new_value():
    tags = with_tags({"a": "1", "b": "2"}, [{"Key": "b", "Value": "3"}, {"Key": "c"}])
    assert tags == {"a": "1", "b": "3", "c": None}
    assert with_tags(tags, tags_list("a")) == {"a": None, "b": "3", "c": None}
    assert tags_list_of(tags) == [
        {"Key": "a", "Value": "1"},
        {"Key": "b", "Value": "3"},
        {"Key": "c", "Value": None},
    ]


def test_tags_are_removed_by_their_keys_whatever_their_values():
    assert without_tags({"a": "1", "b": None}, [{"Key": "a", "Value": "other"}, *tags_list("b", "b", "c")]) == {}


def test_fifty_tags_and_no_more():
    assert len(with_tags({}, tags_list(*FIFTY))) == 50
    assert len(with_tags(FIFTY, tags_list("key-7"))) == 50
    for before, more in ((FIFTY, tags_list("one")), ({}, tags_list("one", *FIFTY))):
        code, message = refusal(with_tags, before, more)
        assert code == "TagsLimitExceeded"
        assert "51" in message
    assert len(with_tags(dict(list(FIFTY.items())[:49]), tags_list("one"))) == 50


@pytest.mark.parametrize("tag", [{"Key": "k"}, {"Key": "k" * 128}, {"Key": "k", "Value": "v" * 256}, {"Key": "awsome"}])
def test_tags_within_limits(tag):
    assert with_tags({}, [tag]) == {tag["Key"]: tag.get("Value")}


@pytest.mark.parametrize(
    "tag",
    [
        {"Key": ""},
        {"Key": "k" * 129},
        {"Key": "k", "Value": "v" * 257},
        {"Key": "aws:created-by"},
        {"Key": "AWS:x", "Value": "v"},
    ],
)
def test_tags_that_are_refused(tag):
    assert refusal(with_tags, {}, [tag])[0] == "InvalidTagParameter"


def test_a_key_comes_once_in_a_request():
    code, message = refusal(with_tags, {}, [{"Key": "a", "Value": "1"}, {"Key": "b"}, {"Key": "a", "Value": "1"}])
    assert code == "InvalidTagParameter"
    assert "a is given twice" in message
