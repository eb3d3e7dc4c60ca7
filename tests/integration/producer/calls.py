"""What the tests of the producer's calls expect and wait for."""

import threading

import grpc
import pytest

from opentrail_producer.error_details import DETAILS_TRAILER, unpack_retry_delay


def refused(code):
    """Expects a call to end with a status."""

    class Expectation:
        def __enter__(self):
            self.caught = pytest.raises(grpc.RpcError)
            self.info = self.caught.__enter__()
            return self

        def __exit__(self, *error):
            suppressed = self.caught.__exit__(*error)
            self.error = self.info.value
            assert self.error.code() is code, self.error
            assert "Traceback" not in (self.error.details() or "")
            return suppressed

        @property
        def delay(self):
            return next(
                (unpack_retry_delay(value) for key, value in self.error.trailing_metadata() if key == DETAILS_TRAILER),
                None,
            )

    return Expectation()


def wait_for(condition):
    pause = threading.Event()
    return any(condition() or pause.wait(0.01) for _ in range(1000))
