"""What an operator may set about delivery. Times in seconds, sizes in bytes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliverySettings:
    """Defaults are CloudTrail's where CloudTrail documents any."""

    group: str = "opentrail-delivery"
    """Consumer group on the bus."""
    window_seconds: float = 300.0
    """A window is closed at this age (CloudTrail: about every 5 minutes)."""
    window_bytes: int = 128 * 1024 * 1024
    """A window is closed at this size of its uncompressed records."""
    file_bytes: int = 45_000_000
    """A log file is at most this large uncompressed (CloudTrail: 50 MB before compression)."""
    record_proofs: bool = True
    """Whether digests hold the root of a Merkle tree over each log file's records, about 2 µs of CPU an event."""
    memory_bytes: int = 512 * 1024 * 1024
    """Bound on windows that are open and bodies that are being put; what is over waits on the bus.

    Building one window, which one thread does at a time, takes about twice `window_bytes` on top.
    """
    windows_in_flight: int = 4
    """How many closed windows of one partition may wait for their puts."""
    put_threads: int = 16
    """Puts at the same time."""
    park_soon_seconds: float = 1.0
    """A file that is refused, throttled or answered by an error again after so long is parked in the spool."""
    silent_seconds: float = 10.0
    """A bucket that has taken nothing for so long while a put of ours waits is silent: its files are parked."""
    park_seconds: float = 60.0
    """A file that was tried for so long is parked, however its bucket fails."""
    parked_retry_seconds: float = 30.0
    """How often a bucket that was given up is tried again."""
    parked_threads: int = 8
    """Parked files that are tried at the same time."""
    parked_expire_seconds: float = 30 * 24 * 3600.0
    """A parked file whose bucket has failed for so long is not tried any more."""
    notification_threads: int = 8
    """Topics that are told at the same time."""
    notification_expire_seconds: float = 30 * 24 * 3600.0
    """A log file of which its trail's topic could not be told for so long after its delivery is told to nobody."""
    spool_bytes: int = 100 * 1024**3
    """Parked files take at most so much of the spool; when it is full, partitions of buckets that fail wait."""
    trail_bytes_per_second: float | None = None
    """Log files of one trail that this process puts, compressed; None: no limit."""
    bucket_requests_per_second: float | None = None
    """Puts of log files of this process to one bucket; None: no limit."""
    kept_seconds: float = 35 * 24 * 3600.0
    """How long rows are kept that only tell of the past (CloudTrail: none of them is shown)."""
    heads_bucket: str | None = None
    """`BUCKET` or `BUCKET/PREFIX`: the second place of the chains' signed heads; None: there is none."""
    digest_seconds: int = 3600
    """A chain gets a digest each time this has passed (CloudTrail: an hour). Shorter only to try things out."""
    key_seconds: int = 30 * 24 * 3600
    """How long a signing key is valid (CloudTrail's samples: 30 days)."""
    clock_tolerance_seconds: float = 120.0
    """A worker whose clock differs from the state store's by more than this stops."""
