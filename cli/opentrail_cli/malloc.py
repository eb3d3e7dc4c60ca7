"""The C library's allocator, set for large buffers that come and go."""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3  # mallopt(3), <malloc.h>


def keep_large_buffers() -> None:
    """Lets glibc reuse buffers of some megabytes instead of giving each back to the kernel.

    Windows and gRPC messages are such buffers, and the page faults cost as much as the work on them. Costs up to
    128 MB of resident memory. Does nothing where the C library is not glibc.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, 32 * 1024 * 1024)
        mallopt(_TRIM_THRESHOLD, 1024 * 1024 * 1024)
        mallopt(_TOP_PAD, 64 * 1024 * 1024)
