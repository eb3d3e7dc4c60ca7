import pytest

from opentrail_backends.object_store.port import OutcomeUnknown, PutRefused
from opentrail_delivery.bucket_health import BucketHealth

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
    return BucketHealth(patience=60, retry=30, clock=clock)


def test_a_bucket_is_given_up_when_it_has_taken_nothing_for_as_long_as_we_are_patient(health, clock):
    health.failed("b", "t", SILENT)
    clock.now += 59
    health.failed("b", "t", SILENT)
    assert not health.is_given_up("b", "t")
    clock.now += 1
    assert health.is_given_up("b", "t")
    assert health.is_given_up("b", "another trail"), "nobody waits for a bucket that does not answer"
    assert not health.is_given_up("c", "t")


def test_what_a_bucket_takes_of_one_trail_says_nothing_about_another(health, clock):
    health.failed("b", "denied", REFUSED)
    clock.now += 60
    assert not health.is_given_up("b", "fine"), "before it was tried too"
    health.succeeded("b", "fine")
    assert health.is_given_up("b", "denied")
    assert not health.is_given_up("b", "fine")
    health.succeeded("b", "denied")
    assert not health.is_given_up("b", "denied")


def test_what_is_given_up_is_tried_once_in_a_while_by_one_caller(health, clock):
    assert health.may_try("b", "t")
    health.failed("b", "t", SILENT)
    assert health.may_try("b", "t"), "as long as it is not given up"
    clock.now += 60
    assert [health.may_try("b", "t"), health.may_try("b", "t"), health.may_try("b", "other")] == [True, False, False]
    clock.now += 30
    assert health.may_try("b", "other")
    assert not health.may_try("b", "t")
    health.succeeded("b", "t")
    assert health.may_try("b", "t")
