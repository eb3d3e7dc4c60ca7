"""All kinds of tampering, in the order of the table."""

from __future__ import annotations

from tests.tampering.attacker import digests, digests_moved, heads, log_files, public_keys, signing_key
from tests.tampering.attacker.files_on_disk import DISK_KINDS
from tests.tampering.attacker.kind import HARMLESS, KINDS

__all__ = ["ALL", "DISK_KINDS", "HARMLESS", "KINDS"]

ALL = (*KINDS, *HARMLESS, *DISK_KINDS)

MODULES = (log_files, digests, digests_moved, signing_key, public_keys, heads)
"""Their import adds the kinds."""
