"""Texts of exceptions that are not understood are no answers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opentrail_backends.object_store.port import ObjectStoreError, OutcomeUnknown, PutRefused, StoreThrottled
from opentrail_backends.object_store.s3_answers import translate_answer, translate_obstore


@given(text=st.text())
def test_an_exception_without_a_status_is_an_unknown_outcome(text: str) -> None:
    assert type(translate_obstore(ValueError(text), "put", reading=False)) is OutcomeUnknown


@pytest.mark.parametrize("reading", [True, False])
@given(status=st.integers(500, 599).filter(lambda status: status != 503), code=st.sampled_from(["", "Busy"]))
def test_a_server_error_is_never_an_answer(reading: bool, status: int, code: str) -> None:
    error = translate_answer(status, code, "", "put", reading=reading)
    assert isinstance(error, OutcomeUnknown)
    assert not error.answered


@given(status=st.integers(100, 599), code=st.text(max_size=20), reading=st.booleans())
def test_every_answer_means_something(status: int, code: str, reading: bool) -> None:
    assert isinstance(translate_answer(status, code, "", "put", reading=reading), Exception)


@pytest.mark.parametrize(
    "code", ["SlowDown", "SlowDownRead", "Throttling", "KMS.ThrottlingException", "TooManyRequestsException"]
)
def test_every_way_to_say_slow_down_is_known(code: str) -> None:
    assert type(translate_answer(400, code, "", "put", reading=False)) is StoreThrottled


def test_the_servers_own_words_are_kept_for_the_operator() -> None:
    error = translate_answer(403, "AccessDenied", "not by this role", "put s3://b/k", reading=False)
    assert isinstance(error, ObjectStoreError)
    assert isinstance(error, PutRefused)
    assert str(error) == "put s3://b/k: 403 AccessDenied not by this role"
