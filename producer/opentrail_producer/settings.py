"""What an operator can set of a producer, as plain values."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field

MEBIBYTE = 1024 * 1024
GIBIBYTE = 1024 * MEBIBYTE


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """PEM bytes for one listener."""

    certificate_chain: bytes
    private_key: bytes = field(repr=False)
    client_authorities: bytes | None = None
    """Certificates of the authorities that sign clients' certificates. With them, every client of the listener must
    show one (mutual TLS): grpcio cannot ask for a certificate without requiring it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """One address that the server listens on. Callers by token and callers by certificate need one each."""

    address: str = "127.0.0.1:0"
    """`host:port`; port 0 lets the system pick."""
    tls: TlsFiles | None = None
    plaintext_allowed: bool = False
    """Allows an address other than loopback without TLS, for a proxy in front that ends TLS. Tokens are readable
    on the wire otherwise."""

    def __post_init__(self) -> None:
        """Raises ValueError where tokens would cross a network in the clear."""
        if self.tls is None and not self.plaintext_allowed and not _is_loopback(self.address):
            raise ValueError(
                f"the producer would listen on {self.address} without TLS; give it a certificate, "
                "or allow plaintext if a proxy in front ends TLS"
            )


def _is_loopback(address: str) -> bool:
    host = address.rpartition(":")[0].strip("[]")
    if host == "localhost" or address.startswith("unix:"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimits:
    """How much an account may send; the default for accounts that have no limits of their own."""

    events_per_second: float = 10_000.0
    bytes_per_second: float = 20.0 * MEBIBYTE
    burst_seconds: float = 5.0
    """How many seconds' worth an account that was quiet may send at once."""
    share: float = 1.0
    """The part of each limit that this process grants: each process counts by itself, so N processes that share a port
    (or N machines) keep an account's limit together when each grants 1/N."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IntakeLimits:
    """Bounds of one request."""

    max_events: int = 1_000
    """Bounds the time that one call holds a thread (about 10 ms of CPU) and the size of its answer (far below
    gRPC's default of 4 MB for a client); a bigger batch saves nothing, one call's fixed cost being ~0.15 ms."""
    max_bytes: int = 16 * MEBIBYTE
    """Sum of the events' bytes: at least 64 events of CloudTrail's greatest size."""
    message_bytes: int = 4 * MEBIBYTE
    """Uncompressed JSON bytes that one message on the bus may hold; a request with more becomes several messages."""
    publish_timeout: float = 30.0
    """Seconds after which an unconfirmed publish is answered with UNAVAILABLE."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProducerSettings:
    """All settings of one producer process. Raises ValueError on values that cannot work."""

    listeners: tuple[Listener, ...] = (Listener(),)
    intake: IntakeLimits = IntakeLimits()
    rate_limits: RateLimits = RateLimits()
    share_port: bool = False
    """Whether several processes may listen on the same port (SO_REUSEPORT)."""
    threads: int = 16
    """Calls worked on at once. grpcio scales by processes, not by threads: threads only wait for the bus."""
    max_concurrent_calls: int = 256
    """Calls under way and queued; more are answered with RESOURCE_EXHAUSTED."""
    max_streams: int = 8
    """Streams open at once; each holds a thread for its whole life. Fewer than `threads`. One account may have half of
    them, so that no account keeps all others out."""
    stream_depth: int = 8
    """Requests of one stream that may wait for the bus at once."""
    token_cache_seconds: float = 10.0
    """How long a known token is believed without asking the state store: the time until a removed token is refused."""
    configuration_seconds: float = 5.0
    """How old the known configuration (accounts' limits, members of organizations) and the known use of the spool may
    grow before the state store is asked again."""
    spool_share_bytes: int = 10 * GIBIBYTE
    """What the trails of one owner, an account or an organization, may have in delivery's spool before the owner's
    events are refused."""
    drain_seconds: float = 30.0

    @property
    def max_streams_of_account(self) -> int:
        """Streams that one account may have open at once."""
        return max(self.max_streams // 2, 1)

    def __post_init__(self) -> None:
        """All mistakes in one ValueError."""
        mistakes = []
        if not self.listeners:
            mistakes.append("the producer needs at least one listener")
        if not 0 < self.max_streams < self.threads:
            mistakes.append(
                "max_streams must be at least 1 and below threads, or streams would keep all other calls out"
            )
        if self.intake.max_events < 1 or self.intake.max_bytes < 1 or self.intake.message_bytes < 1:
            mistakes.append("the limits of a request must be at least 1")
        if not 0 < self.rate_limits.share <= 1:
            mistakes.append("the share of the rate limits must be above 0 and at most 1")
        if self.rate_limits.burst_seconds <= 0:
            mistakes.append("burst_seconds must be above 0")
        if self.spool_share_bytes < 1:
            mistakes.append("spool_share_bytes must be at least 1, or nobody could send anything once a file is parked")
        if mistakes:
            raise ValueError("; ".join(mistakes))
