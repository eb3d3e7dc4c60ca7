"""Values that cannot work are refused, all at once."""

from __future__ import annotations

import pytest

from opentrail_validator.service.settings import Listener, TlsFiles, WatchSettings


def test_defaults_work() -> None:
    made = WatchSettings()
    assert (made.cycle_seconds, made.lookback_seconds, made.full_every) == (3600, 7 * 86_400, 168)


def test_all_mistakes_are_told() -> None:
    with pytest.raises(ValueError, match=r"above 0 seconds; .* a second; .* at least 1"):
        WatchSettings(cycle_seconds=0, lookback_seconds=0, parallel=0)
    with pytest.raises(ValueError, match="oldest_seconds"):
        WatchSettings(lookback_seconds=10, oldest_seconds=9)


@pytest.mark.parametrize("address", ["127.0.0.1:1", "[::1]:1", "localhost:1", "unix:/tmp/socket"])
def test_a_token_may_be_read_on_this_machine(address: str) -> None:
    Listener(address=address)


@pytest.mark.parametrize("address", ["0.0.0.0:1", "[::]:1", "example.org:1", "192.0.2.1:1"])
def test_no_token_crosses_a_network_in_the_clear(address: str) -> None:
    with pytest.raises(ValueError, match="without TLS"):
        Listener(address=address)
    Listener(address=address, plaintext_allowed=True)
    tls = TlsFiles(certificate_chain=b"c", private_key=b"secret")
    assert "secret" not in repr(Listener(address=address, tls=tls))
