import pytest

from opentrail_backends.object_store.port import (
    BucketNotFound,
    ObjectNotFound,
    ObjectStoreError,
    OutcomeUnknown,
    PutRefused,
    StoreThrottled,
)
from opentrail_delivery.bucket_health import BucketHealth, error_code

SILENT = OutcomeUnknown("no answer")
REFUSED = PutRefused("denied", "AccessDenied")


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def health(clock):
    return BucketHealth(30, soon=1, silent=10, clock=clock)


def test_a_bucket_that_fails_again_a_second_later_is_given_up(health, clock):
    health.failed("b", "t", SILENT)
    clock.now += 0.9
    health.failed("b", "t", SILENT)
    assert not health.is_given_up("b", "t")
    clock.now += 5
    assert not health.is_given_up("b", "t"), "nobody has tried since"
    health.failed("b", "t", SILENT)
    assert health.is_given_up("b", "t")
    assert health.is_given_up("b", "another trail"), "nobody waits for a bucket that does not answer"
    assert not health.is_given_up("c", "t")


def test_several_failures_at_once_are_one(health):
    for _ in range(20):
        health.failed("b", "t", SILENT)
    assert not health.is_given_up("b", "t")


def test_a_bucket_that_does_not_answer_is_given_up_by_one_try(health, clock):
    started_at = clock.now
    clock.now += 9
    assert not health.is_silent("b", started_at)
    assert not health.is_given_up("b", "t")
    clock.now += 1
    assert health.is_silent("b", started_at)
    assert health.is_given_up("b", "t")
    assert health.error("b", "t") == "RequestTimeout"


def test_a_bucket_that_answers_others_meanwhile_is_not_silent(health, clock):
    started_at = clock.now
    clock.now += 8
    health.succeeded("b", "another")
    clock.now += 8
    assert not health.is_silent("b", started_at)
    clock.now += 2
    assert health.is_silent("b", started_at)


def test_what_a_bucket_takes_of_one_trail_says_nothing_about_another(health, clock):
    health.failed("b", "denied", REFUSED)
    clock.now += 1
    health.failed("b", "denied", REFUSED)
    assert not health.is_given_up("b", "fine"), "before it was tried too"
    assert not health.is_failing("b")
    health.succeeded("b", "fine")
    assert health.is_given_up("b", "denied")
    assert health.error("b", "denied") == "AccessDenied"
    assert not health.is_given_up("b", "fine")
    assert health.error("b", "fine") is None
    health.succeeded("b", "denied")
    assert not health.is_given_up("b", "denied")


def test_what_is_given_up_is_tried_once_in_a_while_by_one_caller(health, clock):
    assert health.may_try("b", "t")
    health.failed("b", "t", SILENT)
    assert health.may_try("b", "t"), "as long as it is not given up"
    clock.now += 1
    health.failed("b", "t", SILENT)
    assert health.resting() == (frozenset(), frozenset())
    assert [health.may_try("b", "t"), health.may_try("b", "t"), health.may_try("b", "other")] == [True, False, False]
    assert health.resting() == ({"b"}, frozenset())
    clock.now += 30
    assert health.resting() == (frozenset(), frozenset())
    assert health.may_try("b", "other")
    assert not health.may_try("b", "t")
    health.succeeded("b", "t")
    assert health.may_try("b", "t")
    assert health.resting() == (frozenset(), frozenset())


def test_what_was_given_up_and_never_tried_since_is_worth_a_try_at_any_time():
    clock = Clock()
    for number in range(1_000):
        clock.now = number / 7
        health = BucketHealth(0.1, soon=0, silent=10, clock=clock)
        for _ in range(2):
            health.failed("b", "t", SILENT)
        assert health.is_given_up("b", "t")
        assert health.may_try("b", "t")


def test_a_trail_that_is_refused_rests_alone(health, clock):
    for _ in range(2):
        health.failed("b", "denied", REFUSED)
        clock.now += 1
    assert health.may_try("b", "denied")
    assert health.resting() == (frozenset(), {("b", "denied")})


def test_a_bucket_is_proven_by_what_it_took_in_the_last_minute(health, clock):
    assert not health.is_proven("b")
    health.succeeded("b", "t")
    assert health.is_proven("b")
    clock.now += 59
    assert health.is_proven("b")
    clock.now += 1
    assert not health.is_proven("b")
    health.succeeded("b", "t")
    health.failed("b", "t", SILENT)
    assert not health.is_proven("b")
    assert health.is_failing("b")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (REFUSED, "AccessDenied"),
        (BucketNotFound("x"), "NoSuchBucket"),
        (StoreThrottled("x"), "SlowDown"),
        (ObjectNotFound("x"), "NoSuchKey"),
        (SILENT, "RequestTimeout"),
        (ObjectStoreError("x"), "ObjectStoreError"),
    ],
    ids=repr,
)
def test_error_codes(error, code):
    assert error_code(error) == code
