"""Java's regular expressions in Python: the same texts match, and no text makes one slow."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opentrail_control_plane.model import find_operation, operation_names
from opentrail_control_plane.model.patterns import MOST_CHOICES, compiled
from tests.conformance.api_inputs import shapes_below


def matches(pattern: str, text: str) -> bool:
    expression = compiled(pattern)
    assert expression is not None
    return expression.fullmatch(text) is not None


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        (r"\d+", "0123", True),
        (r"\d+", "٣", False),  # Java's \d is ASCII
        (r"\w+", "é", False),
        (r"[\w|\d|\.|_]+", "resources.ARN", True),
        (r"[\w|\d|\.|_]+", "a b", False),
        (r"^[a-z]+$", "abc\n", False),
        (r"\d+", "12 ", False),
        (r".*", "a\u2028b", False),
        (r".*", "a\rb", False),
        (r".*", "a\x0bb", True),
        (r"(?s).*", "a\n\r\u2028b", True),
        (r"\..", ".x", True),
        (r"\..", "xx", False),
        (r"[.]+", "\u2028", False),
        (r"[.]+", "..", True),
        (r"[\u0020-\uD7FF\uE000-\uFFFD\uD800\uDC00-\uDBFF\uDFFF\t]*", "a\t\U0001f600", True),
        (r"[\u0020-\uD7FF\uE000-\uFFFD\uD800\uDC00-\uDBFF\uDFFF\t]*", "a\n", False),
        (r"s3://[a-z0-9][\.\-a-z0-9]{1,61}[a-z0-9](/.*)?", "s3://bucket/a/b", True),
        (r"s3://[a-z0-9][\.\-a-z0-9]{1,61}[a-z0-9](/.*)?", "s3://bucket-", False),
        (r"^[0-9]{2}:[0-9]{2}", "12:30", True),
        (r"^[0-9]{2}:[0-9]{2}", "12:300", False),
        (r"[\[\]()*+{,}?]+", "[]()*+{,}?", True),
    ],
)
def test_the_same_texts_match_as_in_java(pattern: str, text: str, expected: bool) -> None:
    assert matches(pattern, text) is expected


@pytest.mark.parametrize(
    "pattern",
    [
        r"(a*)*",
        r"(a+)+b",
        r"(a|aa)+",
        r"(a{1,9}){1,9}",
        r"a*a*b",
        r"[a-z]+[0-9]*",
        r".{2,}x+",
        r"a{1,50}b{1,50}",
        r"a*+",
        r"a*?",
        r"(?=a)b",
        r"(?i)a",
        r"(?<name>a)",
        r"\p{L}+",
        r"(a)\1",
        r"[a-z&&[^b]]",
        r"[a[b]]",
        r"\bx",
        r"a)",
        r"[a",
        r"{3}",
    ],
)
def test_what_may_be_slow_or_means_something_else_is_not_applied(pattern: str) -> None:
    assert compiled(pattern) is None


def patterns(*services: str) -> set[str]:
    return {
        shape.metadata["pattern"]
        for service in services
        for name in operation_names(service)
        for shape in shapes_below(find_operation(service, name))
        if "pattern" in shape.metadata
    }


def test_every_pattern_of_cloudtrails_operations_is_applied() -> None:
    found = patterns("cloudtrail", "cloudtrail-data")
    assert len(found) >= 23
    assert [pattern for pattern in found if compiled(pattern) is None] == []


@given(st.text("ab", max_size=8), st.sampled_from([r"^[ab]+$", r"a[b]{0,3}.*", r"(a|b)?[a]*", r"ab?(b.)?a*"]))
def test_a_pattern_that_is_applied_means_what_re_says(text: str, pattern: str) -> None:
    assert matches(pattern, text) is (re.fullmatch(pattern, text) is not None)


def test_the_most_choices_are_still_few() -> None:
    assert compiled(f"[a-z]{{1,{MOST_CHOICES}}}x") is not None
    assert compiled(f"[a-z]{{1,{MOST_CHOICES + 1}}}x") is None
