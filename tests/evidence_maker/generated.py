"""Evidence with all that a chain can go through, for properties that hold of each object in it."""

from __future__ import annotations

from tests.evidence_maker.heads import made_head
from tests.evidence_maker.maker import HOUR, Chain


def generated() -> tuple[Chain, Chain]:
    """Two chains with a pause, a changed bucket and backfill digests; and these by themselves."""
    chain = Chain(bucket="old").hours(2).restart(2 * HOUR).hours(3)
    chain.bucket = "new"
    chain.hours(3)
    late = Chain(chain.objects, "new", backfill=True, now=chain.now - 2 * HOUR + 60).hours(2)
    return chain, late


CHAIN, LATE = generated()
PLACES = sorted(CHAIN.objects)
LINK = CHAIN.digests[5]
"""Only this digest says in which bucket the older ones lie."""
DIGESTS = sorted([*CHAIN.digests, *LATE.digests])
LISTED_BY = {log: chain.digests[number // 2] for chain in (CHAIN, LATE) for number, log in enumerate(chain.logs)}
HEADS = [
    made_head(CHAIN, place, chainId="chain-1" if place in CHAIN.digests[:2] else "chain-2") for place in CHAIN.digests
]
