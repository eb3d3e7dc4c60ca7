"""One request in, one answer out: verified, read, answered, written."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from uuid import uuid4

from opentrail.trails.configuration import ConfigurationHistory
from opentrail_backends.state.port import StateError, StateStore
from opentrail_control_plane import protocol, signature_v4
from opentrail_control_plane.errors import ApiError
from opentrail_control_plane.model import read_input, service_model, write_output
from opentrail_control_plane.operations import OPERATIONS
from opentrail_control_plane.operations.context import Context
from opentrail_control_plane.operations.organizations import get_caller_identity
from opentrail_control_plane.protocol import Answer, Target
from opentrail_control_plane.signature_v4 import Request

log = logging.getLogger(__name__)


class ControlPlane:
    """Answers requests from a state store. Safe for use by several threads."""

    def __init__(self, state: StateStore, clock: Callable[[], float]) -> None:
        """`clock` gives epoch seconds."""
        self._state = state
        self._clock = clock
        self._history = ConfigurationHistory()
        self._lock = threading.Lock()

    def answer(self, request: Request) -> Answer:
        """The answer to a request; every failure is an answer too."""
        request_id = str(uuid4())
        target = None
        try:
            target = protocol.read_target(request)
            return self._answer(request, target, request_id)
        except ApiError as error:
            return protocol.write_error(error, target, request_id)
        except StateError as error:
            log.warning("the state store did not answer, request %s: %s", request_id, error)
            unavailable = ApiError("ServiceUnavailable", "The state store did not answer; try again.", 503)
            return protocol.write_error(unavailable, target, request_id)
        except Exception:
            log.exception("request %s failed", request_id)
            failure = ApiError("InternalFailure", f"The service failed; its log says more under {request_id}.", 500)
            return protocol.write_error(failure, target, request_id)

    def _answer(self, request: Request, target: Target, request_id: str) -> Answer:
        context = self._verify(request, target)
        if target.service == "sts":
            if target.operation != "GetCallerIdentity":
                raise ApiError("InvalidAction", f"Could not find operation {target.operation[:100]}.")
            return protocol.write_query_result(target.operation, get_caller_identity(context), request_id)
        model = service_model(target.service)
        if target.operation not in model.operation_names:
            raise ApiError("UnknownOperationException", f"There is no operation {target.operation[:100]}.", 404)
        operation = OPERATIONS.get((target.service, target.operation))
        if operation is None:
            raise ApiError(
                "UnsupportedOperationException",
                f"{target.operation} is not supported: this endpoint only reads. "
                "Trails are declared in a file and changed with `opentrail apply`.",
            )
        shapes = model.operation_model(target.operation)
        output = operation(context, read_input(shapes.input_shape, protocol.read_json(request.body)))
        return protocol.write_json(write_output(shapes.output_shape, output), request_id)

    def _verify(self, request: Request, target: Target) -> Context:
        now = int(self._clock())
        find_key = self._state.configuration.access_key
        caller = signature_v4.verify(request, frozenset({target.service}), find_key, now)
        return Context(
            account_id=caller.key.account_id,
            region=caller.region,
            access_key_id=caller.key.access_key_id,
            history=self._current_history(),
            state=self._state,
            now=now,
        )

    def _current_history(self) -> ConfigurationHistory:
        with self._lock:
            self._history.extend(self._state.configuration.changes_after(self._history.newest.revision))
            return self._history
