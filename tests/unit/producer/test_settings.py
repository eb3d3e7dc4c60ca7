"""Mistakes in a producer's settings are said at the start."""

import pytest

from opentrail_producer.settings import IntakeLimits, Listener, ProducerSettings, RateLimits, TlsFiles

TLS = TlsFiles(certificate_chain=b"chain", private_key=b"secret key")


@pytest.mark.parametrize("address", ["127.0.0.1:1", "127.8.9.1:1", "[::1]:1", "localhost:1", "unix:/tmp/x"])
def test_loopback_needs_no_tls(address):
    assert Listener(address=address).tls is None


@pytest.mark.parametrize(
    "address", ["0.0.0.0:1", "[::]:1", "10.0.0.1:1", "example.com:1", "localhost.example.com:1", ":1"]
)
def test_a_token_is_not_sent_in_the_clear_over_a_network(address):
    with pytest.raises(ValueError, match="without TLS"):
        Listener(address=address)
    Listener(address=address, tls=TLS)
    Listener(address=address, plaintext_allowed=True)


def test_all_mistakes_come_together():
    with pytest.raises(ValueError) as caught:
        ProducerSettings(
            listeners=(),
            threads=4,
            max_streams=4,
            intake=IntakeLimits(max_events=0),
            rate_limits=RateLimits(share=0.0, burst_seconds=0.0),
        )
    assert str(caught.value).count(";") == 4


def test_the_private_key_is_not_shown():
    assert "secret" not in repr(ProducerSettings(listeners=(Listener(tls=TLS),)))
