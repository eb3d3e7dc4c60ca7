"""One request in, one answer out: verified, let through, read, allowed, answered, recorded, written."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from uuid import uuid4

from opentrail.trails.caller import Caller
from opentrail.trails.configuration import ConfigurationHistory
from opentrail.trails.refused import Refused
from opentrail_backends.state.port import NewCall, RevisionConflict, StateError, StateStore
from opentrail_control_plane import operations, protocol, query_protocol, sts
from opentrail_control_plane.call_record import Call, call_record
from opentrail_control_plane.credentials import Credentials
from opentrail_control_plane.errors import ApiError, answer_of
from opentrail_control_plane.metrics import ControlPlaneMetrics
from opentrail_control_plane.model import Operation, find_operation, read_form, read_input, read_rest_input
from opentrail_control_plane.operations.context import Context, Ports
from opentrail_control_plane.protocol import Answer, Target
from opentrail_control_plane.rates import LIMITS, Limit, Rates
from opentrail_control_plane.roles import authorize
from opentrail_control_plane.signature_v4 import GLOBAL_SERVICES, Request, verify
from opentrail_control_plane.unsupported import unsupported

log = logging.getLogger(__name__)

_TRIES = 5
"""How often an operation is called again because somebody else changed the configuration meanwhile."""
_GLOBAL_REGION = "us-east-1"
"""Where AWS records calls of global services."""


class _Request(NamedTuple):
    """A request that may be answered."""

    http: Request
    operation: Operation
    context: Context


class ControlPlane:
    """Answers requests from a state store. Safe for use by several threads."""

    def __init__(
        self,
        state: StateStore,
        clock: Callable[[], float],
        ports: Ports,
        *,
        limits: Mapping[str, Limit] = LIMITS,
        metrics: ControlPlaneMetrics | None = None,
    ) -> None:
        """`clock` gives epoch seconds. Raises ValueError if there is no region."""
        if not ports.regions:
            raise ValueError("the control plane needs at least one region")
        self._state = state
        self._clock = clock
        self._ports = ports
        self._metrics = metrics or ControlPlaneMetrics()
        self._rates = Rates(state.rates, limits)
        self._credentials = Credentials(ports.token_key, state.configuration.access_key)
        self._functions: dict[tuple[str, str], operations.Operation] = {
            **operations.OPERATIONS,
            ("sts", "GetCallerIdentity"): sts.get_caller_identity,
            ("sts", "GetSessionToken"): sts.SessionTokens(self._credentials).get_session_token,
        }
        self._history = ConfigurationHistory()
        self._lock = threading.Lock()

    def answer(self, request: Request) -> Answer:
        """The answer to a request; every failure is an answer too."""
        started = time.perf_counter()
        request_id = str(uuid4())
        target: Target | None = None
        answered: ApiError | None = None
        try:
            target = protocol.read_target(request)
            return self._answer(request, target, request_id)
        except ApiError as error:
            answered = error
        except StateError as error:
            log.warning("the state store did not answer, request %s: %s", request_id, error)
            answered = ApiError("ServiceUnavailable", "The state store did not answer; try again.", 503)
        except Exception:
            log.exception("request %s failed", request_id)
            answered = _internal_failure(request_id)
        finally:
            self._count(target, answered, time.perf_counter() - started)
        if protocol.is_form(request):
            return query_protocol.write_query_error(answered, request_id)
        return protocol.write_error(answered, target, request_id)

    def _answer(self, http: Request, target: Target, request_id: str) -> Answer:
        request = self._let_through(http, target, request_id)
        members: dict[str, Any] | None = None
        failure: ApiError
        try:
            members = _read_members(request)
            authorize(target.service, target.operation, members, request.context.caller, request.context.identity)
            output = self._operate(request, members)
        except StateError:
            raise  # nothing can be recorded
        except ApiError as error:
            failure = error
        except Refused as refused:
            failure = answer_of(refused)
        except Exception:
            log.exception("request %s failed", request_id)
            failure = _internal_failure(request_id)
        else:
            write = query_protocol.write_query_answer if target.service == "sts" else protocol.write_answer
            return write(request.operation, output, request_id)
        self._state.calls.record(self._calls(request, members, None, failure))
        raise failure

    def _let_through(self, http: Request, target: Target, request_id: str) -> _Request:
        """A request whose signature is good, of an account that has not made too many."""
        now = self._clock()
        signer = verify(
            http, target.service, self._ports.regions, lambda key, token: self._credentials.find(key, token, now), now
        )
        operation = find_operation(target.service, target.operation)
        if operation is None or (target.service == "sts" and target not in self._functions):
            raise ApiError("UnknownOperationException", f"Could not find operation {target.operation[:100]}.", 404)
        caller = Caller(signer.account_id, self._region(target.service, signer.region))
        self._rates.take(caller.account_id, caller.region, target.service, target.operation)
        context = Context(
            caller=caller,
            identity=signer.identity,
            history=self._current_history(),
            state=self._state,
            now=int(now),
            ports=self._ports,
            request_id=request_id,
        )
        return _Request(http, operation, context)

    def _operate(self, request: _Request, members: dict[str, Any]) -> dict[str, Any]:
        """The operation's output, once what it changes and that it was called are kept: both, or neither."""
        context = request.context
        function = self._functions.get((request.operation.service, request.operation.name))
        if function is None:
            raise unsupported(request.operation.service, request.operation.name)
        for _ in range(_TRIES):
            revision = context.configuration.revision  # before the function looks: what comes after is a conflict
            reply = function(context, members)
            calls = self._calls(request, members, reply.output, None)
            if not reply.changes:
                self._state.calls.record(calls)
                return reply.output
            try:
                self._state.configuration.apply(reply.changes, expected_revision=revision, calls=calls)
            except RevisionConflict:
                self._current_history()
            else:
                return reply.output
        raise ApiError("ConflictException", "Other changes are under way; try again.")

    def _calls(
        self,
        request: _Request,
        members: dict[str, Any] | None,
        output: dict[str, Any] | None,
        error: ApiError | None,
    ) -> list[NewCall]:
        """The record of a call. PutAuditEvents is a data event, and events that it takes are their own record."""
        if request.operation.service == "cloudtrail-data":
            return []
        http, context = request.http, request.context
        call = Call(
            operation=request.operation,
            account_id=context.caller.account_id,
            region=context.caller.region,
            identity=context.identity,
            request_id=context.request_id,
            event_id=str(uuid4()),
            at=int(self._clock()),
            source_address=http.source_address,
            user_agent=http.headers.get("user-agent"),
            host=http.headers.get("host"),
            tls=http.tls,
            members=members,
            output=output,
            error=error,
        )
        return [NewCall(call.account_id, call.region, call_record(call))]

    def _region(self, service: str, signed: str) -> str:
        """The region that a call is made in and recorded in: of a global service, one that there is."""
        if service not in GLOBAL_SERVICES:
            return signed
        regions = self._ports.regions
        wanted = (_GLOBAL_REGION, signed) if service == "organizations" else (signed, _GLOBAL_REGION)
        return next((region for region in wanted if region in regions), regions[0])

    def _current_history(self) -> ConfigurationHistory:
        changes = self._state.configuration.changes_after(self._history.newest.revision)
        with self._lock:  # what another thread has added meanwhile is passed over
            self._history.extend(changes)
        return self._history

    def _count(self, target: Target | None, error: ApiError | None, seconds: float) -> None:
        known = target is not None and find_operation(*target) is not None
        labels = (target.service, target.operation) if target is not None and known else ("", "")
        self._metrics.requests.labels(*labels, "" if error is None else error.code).inc()
        self._metrics.seconds.observe(seconds)


def _read_members(request: _Request) -> dict[str, Any]:
    """The operation's input. Raises ApiError."""
    operation, body = request.operation, request.http.body
    if operation.service == "sts":
        return read_form(operation, protocol.read_form_fields(body))
    if operation.service == "cloudtrail-data":
        query = protocol.read_form_fields(request.http.query)
        return read_rest_input(operation, protocol.read_json(body), query)
    return read_input(operation, protocol.read_json(body))


def _internal_failure(request_id: str) -> ApiError:
    return ApiError("InternalFailure", f"The service failed; its log says more under {request_id}.", 500)
