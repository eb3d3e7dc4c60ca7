"""What the adapter does about kafka-python's habits."""

import itertools

import pytest
from kafka.errors import (
    CoordinatorLoadInProgressError,
    CoordinatorNotAvailableError,
    KafkaConnectionError,
    NodeNotReadyError,
    NotCoordinatorError,
)

from opentrail_backends.event_bus.kafka import library


def asker(*answers):
    left = iter(answers)

    def ask():
        answer = next(left)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return ask


def test_a_cluster_whose_connections_are_being_made_is_asked_again():
    assert (
        library.patiently(asker(NodeNotReadyError("No node_id provided"), NodeNotReadyError("1"), "topics")) == "topics"
    )


@pytest.mark.parametrize(
    "error", [CoordinatorNotAvailableError(), CoordinatorLoadInProgressError(), NotCoordinatorError()]
)
def test_a_groups_coordinator_that_is_not_there_yet_is_asked_again(error):
    assert library.patiently(asker(error, error, "offsets")) == "offsets"


def test_patience_ends(monkeypatch):
    monkeypatch.setattr(library, "_PATIENCE_SECONDS", 0.0)
    with pytest.raises(NodeNotReadyError):
        library.patiently(asker(*itertools.repeat(NodeNotReadyError("1"), 5)))


def test_any_other_error_is_told_at_once():
    with pytest.raises(KafkaConnectionError):
        library.patiently(asker(KafkaConnectionError("gone"), "never"))
