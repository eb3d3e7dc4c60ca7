"""Two processes find the same foreign object at a digest's place."""

import contextlib
import gzip

import pytest

from opentrail_backends.object_store.port import PutOptions
from opentrail_backends.state.port import StateError
from tests.crash.chain_world import HOUR, ChainWorld

BUCKET = "first-bucket"


@pytest.fixture
def world(tmp_path):
    with ChainWorld.opened(tmp_path) as opened:
        yield opened


class Beaten:
    """Chains of a process that another one overtakes after it found something foreign: `meanwhile` happens then."""

    def __init__(self, chains, meanwhile):
        self._chains = chains
        self._meanwhile = meanwhile
        self._calls = 0

    def __getattr__(self, name):
        return getattr(self._chains, name)

    def begin_puts(self, digests):
        self._calls += 1
        if self._calls == 2:
            self._meanwhile()
        return self._chains.begin_puts(digests)


class Unmarked:
    """Chains of a process that dies before each step 10."""

    def __init__(self, chains):
        self._chains = chains

    def __getattr__(self, name):
        return getattr(self._chains, name)

    def mark_published(self, *_):
        raise StateError("the process dies here")


@pytest.mark.parametrize("dies", [True, False], ids=["not marked", "published"])
def test_of_two_processes_that_find_the_same_foreign_object_one_restamps(world, dies):
    trail, builder = world.add_trail(bucket=BUCKET), world.process()
    world.deliver(trail)
    world.clock.move(1.5 * HOUR)
    builder.builder.run_once()
    (taken,) = world.state.chains.unpublished(10)
    world.store.put(BUCKET, taken.object_key, gzip.compress(b"{}"), PutOptions())
    first = world.process(chains=Unmarked(world.state.chains) if dies else world.state.chains)

    def first_restamps_and_puts():
        for _ in range(2):
            with contextlib.suppress(StateError):
                first.publisher.run_once()

    second = world.process(chains=Beaten(world.state.chains, first_restamps_and_puts))
    second.publisher.run_once()
    assert first.metrics.foreign_objects._value.get() == 1
    second.run(3 * HOUR)
    world.store.delete(BUCKET, taken.object_key)
    assert world.waiting() == 0
    world.assert_each_file_in_one_digest()
    world.assert_walked(trail)
