"""Which chains a bucket holds: accounts and source regions that have digests of a trail.

What was removed as a whole is not found here: name the accounts and regions that must be there, or give as `expected`
the chains that heads or a state file know.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import Final, Protocol

from opentrail.evidence.object_keys import DIGEST_FOLDER
from opentrail_validator.readers.port import ListedObject
from opentrail_validator.trail_place import TrailPlace

_ACCOUNT: Final = re.compile(r"[0-9]{12}")
_THREADS: Final = 16
"""Lists under way at a time: an organization has thousands of folders, and each list is a request's time away."""


class Lists(Protocol):
    """What is needed of an ObjectReader."""

    def list(self, bucket: str, prefix: str, start_after: str = "") -> Iterator[ListedObject]:
        """As ObjectReader has it."""
        ...

    def folders(self, bucket: str, prefix: str) -> Iterator[str]:
        """As ObjectReader has it."""
        ...


def discover(
    trails: Sequence[TrailPlace],
    objects: Lists,
    accounts: Sequence[str] | None,
    regions: Sequence[str] | None,
    expected: Collection[TrailPlace] = (),
) -> list[TrailPlace]:
    """The chains of trails, sorted, each once. Raises CouldNotRead.

    `trails` name each trail by any of its places. `accounts` and `regions`: None for all that lie in the bucket, where
    a region without digests of the trail is left out, and an account without any. An account that is named and not
    there is given nevertheless, in the place's own region if none is named: that its digests are missing is to be told.
    So is a region that is named, for each account. `expected`: more places that were there once.
    """
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="discovery") as pool:
        found: set[TrailPlace] = set()
        for trail in trails:
            folders = _Folders(trail, objects, pool)
            found.update(_chains(trail, folders, accounts, regions))
            found.update(place for place in expected if _is_asked_for(place, trail, accounts, regions))
    return sorted(found, key=_order)


def _chains(
    trail: TrailPlace, folders: _Folders, accounts: Sequence[str] | None, regions: Sequence[str] | None
) -> Iterator[TrailPlace]:
    if accounts is not None and regions is not None:
        yield from (trail.of(account, region) for account, region in product(accounts, regions))
        return
    there = folders.with_digests(folders.accounts() if accounts is None else accounts)
    named = list(there) if accounts is None else accounts
    for account in named:
        own = there.get(account) or [trail.region]
        yield from (trail.of(account, region) for region in (own if regions is None else regions))


class _Folders:
    """Looks for a trail's digests, in many folders at a time."""

    def __init__(self, trail: TrailPlace, objects: Lists, pool: ThreadPoolExecutor) -> None:
        self._trail = trail
        self._objects = objects
        self._pool = pool

    def accounts(self) -> list[str]:
        """Accounts that have a folder."""
        folders = self._objects.folders(self._trail.bucket, self._trail.root)
        return [folder for folder in folders if _ACCOUNT.fullmatch(folder)]

    def with_digests(self, accounts: Sequence[str]) -> dict[str, list[str]]:
        """The accounts that have digests of the trail, and the regions of each."""
        found: dict[str, list[str]] = {}
        regions = self._pool.map(self._regions, accounts)
        places = [
            self._trail.of(account, region) for account, own in zip(accounts, regions, strict=True) for region in own
        ]
        for place, has_digest in zip(places, self._pool.map(self._has_digest, places), strict=True):
            if has_digest:
                found.setdefault(place.account_id, []).append(place.region)
        return found

    def _regions(self, account: str) -> list[str]:
        return list(self._objects.folders(self._trail.bucket, f"{self._trail.root}{account}/{DIGEST_FOLDER}/"))

    def _has_digest(self, place: TrailPlace) -> bool:
        """Whether one of the digests in the folder is this trail's: another's may share it."""
        return any(place.digest_at(listed.key) for listed in self._objects.list(place.bucket, place.folder))


def _is_asked_for(
    place: TrailPlace, trail: TrailPlace, accounts: Sequence[str] | None, regions: Sequence[str] | None
) -> bool:
    return (
        _order(trail.of(place.account_id, place.region)) == _order(place)
        and (accounts is None or place.account_id in accounts)
        and (regions is None or place.region in regions)
    )


def _order(place: TrailPlace) -> tuple[str, ...]:
    return (
        place.bucket,
        place.prefix or "",
        place.organization_id or "",
        place.trail_name,
        place.home_region,
        place.account_id,
        place.region,
    )
