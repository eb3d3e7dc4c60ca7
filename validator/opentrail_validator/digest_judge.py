"""Judges the digests of one chain as they are read: with the public keys that are known, or asked for on the way."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from opentrail.evidence.digest import BACKFILL_TIMESTAMP_METADATA
from opentrail_validator.digest_check import DigestCheck, Recorded, check_digest
from opentrail_validator.findings import Kind
from opentrail_validator.question import HOUR
from opentrail_validator.readers.port import (
    ApiNotReached,
    ApiRefused,
    ObjectDamaged,
    ObjectMissing,
    Outcome,
    Place,
    PublicKey,
    PublicKeySource,
    StoredObject,
)
from opentrail_validator.trail_place import LAST_MOMENT, TrailPlace


def kind_of(error: Exception) -> Kind:
    """What it means for an object that it could not be read."""
    match error:
        case ObjectMissing():
            return Kind.NOT_FOUND
        case ObjectDamaged():
            return Kind.MALFORMED
        case _:
            return Kind.NOT_CHECKED


class DigestJudge:
    """`keys`: those of the time asked for. A backfill digest may need others: of the time when it was made."""

    def __init__(self, place: TrailPlace, public_keys: PublicKeySource, keys: Mapping[str, PublicKey]) -> None:
        self._place = place
        self._public_keys = public_keys
        self._keys = keys
        self._backfill_keys: dict[str, PublicKey] = {}

    def judge(self, at: Place, outcome: Outcome, *, backfill: bool, recorded: Recorded | None = None) -> DigestCheck:
        """What is known of the digest at a place. `recorded`: what led there."""
        if not isinstance(outcome, StoredObject):
            return DigestCheck(kind_of(outcome), str(outcome))
        find_key = self._backfill_key if backfill else self._key
        try:
            return check_digest(outcome, *at, find_key, self._place, backfill=backfill, recorded=recorded)
        except (ApiRefused, ApiNotReached) as error:
            return DigestCheck(Kind.NOT_CHECKED, str(error))

    def _key(self, fingerprint: str, _stored: StoredObject) -> PublicKey | None:
        return self._keys.get(fingerprint)

    def _backfill_key(self, fingerprint: str, stored: StoredObject) -> PublicKey | None:
        """Among the keys in use when the digest was made, as its metadata says: long after its end."""
        if fingerprint not in self._backfill_keys:
            try:
                moment = datetime.fromisoformat((stored.metadata or {})[BACKFILL_TIMESTAMP_METADATA])
            except (KeyError, ValueError):
                return None
            made = int(moment.replace(tzinfo=UTC).timestamp())
            if not HOUR <= made < LAST_MOMENT:
                return None  # Whoever answers for keys makes dates of what is asked.
            self._backfill_keys.update(self._public_keys.between(made - HOUR, made + HOUR))
        return self._backfill_keys.get(fingerprint)
