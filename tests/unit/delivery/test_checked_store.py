import pytest

from opentrail_backends.object_store.in_memory import InMemoryObjectStore
from opentrail_backends.object_store.port import (
    BucketNotFound,
    ObjectAlreadyExists,
    OutcomeUnknown,
    PutOptions,
    PutRefused,
    StoreThrottled,
)
from opentrail_delivery.checked_store import CheckedStore


class Probed(InMemoryObjectStore):
    """Tells what was probed; the next probes fail as the test says."""

    def __init__(self):
        super().__init__(["one", "two"])
        self.probes = []
        self.failures = []

    def probe(self, bucket):
        self.probes.append(bucket)
        if self.failures:
            raise self.failures.pop(0)
        super().probe(bucket)


@pytest.fixture
def inner():
    return Probed()


@pytest.fixture
def store(inner):
    return CheckedStore(inner)


def test_each_bucket_is_probed_before_its_first_put_only(store, inner):
    for bucket, key in (("one", "a"), ("one", "b"), ("two", "a"), ("one", "c")):
        store.put(bucket, key, b"x", PutOptions())
    assert inner.probes == ["one", "two"]
    with pytest.raises(ObjectAlreadyExists):
        store.put("one", "a", b"y", PutOptions())
    assert store.get("one", "a").body == b"x"


def test_a_bucket_that_replaces_objects_is_given_nothing_until_it_no_longer_does(store, inner):
    inner.failures = [PutRefused("overwrites", "ConditionalWritesUnsupported")] * 2
    for _ in range(2):
        with pytest.raises(PutRefused, match="overwrites"):
            store.put("one", "a", b"x", PutOptions())
    assert inner.attempts == []
    store.put("one", "a", b"x", PutOptions())
    assert inner.probes == ["one"] * 3


def test_a_policy_that_refuses_the_probe_says_nothing_about_puts(store, inner):
    inner.failures = [PutRefused("no", "AccessDenied")]
    store.put("one", "a", b"x", PutOptions())
    store.put("one", "b", b"x", PutOptions())
    assert inner.probes == ["one"]
    assert store.get("one", "b").body == b"x"


@pytest.mark.parametrize("error", [StoreThrottled("slow down"), OutcomeUnknown("no answer"), BucketNotFound("none")])
def test_a_probe_without_a_verdict_is_made_again_and_nothing_is_put_before(store, inner, error):
    inner.failures = [error]
    with pytest.raises(type(error)):
        store.put("one", "a", b"x", PutOptions())
    assert inner.attempts == []
    store.put("two", "a", b"x", PutOptions())
    store.put("one", "a", b"x", PutOptions())
    assert inner.probes == ["one", "two", "one"]
