"""Properties under tampering at random: each touched object is named, and no other but for what must follow from it.

Two trails write to one folder, and heads are kept of every digest. Buckets and sequences of tamperings are generated.
"""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import given, settings

from opentrail_validator import Kind
from tests.evidence_maker.maker import Place
from tests.properties.tampered_buckets import ABOUT_TIME, Bucket, buckets, is_digest, tampered_buckets


@settings(max_examples=40)
@given(buckets())
def test_nothing_is_found_in_a_bucket_that_nobody_touched(bucket: Bucket) -> None:
    assert bucket.findings() == []


@settings(max_examples=400)
@given(tampered_buckets())
def test_each_touched_object_is_named(bucket: Bucket) -> None:
    named = {(finding.bucket, finding.key) for finding in bucket.findings()}
    assert set(_must_be_named(bucket)) - named == set()


def _must_be_named(bucket: Bucket) -> Iterator[Place]:
    """All that was touched, but for log files that only a touched digest lists: nothing proves any more what they were.

    And but for new log files, if a digest was touched: it might be that which named them.
    """
    touched = bucket.touched()
    touched_digests = touched.intersection(bucket.digests)
    for place in touched:
        if is_digest(place):
            yield place
        elif place in bucket.before:
            if bucket.digest_of(place) not in touched_digests:
                yield place
        elif not touched_digests:
            yield place


@settings(max_examples=400)
@given(tampered_buckets())
def test_nothing_else_is_blamed(bucket: Bucket) -> None:
    touched = bucket.touched()
    digest_was_touched = any(is_digest(place) for place in touched)
    for finding in bucket.findings():
        place = finding.bucket, finding.key
        if place in touched:
            continue
        # What follows from a digest that proves nothing any more: its time, its log files, digests before it.
        assert digest_was_touched, finding
        if finding.subject in ABOUT_TIME or finding.detail.startswith("expected"):
            continue
        assert finding.kind in {Kind.PLANTED, Kind.NOT_CHECKED}, finding
        assert bucket.digest_of(place) in touched, finding


@settings(max_examples=60)
@given(tampered_buckets())
def test_what_is_put_back_is_valid_again(bucket: Bucket) -> None:
    bucket.findings()
    bucket.objects = dict(bucket.before)
    assert bucket.findings() == []
