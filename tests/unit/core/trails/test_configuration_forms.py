from dataclasses import replace

from opentrail.trails.configuration import Change, ConfigurationHistory, Kind, trail_body
from opentrail.trails.trail import Trail

TRAIL = Trail(incarnation="first", name="audit", account_id="111122223333", home_region="r", s3_bucket_name="one")


def history(*entities):
    return ConfigurationHistory(
        Change(number, number, Kind.TRAIL, id_, trail_body(trail) if trail else None)
        for number, (id_, trail) in enumerate(entities, 1)
    )


def test_the_forms_of_a_trail_are_known_after_its_end_the_newest_first():
    moved = replace(TRAIL, s3_bucket_name="two")
    other = replace(TRAIL, incarnation="second")
    known = history(("first", TRAIL), ("second", other), ("first", moved), ("first", None))
    assert list(known.forms_of("first")) == [moved, TRAIL]
    assert list(known.forms_of("second")) == [other]
    assert list(known.forms_of("third")) == []


def test_the_revision_that_made_a_trail_is_known_after_its_end():
    moved = replace(TRAIL, s3_bucket_name="two")
    other = replace(TRAIL, incarnation="second")
    known = history(("first", TRAIL), ("second", other), ("first", moved), ("first", None))
    known.extend([Change(5, 5, Kind.TRAIL, "fourth", trail_body(replace(TRAIL, incarnation="fourth")))])
    assert [known.first_revision_of(each) for each in ("first", "second", "third", "fourth")] == [1, 2, 0, 5]
