"""Which key signs which digest: one that is valid at the digest's end, whenever the digest is built."""

from __future__ import annotations

import threading

from opentrail.evidence.signature import fingerprint
from opentrail_backends.key_management.port import KeyManagement, KeyManagementError
from opentrail_backends.state.port import PublicKey, PublicKeys

_NEAR = 30
"""A key begins where the one before it ended, if that was no longer ago than this part of its validity: a day of 30."""


class KeyRing:
    """Signing keys of all regions, made and rotated when a digest needs one.

    A key signs only digests whose `digestEndTime` lies in its validity, because the AWS CLI asks for the
    keys of that time. A digest that no key covers gets a new one, which is how keys rotate.
    """

    def __init__(self, public_keys: PublicKeys, key_management: KeyManagement, *, valid_seconds: int) -> None:
        self._public_keys = public_keys
        self._key_management = key_management
        self._valid_seconds = valid_seconds
        self._newest: dict[str, PublicKey] = {}
        self._lock = threading.Lock()

    def key_for(self, region: str, digest_end: int) -> PublicKey:
        """The key that signs a region's digest with this end. Raises StateError, KeyManagementError."""
        with self._lock:
            known = self._newest.get(region)
            if known is None or not known.valid_from <= digest_end <= known.valid_until:
                known = self._newest[region] = self._find_or_make(region, digest_end)
            return known

    def key_of(self, region: str, digest_end: int, fingerprint: str) -> PublicKey:
        """The key that signed a region's digest with this end. Raises StateError, KeyManagementError."""
        with self._lock:
            known = self._newest.get(region)
        if known is not None and known.fingerprint == fingerprint:
            return known
        for key in self._public_keys.between(region, digest_end, digest_end):
            if key.fingerprint == fingerprint:
                return key
        raise KeyManagementError(f"{region} has no signing key {fingerprint} that was valid at {digest_end}")

    def sign(self, key: PublicKey, message: bytes) -> str:
        """Lower-case hex signature. Raises KeyManagementError."""
        return self._key_management.sign(key.reference, message).hex()

    def _find_or_make(self, region: str, digest_end: int) -> PublicKey:
        found = self._public_keys.covering(region, digest_end)
        if found is not None:
            return found
        valid_from, valid_until = self._validity(region, digest_end)
        pair = self._key_management.create_signing_key(region)
        # A crash here leaves a private half that nothing refers to: it has signed nothing and never will.
        made = PublicKey(
            region=region,
            fingerprint=fingerprint(pair.public_key),
            der=pair.public_key,
            valid_from=valid_from,
            valid_until=valid_until,
            reference=pair.reference,
        )
        kept = self._public_keys.add(made)
        if kept.fingerprint != made.fingerprint:
            self._key_management.destroy_signing_key(pair.reference)
        if kept.valid_until < digest_end:  # another process made one meanwhile that ends before this digest
            return self._find_or_make(region, digest_end)
        return kept

    def _validity(self, region: str, digest_end: int) -> tuple[int, int]:
        """From a digest's end on, and not into the validity of a key that is there for later digests.

        Where a key ended shortly before, without a gap to it: several builders do not make keys of a second each.
        """
        near = self._public_keys.between(region, digest_end - self._valid_seconds, digest_end + self._valid_seconds)
        earlier = max((key.valid_until for key in near if key.valid_until < digest_end), default=None)
        later = min((key.valid_from for key in near if key.valid_from > digest_end), default=None)
        follows = earlier is not None and digest_end - earlier <= max(self._valid_seconds // _NEAR, 1)
        valid_from = earlier + 1 if earlier is not None and follows else digest_end
        valid_until = valid_from + self._valid_seconds
        return valid_from, valid_until if later is None else min(valid_until, later - 1)
