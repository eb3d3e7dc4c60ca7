"""Steps 10 and 11, signed heads: each rule and how to break it."""

from __future__ import annotations

from typing import Any

import pytest

from opentrail.evidence.chain_head import parse_head
from opentrail_delivery import signed_heads
from tests.simulation.memory_chains import MemoryChains
from tests.simulation.rules import rule

Patch = pytest.MonkeyPatch


@rule("a digest that was published without its head gets it later", "losses")
def _never_later(patch: Patch) -> None:
    patch.setattr(MemoryChains, "unsigned", lambda *_: [])


@rule("a digest is published though its head cannot be signed", "losses")
def _no_publication_without_head(patch: Patch) -> None:
    mark_published = MemoryChains.mark_published

    def only_with_head(self: MemoryChains, chain_id: str, sequence: int, signature: Any, head: Any = None) -> None:
        if head is not None:
            mark_published(self, chain_id, sequence, signature, head)

    patch.setattr(MemoryChains, "mark_published", only_with_head)
    patch.setattr(signed_heads.HeadSigner, "sign", _only_once(signed_heads.HeadSigner.sign))


def _only_once(sign: Any) -> Any:
    """A key that has failed once never signs a head again."""

    def once(self: Any, digest: Any) -> Any:
        if getattr(self, "has_failed", False):
            return None
        head = sign(self, digest)
        self.has_failed = head is None
        return head

    return once


@rule("a head counts as put once it lies in the second place", "changes")
def _noted_too_early(patch: Patch) -> None:
    put_as = signed_heads.SignedHeads._put_as

    def hopefully(self: Any, *arguments: Any) -> Any:
        put_as(self, *arguments)
        return signed_heads._Put.DONE

    patch.setattr(signed_heads.SignedHeads, "_put_as", hopefully)


@rule("a head is signed by the key that signed its digest", "clocks")
def _newest_key(patch: Patch) -> None:
    sign = signed_heads.HeadSigner.sign

    def by_another(self: Any, digest: Any) -> Any:
        document = sign(self, digest)
        if document is None:
            return None
        head = parse_head(document)
        key = self._key_ring.key_for(head.region, self._chains.now() // 1000)
        return head.signed(self._key_ring.sign(key, head.message())).to_bytes()

    patch.setattr(signed_heads.HeadSigner, "sign", by_another)
