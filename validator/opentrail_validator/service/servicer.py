"""The gRPC calls: questions to the watching and the validator, their answers and clean statuses back."""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Never

import grpc

from opentrail_validator.findings import Finding, Verdict
from opentrail_validator.generated import validator_pb2, validator_pb2_grpc
from opentrail_validator.question import Checks
from opentrail_validator.run import validate_chains
from opentrail_validator.service import answers
from opentrail_validator.service.authentication import TokenAuthentication, Unauthenticated
from opentrail_validator.service.book import Book
from opentrail_validator.service.changes import CameTooLate, Changes
from opentrail_validator.service.cycle import ValidateChains
from opentrail_validator.service.port import CatalogueUnavailable, ChainCatalogue
from opentrail_validator.service.read_ahead import ReadAhead
from opentrail_validator.service.tally import Tally
from opentrail_validator.service.validating import (
    BadRequest,
    NoSuchChain,
    Selection,
    questions_of,
    validate,
)
from opentrail_validator.service.watching import Watching
from opentrail_validator.walked import ChainResult

log = logging.getLogger(__name__)


class Draining(Exception):
    """The server is draining."""


class TooManyCalls(Exception):
    """So many calls of the kind are under way that no more are taken."""


class ValidatorServicer(validator_pb2_grpc.ValidatorServicer):
    """The calls of opentrail.validator.v1.Validator."""

    def __init__(
        self,
        authentication: TokenAuthentication,
        watching: Watching,
        catalogue: ChainCatalogue,
        book: Book,
        changes: Changes,
        *,
        max_validations: int,
        max_watchers: int,
        parallel: int,
        now: Callable[[], float],
        run: ValidateChains = validate_chains,
    ) -> None:
        self._authentication = authentication
        self._watching = watching
        self._catalogue = catalogue
        self._book = book
        self._changes = changes
        self._parallel = parallel
        self._now = now
        self._run = run
        self._validations = _Places(max_validations, "validations")
        self._readings = _Places(max_validations, "validations")
        self._watchers = _Places(max_watchers, "watchers")
        self._draining = threading.Event()

    def Validate(
        self, request: validator_pb2.ValidateRequest, context: grpc.ServicerContext
    ) -> Iterator[validator_pb2.ValidateResponse]:
        """Findings as they come, then the summaries."""
        try:
            self._authenticate(context)
            with self._validations.one(), ExitStack() as reading:
                reading.enter_context(self._readings.one())
                yield from self._validate(request, context, reading)
        except Exception as error:  # every failure becomes a status
            _refuse(context, error)

    def ListChains(
        self, request: validator_pb2.ListChainsRequest, context: grpc.ServicerContext
    ) -> Iterator[validator_pb2.ListChainsResponse]:
        """What is known of each chain."""
        try:
            self._authenticate(context)
            selection = _selection(request)
            for chain in self._watching.chains:
                if selection.has(chain):
                    yield answers.status_message(chain, self._book.memory(chain))
        except Exception as error:  # as above
            _refuse(context, error)

    def WatchFindings(
        self, request: validator_pb2.WatchFindingsRequest, context: grpc.ServicerContext
    ) -> Iterator[validator_pb2.WatchFindingsResponse]:
        """What is opened and repaired, until the caller ends the call."""
        try:
            self._authenticate(context)
            with self._watchers.one():
                yield from self._watch(request, context)
        except Exception as error:  # as above
            _refuse(context, error)

    def drain(self) -> None:
        """New calls, and those under way, end with UNAVAILABLE."""
        self._draining.set()
        self._changes.close()

    def _authenticate(self, context: grpc.ServicerContext) -> None:
        self._authentication.check(context.invocation_metadata() or ())
        self._refuse_when_draining()

    def _refuse_when_draining(self) -> None:
        if self._draining.is_set():
            raise Draining

    def _validate(
        self, request: validator_pb2.ValidateRequest, context: grpc.ServicerContext, place: ExitStack
    ) -> Iterator[validator_pb2.ValidateResponse]:
        """`place` is given back when nothing is read any more, which may be after the call has ended."""
        chains = _selection(request).of(self._watching.chains)
        checks = Checks(
            records=not request.without_records,
            unlisted=not request.without_unlisted,
            coverage=not request.without_coverage,
        )
        start = request.start if request.HasField("start") else None
        end = request.end if request.HasField("end") else None
        questions = questions_of(chains, self._book, start, end, int(self._now()), checks)
        total, of_chain = Tally(), Tally()
        answered = validate(questions, self._catalogue, self._parallel, self._run)
        reading = ReadAhead(answered, ended=place.pop_all().close)
        for chain, answer in reading.answers(lambda: context.is_active() and not self._draining.is_set()):
            message = validator_pb2.ValidateResponse(chain=answers.chain_message(chain))
            if isinstance(answer, Finding):
                of_chain.add(answer)
                if answer.verdict is Verdict.VALID and not request.include_valid:
                    continue
                message.finding.CopyFrom(answers.finding_message(answer))
            else:
                of_chain.unchecked += not isinstance(answer, ChainResult)
                message.chain_summary.CopyFrom(answers.chain_summary_message(of_chain, answer))
                total.add_all(of_chain)
                of_chain = Tally()
            yield message
        self._refuse_when_draining()
        if context.is_active():
            yield validator_pb2.ValidateResponse(summary=answers.summary_message(total, chains))

    def _watch(
        self, request: validator_pb2.WatchFindingsRequest, context: grpc.ServicerContext
    ) -> Iterator[validator_pb2.WatchFindingsResponse]:
        selection = _selection(request)
        subscription = self._changes.subscribe()
        try:
            if not context.add_callback(subscription.close):
                return  # the call has ended already
            context.send_initial_metadata(())  # tells the caller that nothing is missed from now on
            if request.include_open:
                for chain in self._watching.chains:
                    if selection.has(chain):
                        yield from (answers.open_message(chain, each) for each in self._book.memory(chain).open)
            for change in subscription:
                changed = self._watching.chain(change.chain)
                if changed is not None and selection.has(changed):
                    yield answers.change_message(changed, change)
            self._refuse_when_draining()
        finally:
            self._changes.leave(subscription)


class _Places:
    """So many calls of a kind may be under way at once."""

    def __init__(self, most: int, what: str) -> None:
        self._free = threading.BoundedSemaphore(most)
        self._most = most
        self._what = what

    @contextmanager
    def one(self) -> Iterator[None]:
        """Takes a place. Raises TooManyCalls."""
        if not self._free.acquire(blocking=False):
            raise TooManyCalls(f"{self._most} {self._what} are under way, which is the most; come back later")
        try:
            yield
        finally:
            self._free.release()


def _selection(
    request: validator_pb2.ValidateRequest | validator_pb2.ListChainsRequest | validator_pb2.WatchFindingsRequest,
) -> Selection:
    return Selection(
        trail_arns=frozenset(request.trail_arns),
        account_ids=frozenset(request.account_ids),
        regions=frozenset(request.regions),
    )


def _refuse(context: grpc.ServicerContext, error: Exception) -> Never:
    """Ends the call with the status that a failure stands for. What is inside stays inside: it goes to the log."""
    code, message = _status_of(error)
    if code is grpc.StatusCode.INTERNAL:
        reference = secrets.token_hex(4)
        message = f"the service failed; its log says more under the reference {reference}"
        log.error("a call failed, reference %s", reference, exc_info=error)
    context.abort(code, message)


def _status_of(error: Exception) -> tuple[grpc.StatusCode, str]:
    match error:
        case Unauthenticated():
            return grpc.StatusCode.UNAUTHENTICATED, str(error)
        case BadRequest():
            return grpc.StatusCode.INVALID_ARGUMENT, str(error)
        case NoSuchChain():
            return grpc.StatusCode.NOT_FOUND, str(error)
        case TooManyCalls():
            return grpc.StatusCode.RESOURCE_EXHAUSTED, str(error)
        case CameTooLate():
            return (
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                "changes were lost, for they were read too slowly: call again with include_open",
            )
        case Draining():
            return grpc.StatusCode.UNAVAILABLE, "the server is draining"
        case CatalogueUnavailable():
            return grpc.StatusCode.UNAVAILABLE, str(error)
        case _:
            return grpc.StatusCode.INTERNAL, ""
