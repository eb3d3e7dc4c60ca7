"""A chain with roots, and questions for proofs of its events."""

from __future__ import annotations

from typing import Any

import pytest

from opentrail_validator import Sources
from opentrail_validator.prove import CannotProve, prove
from tests.evidence_maker.in_memory import InMemory, pinned, question_of
from tests.evidence_maker.maker import Chain, listed_key, private_key
from tests.evidence_maker.proofs import hour, ids

KEYS = pinned(listed_key(private_key(0)), listed_key(private_key(1)))


def ask(event_id: str, chain: Chain, objects: Any = None, keys: Any = KEYS, time: int | None = None, **asked: Any):
    sources = Sources(objects=objects or InMemory(chain.objects), public_keys=keys)
    return prove(event_id, question_of(chain, **asked), sources, time)


def refused(*arguments: Any, **asked: Any) -> CannotProve:
    with pytest.raises(CannotProve) as caught:
        ask(*arguments, **asked)
    return caught.value


@pytest.fixture
def chain() -> Chain:
    """Three digests: of two log files, of none, and of one."""
    made = Chain()
    hour(made, ids(made, 3, "a"), ids(made, 40, "b"))
    hour(made)
    hour(made, ids(made, 5, "c"))
    return made
