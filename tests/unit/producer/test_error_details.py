"""google.rpc.RetryInfo on the wire."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opentrail_producer.error_details import pack_retry_delay, unpack_retry_delay

# google.rpc.Status{code: 8, message: "slow", details: [Any(RetryInfo{retry_delay: 1.5 s})]}, written by hand
# from https://github.com/googleapis/googleapis/blob/master/google/rpc/{status,error_details}.proto.
STATUS = (
    b"\x08\x08"
    b"\x12\x04slow"
    b"\x1a\x36"
    b"\x0a\x28type.googleapis.com/google.rpc.RetryInfo"
    b"\x12\x0a\x0a\x08\x08\x01\x10\x80\xca\xb5\xee\x01"
)


def test_the_bytes_are_those_of_googles_messages():
    assert pack_retry_delay(8, "slow", 1.5) == STATUS
    assert unpack_retry_delay(STATUS) == 1.5


@given(st.floats(0, 1e6))
def test_a_delay_survives(seconds):
    assert unpack_retry_delay(pack_retry_delay(8, "", seconds)) == pytest.approx(seconds, abs=1e-8)


@pytest.mark.parametrize(
    "value", [b"", b"\xff\xff", b"\x08\x08", STATUS.replace(b"RetryInfo", b"DebugInfo"), STATUS[:-3]]
)
def test_other_bytes_ask_for_nothing(value):
    assert unpack_retry_delay(value) is None


@given(st.binary(max_size=80))
def test_no_bytes_break_the_reader(value):
    delay = unpack_retry_delay(value)
    assert delay is None or delay >= 0
