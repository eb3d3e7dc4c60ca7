"""The calls: who may make them, what they answer, and how they end."""

from __future__ import annotations

import threading
import time
from typing import Any

import grpc
import pytest

from opentrail_validator import Finding, Kind, Severity, Subject, Verdict
from opentrail_validator.generated import validator_pb2
from opentrail_validator.readers.port import ApiNotReached
from opentrail_validator.service.answers import enum_value
from tests.unit.validator.service.calls import BEARER, TOKEN, Context, Made, status_of
from tests.unit.validator.service.fakes import ACCOUNT, ARN, HOUR, NOW, SINCE, log_finding, watched

# --- the contract -------------------------------------------------------------------------------------


@pytest.mark.parametrize("values", [Kind, Verdict, Severity, Subject])
def test_the_contracts_lists_are_those_of_the_findings(values: Any) -> None:
    message = validator_pb2.DESCRIPTOR.enum_types_by_name[values.__name__]
    prefix = values.__name__.upper()
    assert {value.name for value in message.values} == {
        f"{prefix}_UNSPECIFIED",
        *(f"{prefix}_{member.name}" for member in values),
    }
    assert len({enum_value(member) for member in values}) == len(values)


# --- who may ask --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "metadata",
    [
        (),
        (("authorization", "Bearer other"),),
        (("authorization", f"Basic {TOKEN}"),),
        (("authorization", "Bearer "),),
        (("authorization", f"Bearer {TOKEN[:-1]}"),),
        (*BEARER, *BEARER),
        (("authorization", "Bearer \udc80"),),
        (("x-token", TOKEN),),
    ],
)
def test_without_the_operators_token_nothing_is_answered(metadata: Any) -> None:
    made = Made()
    for call, request in (
        (made.servicer.Validate, validator_pb2.ValidateRequest()),
        (made.servicer.ListChains, validator_pb2.ListChainsRequest()),
        (made.servicer.WatchFindings, validator_pb2.WatchFindingsRequest()),
    ):
        context = Context(metadata)
        code = status_of(lambda context: call(request, context), context)  # noqa: B023  called at once
        assert code is grpc.StatusCode.UNAUTHENTICATED
        assert TOKEN not in context.details
    assert made.validate.asked == []


# --- Validate -----------------------------------------------------------------------------------------


def test_findings_come_before_the_summaries() -> None:
    made = Made(watched(), watched(region="us-east-1"))
    made.validate.findings = {
        "eu-west-1": [log_finding(Kind.VALID, size=50), log_finding(Kind.HASH_MISMATCH, "B" * 16, events=3, size=7)],
        "us-east-1": [log_finding(Kind.NOT_CHECKED), Finding(Kind.GAP, Subject.DIGEST, "logs", "a", "", 1, 2)],
    }
    answers = made.validated()
    told = [(answer.chain.region, answer.WhichOneof("answer")) for answer in answers]
    assert told == [
        ("eu-west-1", "finding"),
        ("eu-west-1", "chain_summary"),
        ("us-east-1", "finding"),
        ("us-east-1", "finding"),
        ("us-east-1", "chain_summary"),
        ("", "summary"),
    ]
    finding = answers[0].finding
    assert (finding.kind, finding.verdict) == (validator_pb2.KIND_HASH_MISMATCH, validator_pb2.VERDICT_INVALID)
    assert (finding.severity, finding.subject) == (validator_pb2.SEVERITY_CRITICAL, validator_pb2.SUBJECT_LOG_FILE)
    assert (finding.events, finding.size, finding.HasField("start")) == (3, 7, False)
    first, last = answers[1].chain_summary, answers[-1].summary
    assert (first.counts.log_files, first.counts.bytes, first.counts.invalid) == (2, 57, 1)
    assert first.verdict == validator_pb2.VERDICT_INVALID
    assert (first.covered[0].start, first.covered[0].end) == (SINCE, NOW - HOUR)
    assert first.newest.end == NOW - HOUR
    assert answers[4].chain_summary.verdict == validator_pb2.VERDICT_UNCHECKED
    counts = last.counts
    assert (last.chains, counts.log_files, counts.invalid, counts.unchecked, counts.notes) == (2, 2, 1, 1, 1)


def test_what_is_valid_is_told_when_it_is_asked_for() -> None:
    made = Made()
    made.validate.findings = {"eu-west-1": [log_finding(Kind.VALID)]}
    assert made.validated(include_valid=True)[0].WhichOneof("answer") == "finding"


def test_a_chain_that_could_not_be_checked_has_a_summary_with_the_reason() -> None:
    made = Made()
    made.validate.failures = {"eu-west-1": ApiNotReached("connection reset")}
    one, of_all = made.validated()
    assert (one.chain_summary.failure, one.chain_summary.verdict) == (
        "connection reset",
        validator_pb2.VERDICT_UNCHECKED,
    )
    assert (of_all.summary.verdict, of_all.summary.counts.unchecked) == (validator_pb2.VERDICT_UNCHECKED, 1)


def test_only_the_chains_and_the_time_that_are_meant_are_read() -> None:
    chains = [
        watched(account=account, region=region) for account in ("1" * 12, ACCOUNT) for region in ("a-b-1", "c-d-1")
    ]
    made = Made(*chains)
    made.validated(account_ids=[ACCOUNT], regions=["c-d-1"], trail_arns=[ARN], start=5, end=9, without_records=True)
    ((question,),) = made.validate.asked
    assert (question.place.account_id, question.place.region) == (ACCOUNT, "c-d-1")
    assert (question.start, question.end, question.now) == (5, 9, NOW)
    assert (question.checks.records, question.checks.unlisted, question.checks.coverage) == (False, True, True)
    made.validated()
    assert [question.start for question in made.validate.asked[1]] == [SINCE] * 4


def test_requests_that_cannot_be_answered() -> None:
    made = Made()
    none = validator_pb2.ValidateRequest(account_ids=["999999999999"])
    assert status_of(lambda context: made.servicer.Validate(none, context)) is grpc.StatusCode.NOT_FOUND  # type: ignore[arg-type]
    for start, end in ((9, 5), (NOW + 1, None), (-1, 5), (-(2**62), None), (5, 2**62)):
        wrong = validator_pb2.ValidateRequest(start=start, end=end)
        code = status_of(lambda context: made.servicer.Validate(wrong, context))  # type: ignore[arg-type]  # noqa: B023  called at once
        assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert made.validate.asked == []
    made.catalogue.is_away = True
    good = validator_pb2.ValidateRequest()
    assert status_of(lambda context: made.servicer.Validate(good, context)) is grpc.StatusCode.UNAVAILABLE  # type: ignore[arg-type]


def test_a_fault_is_told_by_a_reference_only(caplog: pytest.LogCaptureFixture) -> None:
    made = Made()

    def breaks() -> None:
        raise RuntimeError("secret")

    made.validate.at_answer = breaks
    made.validate.findings = {"eu-west-1": [log_finding()]}
    context, request = Context(), validator_pb2.ValidateRequest()
    assert status_of(lambda context: made.servicer.Validate(request, context), context) is grpc.StatusCode.INTERNAL
    assert "secret" not in context.details
    assert context.details.split()[-1] in caplog.text


def test_one_validation_too_many_is_refused_and_places_come_back() -> None:
    made = Made(validations=1)
    made.validate.findings = {"eu-west-1": [log_finding()]}
    request = validator_pb2.ValidateRequest()
    under_way = made.servicer.Validate(request, Context())  # type: ignore[arg-type]
    next(under_way)
    code = status_of(lambda context: made.servicer.Validate(request, context))  # type: ignore[arg-type]
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    under_way.close()  # type: ignore[attr-defined]  # a generator
    assert made.validate.closed == 1
    assert len(made.validated()) == 3


def test_a_caller_who_is_gone_ends_the_validation() -> None:
    made = Made()
    made.validate.findings = {"eu-west-1": [log_finding(), log_finding(name="B" * 16)]}
    context = Context()
    call = made.servicer.Validate(validator_pb2.ValidateRequest(), context)  # type: ignore[arg-type]
    next(call)
    context.active = False
    assert list(call) == []
    assert made.validate.closed == 1


def test_a_caller_who_goes_does_not_wait_for_a_silent_server_whose_place_stays_taken() -> None:
    made = Made(validations=1)
    speaks = threading.Event()
    made.validate.findings = {"eu-west-1": [log_finding(), log_finding(name="B" * 16)]}
    silent = iter([False, True])

    def answer() -> None:
        if next(silent, False):
            speaks.wait(60)

    made.validate.at_answer = answer
    request, context = validator_pb2.ValidateRequest(), Context()
    call = made.servicer.Validate(request, context)  # type: ignore[arg-type]
    next(call)
    context.active = False
    assert list(call) == []
    code = status_of(lambda context: made.servicer.Validate(request, context))  # type: ignore[arg-type]
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    speaks.set()
    deadline = time.monotonic() + 20
    while made.validate.closed == 0:
        assert time.monotonic() < deadline
        time.sleep(0.01)


# --- ListChains ---------------------------------------------------------------------------------------


def test_each_chain_is_listed_with_what_is_open() -> None:
    made = Made(watched(), watched(region="us-east-1"), watched(region="us-west-2"))
    made.validate.failures = {"us-west-2": ApiNotReached("connection reset")}
    before = made.listed()
    assert [each.verdict for each in before] == [validator_pb2.VERDICT_UNCHECKED] * 3
    assert not before[0].HasField("checked_at")
    made.run(log_finding())
    europe, east, west = made.listed()
    assert (europe.chain.region, europe.verdict) == ("eu-west-1", validator_pb2.VERDICT_INVALID)
    assert [(each.finding.key, each.opened_at) for each in europe.open] == [(log_finding().key, NOW + HOUR)]
    assert (europe.checked_at, europe.newest.end) == (NOW + HOUR, NOW)
    assert (east.verdict, list(east.open), east.failure) == (validator_pb2.VERDICT_VALID, [], "")
    assert (west.verdict, west.failure, west.unchecked) == (validator_pb2.VERDICT_UNCHECKED, "connection reset", 1)
    assert [each.chain.region for each in made.listed(regions=["us-east-1"])] == ["us-east-1"]
