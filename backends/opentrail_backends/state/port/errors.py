"""What a state store may answer instead of doing it."""

from __future__ import annotations


class StateError(Exception):
    """The state store refused or could not be reached; the message says what to do."""


class OutcomeUnknown(StateError):
    """A transaction was sent and not confirmed: it may have been kept."""


class LedgerLost(StateError):
    """The fence did not hold: another owner has raised the partition's epoch, or the ledger moved on without us."""


class RevisionConflict(StateError):
    """The configuration was changed by someone else since it was read."""
