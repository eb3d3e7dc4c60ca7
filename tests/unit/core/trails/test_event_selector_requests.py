from __future__ import annotations

import pytest

from opentrail.trails.event_selector_requests import with_event_selectors
from opentrail.trails.event_selectors import EventSelectors
from tests.unit.core.trails.selector_samples import field
from tests.unit.core.trails.trail_samples import refusal, trail

MANAGEMENT_EVENTS = {"FieldSelectors": [field("eventCategory", Equals=["Management"])]}


def put(**members):
    return with_event_selectors(trail(tags={"team": "audit"}), {"TrailName": "audit", **members})


def objects(*values: str) -> dict:
    return {"DataResources": [{"Type": "AWS::S3::Object", "Values": list(values)}]}


def names(count: int) -> list[str]:
    return [f"arn:aws:s3:::bucket/{number}" for number in range(count)]


def of_data(*fields: dict) -> dict:
    category, type_ = field("eventCategory", Equals=["Data"]), field("resources.type", Equals=["AWS::S3::Object"])
    return {"FieldSelectors": [category, type_, *fields]}


def test_one_kind_replaces_the_other_and_nothing_else_changes():
    basic = put(EventSelectors=[{"ReadWriteType": "WriteOnly"}])
    assert basic.event_selectors == EventSelectors.from_api([{"ReadWriteType": "WriteOnly"}])
    advanced = with_event_selectors(basic, {"AdvancedEventSelectors": [MANAGEMENT_EVENTS]})
    assert advanced.event_selectors.basic == ()
    assert advanced.event_selectors.to_api() == {"AdvancedEventSelectors": [MANAGEMENT_EVENTS]}
    assert advanced.tags == {"team": "audit"}


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"EventSelectors": []},
        {"AdvancedEventSelectors": []},
        {"EventSelectors": [{}], "AdvancedEventSelectors": [MANAGEMENT_EVENTS]},
        {"EventSelectors": [{"ReadWriteType": "read-only"}]},
        {"EventSelectors": [objects("arn:aws:s3:::bucket")]},
        {"EventSelectors": [{"IncludeManagementEvents": False}]},
        {"AdvancedEventSelectors": [{"FieldSelectors": []}]},
        {"AdvancedEventSelectors": [{"FieldSelectors": [field("eventCategory", StartsWith=["Data"])]}]},
        {"AdvancedEventSelectors": [of_data(field("eventName", Equals=["n" * 2049]))]},
    ],
)
def test_what_is_refused(members):
    assert refusal(put, **members)[0] == "InvalidEventSelectors"


@pytest.mark.parametrize(("count", "taken"), [(4, True), (5, True), (6, False)])
def test_five_basic_selectors(count, taken):
    members = {"EventSelectors": [{"ReadWriteType": "WriteOnly"}] * count}
    if taken:
        assert len(put(**members).event_selectors.basic) == count
    else:
        assert refusal(put, **members)[0] == "InvalidEventSelectors"


@pytest.mark.parametrize(("count", "taken"), [(249, True), (250, True), (251, False)])
def test_250_data_resources_over_all_selectors(count, taken):
    every = objects("arn:aws:s3", "arn:aws:s3:::")  # those for all of a type do not count
    members = {"EventSelectors": [objects(*names(100)), objects(*names(count - 100)), every]}
    if taken:
        assert put(**members).has_custom_event_selectors
    else:
        expected = "Specify a valid number of DataResources.Values (0 to 250) for all your selectors"
        assert refusal(put, **members) == ("InvalidEventSelectors", expected)


@pytest.mark.parametrize(("count", "taken"), [(499, True), (500, True), (501, False)])
def test_500_values_over_all_conditions(count, taken):
    # Two selectors have two values each in eventCategory and resources.type.
    of_operators = field("eventName", Equals=["GetObject"] * 100, NotStartsWith=["Put"] * (count - 104 - 50))
    members = {"AdvancedEventSelectors": [of_data(of_operators), of_data(field("eventName", EndsWith=["Acl"] * 50))]}
    if taken:
        assert put(**members).has_custom_event_selectors
    else:
        code, message = refusal(put, **members)
        assert code == "InvalidEventSelectors"
        assert "501" in message


class TestHasCustomEventSelectors:
    """Terraform reads selectors only if there are custom ones, and puts the default when its configuration has none."""

    def test_a_new_trail_has_none(self):
        assert not trail().has_custom_event_selectors

    def test_the_default_that_terraform_puts_back_is_none(self):
        default = {"IncludeManagementEvents": True, "ReadWriteType": "All", "DataResources": []}
        custom = put(EventSelectors=[{**default, **objects("arn:aws:s3")}])
        assert custom.has_custom_event_selectors
        assert not with_event_selectors(custom, {"EventSelectors": [default]}).has_custom_event_selectors

    @pytest.mark.parametrize(
        "members",
        [
            {"EventSelectors": [{"ReadWriteType": "WriteOnly"}]},
            {"EventSelectors": [{"ExcludeManagementEventSources": ["kms.amazonaws.com"]}]},
            {"EventSelectors": [{}, {}]},
            {"AdvancedEventSelectors": [MANAGEMENT_EVENTS]},
        ],
    )
    def test_all_others_are_custom_and_come_back_as_they_were_put(self, members):
        changed = put(**members)
        assert changed.has_custom_event_selectors
        shown = changed.event_selectors.to_api()
        assert with_event_selectors(trail(), shown).event_selectors == changed.event_selectors
