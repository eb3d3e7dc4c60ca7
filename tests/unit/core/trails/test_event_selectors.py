from __future__ import annotations

import pytest

from opentrail.trails import decision
from opentrail.trails.event_selectors import (
    AdvancedEventSelector,
    BasicEventSelector,
    DataResource,
    EventSelectors,
    FieldSelector,
    InvalidEventSelectors,
    decide,
)
from tests.unit.core.trails.selector_samples import (
    INSIGHT,
    MANAGEMENT,
    NETWORK,
    NO,
    S3_DATA,
    YES,
    basic,
    field,
    objects,
)


class TestDefault:
    def test_a_trail_without_selectors_takes_all_management_events_and_no_others(self):
        default = EventSelectors()
        assert default == EventSelectors.from_api(None, None) == basic()
        assert decide(default, MANAGEMENT) is YES
        assert decide(default, MANAGEMENT._replace(read_only=True)) is YES
        assert decide(default, MANAGEMENT._replace(read_only=None)) is YES
        assert [decide(default, c) for c in (S3_DATA, NETWORK, INSIGHT)] == [NO, NO, NO]

    def test_get_event_selectors_answers_every_member(self):
        assert EventSelectors().to_api() == {
            "EventSelectors": [
                {
                    "ReadWriteType": "All",
                    "IncludeManagementEvents": True,
                    "DataResources": [],
                    "ExcludeManagementEventSources": [],
                }
            ]
        }

    def test_both_kinds_at_once_are_refused(self):
        some = [{"FieldSelectors": [field("eventCategory", Equals=["Management"])]}]
        with pytest.raises(InvalidEventSelectors, match="not both"):
            EventSelectors.from_api([{}], some)
        with pytest.raises(InvalidEventSelectors, match="not both"):
            EventSelectors((BasicEventSelector(),), (AdvancedEventSelector(),))
        assert EventSelectors.from_api([], some).advanced

    @pytest.mark.parametrize("lists", [([], None), (None, []), ([], [])])
    def test_an_empty_list_is_no_way_to_silence_a_trail(self, lists):
        with pytest.raises(InvalidEventSelectors):
            EventSelectors.from_api(*lists)


def test_the_memo_is_bounded(monkeypatch):
    monkeypatch.setattr(decision, "_MEMO_LIMIT", 3)
    decider = EventSelectors().decider
    for i in range(10):
        assert decider.decide(MANAGEMENT._replace(event_name=str(i))) is YES
        assert len(decider._memo) <= 3


def test_selectors_are_values():
    one, other = (objects("arn:aws:s3:::b/") for _ in range(2))
    decide(one, S3_DATA)
    assert one == other
    assert hash(one) == hash(other)
    resource = DataResource("AWS::S3::Object", ("arn:aws:s3:::b/",))
    assert one.basic == (BasicEventSelector(data_resources=(resource,)),)
    assert one.compiled[1].field_selectors[2] == FieldSelector("resources.ARN", starts_with=("arn:aws:s3:::b/",))
