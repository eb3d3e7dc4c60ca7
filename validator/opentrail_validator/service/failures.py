"""Why a chain could not be checked at all, as a sentence."""

from __future__ import annotations

from opentrail.evidence.times import format_time
from opentrail_validator.chain_validation import NoPublicKeys
from opentrail_validator.run import ChainFailure
from opentrail_validator.service.texts import bounded


def reason_of(failure: ChainFailure) -> str:
    """For the operator, and as the log and the book can hold it."""
    if isinstance(failure, NoPublicKeys):
        return f"there is no public key for {format_time(failure.start)} to {format_time(failure.end)}"
    return bounded(str(failure))
