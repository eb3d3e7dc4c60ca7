from __future__ import annotations

from dataclasses import replace

from opentrail.trails.logging_sessions import started, stopped, with_session
from tests.unit.core.trails.trail_samples import trail


def test_each_start_begins_a_session_and_a_stop_ends_it():
    first = started(trail(), 1_000)
    assert first == trail(is_logging=True, logging_session=1, started_logging_at=1_000)
    still = stopped(first, 2_000)
    assert still == trail(logging_session=1, started_logging_at=1_000, stopped_logging_at=2_000)
    again = started(still, 3_000)
    assert again == trail(is_logging=True, logging_session=2, started_logging_at=3_000, stopped_logging_at=2_000)


def test_starting_and_stopping_twice_changes_nothing():
    logging = started(trail(), 1_000)
    assert started(logging, 2_000) == logging
    silent = stopped(logging, 2_000)
    assert stopped(silent, 3_000) == silent
    assert stopped(trail(), 1_000) == trail()


def test_a_new_trail_that_logs_begins_its_first_session():
    assert with_session(trail(is_logging=True), None, 7).logging_session == 1
    assert with_session(trail(), None, 7) == trail()


def test_starting_with_validation_switched_on_at_once_begins_one_session():
    before = trail()
    both = replace(before, is_logging=True, log_file_validation_enabled=True)
    assert with_session(both, before, 7).logging_session == 1


def test_switching_validation_on_begins_a_session_and_off_does_not():
    logging = started(trail(), 1_000)
    validated = with_session(replace(logging, log_file_validation_enabled=True), logging, 2_000)
    assert (validated.logging_session, validated.started_logging_at) == (2, 2_000)
    off = replace(validated, log_file_validation_enabled=False)
    assert with_session(off, validated, 3_000) == off
