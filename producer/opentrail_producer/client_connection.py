"""The client's connection to a producer: in the clear, or with TLS from PEM bytes."""

from __future__ import annotations

from dataclasses import dataclass, field

import grpc


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientTls:
    """What TLS needs of a client, each in PEM.

    Raises:
        ValueError: one of `certificate_chain` and `private_key` without the other.
    """

    authorities: bytes | None = None
    """Certificates of the authorities that a producer's certificate may be signed by; None: those that gRPC brings."""
    certificate_chain: bytes | None = None
    """The client's own certificate, which names its account; None if a token does."""
    private_key: bytes | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if (self.certificate_chain is None) is not (self.private_key is None):
            raise ValueError("a certificate and its private key are given together")


def open_channel(target: str, tls: ClientTls | None) -> grpc.Channel:
    """A channel that notices a dead connection; without `tls` it sends in the clear."""
    options = [
        ("grpc.keepalive_time_ms", 20_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.max_reconnect_backoff_ms", 5_000),
    ]
    if tls is None:
        return grpc.insecure_channel(target, options)
    credentials = grpc.ssl_channel_credentials(tls.authorities, tls.private_key, tls.certificate_chain)
    return grpc.secure_channel(target, credentials, options)


def is_reachable(target: str, tls: ClientTls | None, timeout: float) -> bool:
    """Whether a connection can be made within `timeout` seconds, TLS handshake included. Sends no event."""
    with open_channel(target, tls) as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout)
        except grpc.FutureTimeoutError:
            return False
        return True
