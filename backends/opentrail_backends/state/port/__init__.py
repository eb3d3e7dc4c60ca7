"""The state store: configuration with its revisions, the delivery ledger, digest chains, keys, accounts.

Every method is one transaction. `LedgerLost` means another owner took over: stop and ask the bus again.
`OutcomeUnknown` means that the commit was sent and not confirmed: start again at step 1 (design, section 3).
Times are milliseconds since the epoch by the store's own clock, unless a name says seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from opentrail_backends.state.port.chains import BuiltDigest, Chain, Chains, DeliveredFile
from opentrail_backends.state.port.configuration import AccessKey, ConfigurationStore, NewChange
from opentrail_backends.state.port.errors import LedgerLost, OutcomeUnknown, RevisionConflict, StateError
from opentrail_backends.state.port.ledger import FileState, IntendedFile, Intent, KnownTopic, Lease, Ledger, ParkedFile
from opentrail_backends.state.port.public_keys import PublicKey, PublicKeys

__all__ = [
    "AccessKey",
    "BuiltDigest",
    "Chain",
    "Chains",
    "ConfigurationStore",
    "DeliveredFile",
    "FileState",
    "IntendedFile",
    "Intent",
    "KnownTopic",
    "Lease",
    "Ledger",
    "LedgerLost",
    "NewChange",
    "OutcomeUnknown",
    "ParkedFile",
    "PublicKey",
    "PublicKeys",
    "RevisionConflict",
    "StateError",
    "StateStore",
]


class StateStore(Protocol):
    """One database with all of the above."""

    configuration: ConfigurationStore
    ledger: Ledger
    chains: Chains
    public_keys: PublicKeys

    def migrate(self) -> None:
        """Brings the schema to this release; safe to call from several processes at once.

        Raises StateError on a schema that is newer than this release.
        """
        ...

    def trail_status(self, incarnation: str, region: str) -> Mapping[str, Any]:
        """Newest delivery and digest times (ms) of a trail in a region: `delivered_at`, `digest_delivered_at`.

        None before the first.
        """
        ...

    def close(self) -> None:
        """Frees connections."""
        ...
