"""When to come back: `google.rpc.RetryInfo` in the trailer `grpc-status-details-bin`, for server and client.

The trailer holds a google.rpc.Status whose details hold the RetryInfo (https://google.aip.dev/193, gRPC's richer
error model). The messages are our own of the same wire form, see proto/opentrail/producer/v1/error_details.proto.
"""

from __future__ import annotations

from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError

from opentrail_producer.generated.error_details_pb2 import ErrorStatus, RetryInfo

DETAILS_TRAILER = "grpc-status-details-bin"
RETRY_INFO_TYPE = "type.googleapis.com/google.rpc.RetryInfo"
NANOSECONDS = 1_000_000_000


def pack_retry_delay(code: int, message: str, seconds: float) -> bytes:
    """The trailer's value for a status that asks the caller to come back after `seconds`."""
    nanoseconds = round(seconds * NANOSECONDS)
    delay = Duration(seconds=nanoseconds // NANOSECONDS, nanos=nanoseconds % NANOSECONDS)
    info = Any(type_url=RETRY_INFO_TYPE, value=RetryInfo(retry_delay=delay).SerializeToString())
    return ErrorStatus(code=code, message=message, details=[info]).SerializeToString()


def unpack_retry_delay(value: bytes) -> float | None:
    """The seconds that a trailer's value asks to wait; None if it does not ask, or cannot be read."""
    try:
        for detail in ErrorStatus.FromString(value).details:
            if detail.type_url == RETRY_INFO_TYPE:
                delay = RetryInfo.FromString(detail.value).retry_delay
                return max(delay.seconds + delay.nanos / NANOSECONDS, 0.0)
    except DecodeError:
        return None
    return None
