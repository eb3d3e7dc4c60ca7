"""What an operator can set of the validator service, as plain values."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field

HOUR = 3600
DAY = 24 * HOUR


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """PEM bytes for one listener."""

    certificate_chain: bytes
    private_key: bytes = field(repr=False)
    client_authorities: bytes | None = None
    """With them, every client must show a certificate of one of these authorities, beside its token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """The address that the server listens on."""

    address: str = "127.0.0.1:0"
    """`host:port`; port 0 lets the system pick."""
    tls: TlsFiles | None = None
    plaintext_allowed: bool = False
    """Allows an address other than loopback without TLS, for a proxy in front that ends TLS."""

    def __post_init__(self) -> None:
        """Raises ValueError where the token would cross a network in the clear."""
        if self.tls is None and not self.plaintext_allowed and not _is_loopback(self.address):
            raise ValueError(
                f"the validator would listen on {self.address} without TLS; give it a certificate, "
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
class WatchSettings:
    """How chains are watched. Times in seconds. Raises ValueError on values that cannot work."""

    cycle_seconds: float = HOUR
    """From the start of a cycle to the start of the next one. Tampering is told by the first cycle that starts after
    it."""
    lookback_seconds: int = 7 * DAY
    """What each cycle reads, also if it was verified before: digests and log files of so much time before now."""
    full_every: int = 168
    """In each so manyth cycle a chain is read from its beginning."""
    oldest_seconds: int | None = None
    """What is older than this is never read: how long the buckets keep evidence. None: for good."""
    parallel: int = 4
    """Chains that are read at once."""
    retry_seconds: float = 60.0
    """After how long a notice that was not taken is tried again."""

    def __post_init__(self) -> None:
        """All mistakes in one ValueError."""
        mistakes = []
        if self.cycle_seconds <= 0 or self.retry_seconds <= 0:
            mistakes.append("a cycle, and the time until a notice is tried again, must be above 0 seconds")
        if self.lookback_seconds < 1:
            mistakes.append("the lookback must be at least a second")
        if self.full_every < 1 or self.parallel < 1:
            mistakes.append("full_every and parallel must be at least 1")
        if self.oldest_seconds is not None and self.oldest_seconds < self.lookback_seconds:
            mistakes.append("oldest_seconds must not be below the lookback: what is looked back at would not be read")
        if mistakes:
            raise ValueError("; ".join(mistakes))


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """How the server listens, and whom it answers."""

    listener: Listener = Listener()
    token_sha256: bytes = field(repr=False)
    """Of the operator's bearer token."""
    max_validations: int = 2
    """Validations under way at once by calls: each reads as much as a cycle may."""
    max_watchers: int = 16
    """Open WatchFindings calls; each holds a thread."""
    drain_seconds: float = 30.0
