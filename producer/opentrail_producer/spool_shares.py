"""Who has used up its share of delivery's spool, and may therefore send no more (design, section 3, "Parked files").

Log files that a bucket does not take wait in the spool. It belongs to all; so each owner of trails, an account or an
organization, has a share of it. Once that is used up, whose events would only make it fuller are refused before
anything is published: that owner's, and nobody else's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from opentrail.trails.configuration import Configuration

ADVICE = (
    "mend the buckets of its trails (GetTrailStatus and `opentrail status` say why they fail), "
    "then send the same batch again"
)


class SpoolShares:
    """Judges accounts by what lies in the spool.

    Args:
        usage: gives the bytes in the spool by owner, as last known.
        configuration: gives the newest known one, which says who is a member of which organization.
        share_bytes: what one owner may have in the spool.
    """

    def __init__(
        self, usage: Callable[[], Mapping[str, int]], configuration: Callable[[], Configuration], share_bytes: int
    ) -> None:
        self._usage = usage
        self._configuration = configuration
        self._share_bytes = share_bytes

    def refusal(self, account_id: str) -> str | None:
        """Why the account may send nothing now, as a sentence for the caller; None if it may."""
        usage = self._usage()
        if not usage:
            return None
        if usage.get(account_id, 0) >= self._share_bytes:
            return self._sentence(f"account {account_id}")
        organization = self._configuration().organization_of(account_id)
        if organization is not None and usage.get(organization.id, 0) >= self._share_bytes:
            return self._sentence(f"organization {organization.id}")
        return None

    def _sentence(self, owner: str) -> str:
        return (
            f"{owner} has used up its share of the spool ({self._share_bytes} bytes) "
            f"with log files that their buckets do not take: {ADVICE}"
        )
