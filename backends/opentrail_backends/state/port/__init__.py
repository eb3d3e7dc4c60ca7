"""The state store: configuration with its revisions, the ledger, digest chains, keys, accounts, and what the API needs.

Every method is one transaction. `LedgerLost` means another owner took over: stop and ask the bus again.
`OutcomeUnknown` means that the commit was sent and not confirmed: start again at step 1 (design, section 3).
Times are milliseconds since the epoch by the store's own clock, unless a name says seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from opentrail_backends.state.port.api_calls import ApiCalls, NewCall, PendingCall
from opentrail_backends.state.port.chains import (
    MOST_WAITING,
    BuiltDigest,
    Chain,
    Chains,
    DeliveredFile,
    DigestFailure,
    KeptHead,
    Orphans,
    Target,
)
from opentrail_backends.state.port.configuration import AccessKey, ConfigurationStore, NewChange, ProducerToken
from opentrail_backends.state.port.errors import LedgerLost, OutcomeUnknown, RevisionConflict, StateError
from opentrail_backends.state.port.event_history import (
    EventHistory,
    FoundEvent,
    HistoryCategory,
    HistoryCursor,
    HistoryEvent,
    HistoryMoved,
    HistoryQuery,
)
from opentrail_backends.state.port.ledger import Ledger
from opentrail_backends.state.port.ledger_values import (
    ClientsOfAccount,
    FileState,
    IntendedFile,
    Intent,
    KnownTopic,
    Lease,
    LostOffsets,
    ParkedFailure,
    ParkedFile,
    ParkedOfTrail,
    Parking,
    Settlement,
    SpoolUsage,
)
from opentrail_backends.state.port.notifications import NotificationQueue, Turn, UntoldFile
from opentrail_backends.state.port.public_keys import PublicKey, PublicKeys
from opentrail_backends.state.port.request_rates import RequestRates, Taken

__all__ = [
    "MOST_WAITING",
    "AccessKey",
    "ApiCalls",
    "BuiltDigest",
    "Chain",
    "Chains",
    "ClientsOfAccount",
    "ConfigurationStore",
    "DeliveredFile",
    "DigestFailure",
    "EventHistory",
    "FileState",
    "FoundEvent",
    "HistoryCategory",
    "HistoryCursor",
    "HistoryEvent",
    "HistoryMoved",
    "HistoryQuery",
    "IntendedFile",
    "Intent",
    "KeptHead",
    "KnownTopic",
    "Lease",
    "Ledger",
    "LedgerLost",
    "LostOffsets",
    "NewCall",
    "NewChange",
    "NotificationQueue",
    "Orphans",
    "OutcomeUnknown",
    "ParkedFailure",
    "ParkedFile",
    "ParkedOfTrail",
    "Parking",
    "PendingCall",
    "ProducerToken",
    "PublicKey",
    "PublicKeys",
    "RequestRates",
    "RevisionConflict",
    "Settlement",
    "SpoolUsage",
    "StateError",
    "StateStore",
    "Taken",
    "Target",
    "Turn",
    "UntoldFile",
]


class StateStore(Protocol):
    """One database with all of the above."""

    configuration: ConfigurationStore
    ledger: Ledger
    chains: Chains
    public_keys: PublicKeys
    calls: ApiCalls
    rates: RequestRates
    history: EventHistory
    notifications: NotificationQueue

    def migrate(self) -> None:
        """Brings the schema to this release; safe to call from several processes at once.

        Raises StateError on a schema that is newer than this release.
        """
        ...

    def trail_status(self, incarnation: str, region: str) -> Mapping[str, Any]:
        """What delivery last did for a trail in a region; None where there is nothing to tell.

        `delivered_at`, `digest_delivered_at`: newest times (ms). `delivery_error`, `digest_error`: the store's error
        code, while files are parked because of it, or digests wait. `failing_since` (ms): of the oldest parked file.
        `notified_at`: when the topic was last told of a file; `notification_error`, `notification_failing_since`: the
        service's code and since when, as long as telling fails.
        """
        ...

    def unmet_conditions(self) -> Sequence[str]:
        """What the database lacks of what delivery stands on (design §3), one sentence each that says what to do.

        Raises StateError if it cannot be known.
        """
        ...

    def forget(self, kept_ms: int, limit: int = 5_000) -> int:
        """Removes rows that nothing needs any more, at most `limit` of each kind; returns how many in all.

        Files and digests so long after their digest was published (files that no digest is to name: after they were
        delivered), but each chain's head; ended chains and unused places after that; configuration changes that no
        batch younger than that and no open intent can need; workers and tokens that are gone; rates of accounts that
        are idle. Never a call that is not on the bus. Safe at any time, from several processes; call it again while it
        returns much.
        """
        ...

    def close(self) -> None:
        """Frees connections."""
        ...
