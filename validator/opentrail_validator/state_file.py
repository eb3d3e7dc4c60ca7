"""The state file: for each chain the newest digest that was verified, so that the next run reads only what is newer.

JSON, of the version that is written here:

    {"stateVersion": 1, "chains": [{"place": {…}, "digest": {…}, "checkedFrom": …, "coveredFrom": …,
                                    "recordsChecked": true, "unlistedChecked": true}]}

* `place`: bucket, prefix, organization, account, region, trail and home region. A chain is known by all of them.
* `digest`: where it lies, its window, hash, signature, key and the signature before: all that its signature is over, so
  that it is verified anew before it is used.
* `checkedFrom`: everything from there to the digest's end was checked and found in order. `coveredFrom`: valid digests
  cover all the time from there. `recordsChecked`, `unlistedChecked`: by which checks beyond the AWS CLI's.

Times are as in evidence. The file is the auditor's own, for nobody else to read or write: whoever can write to it can
name a newer good digest, and so hide what is older. A run that reads everything does not look at it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from opentrail.evidence.times import MalformedTime, format_time, parse_time
from opentrail_validator.durable_file import replace_file
from opentrail_validator.findings import Finding, Kind, Subject
from opentrail_validator.heads import signature_defect
from opentrail_validator.question import HOUR, Question
from opentrail_validator.readers.port import PublicKey, ReaderUnavailable
from opentrail_validator.trail_place import TrailPlace
from opentrail_validator.walked import ChainResult, VerifiedDigest

STATE_VERSION: Final = 1

_PLACE: Final = {
    "bucket": "s3Bucket",
    "prefix": "prefix",
    "organization_id": "organizationId",
    "account_id": "awsAccountId",
    "region": "region",
    "trail_name": "trailName",
    "home_region": "homeRegion",
}
_DIGEST: Final = {
    "bucket": "digestS3Bucket",
    "key": "digestS3Object",
    "sha256": "digestHashValue",
    "signature": "digestSignature",
    "previous_signature": "previousDigestSignature",
    "fingerprint": "digestPublicKeyFingerprint",
}
_OPTIONAL: Final = frozenset({"prefix", "organization_id", "previous_signature"})


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownChain:
    """What runs before have verified of a chain. Times are epoch seconds."""

    place: TrailPlace
    digest: VerifiedDigest
    """The newest."""
    checked_from: int
    covered_from: int
    records: bool
    unlisted: bool

    def answers(self, question: Question) -> bool:
        """Whether a walk for this question may stop at the digest: all before it was checked as is asked now."""
        checks = question.checks
        is_within = question.start < self.digest.end <= question.end + HOUR and self.checked_from <= question.start
        is_covered = self.covered_from <= question.start or not checks.coverage
        return is_within and is_covered and self.records >= checks.records and self.unlisted >= checks.unlisted


def verified_known(known: KnownChain | VerifiedDigest, keys: Mapping[str, PublicKey]) -> VerifiedDigest | None:
    """The digest, if it is well signed with one of these keys, valid at its end; else it is not to be used."""
    digest = known.digest if isinstance(known, KnownChain) else known
    defect = signature_defect(keys, digest.fingerprint, digest.end, digest.signature, digest.message())
    return digest if defect is None else None


class StateFile:
    """The chains of a state file. Not for several threads."""

    def __init__(self, path: Path, chains: Mapping[TrailPlace, KnownChain], findings: tuple[Finding, ...] = ()) -> None:
        self.path = path
        self.findings = findings
        """What is wrong with the file as a whole: then it knows nothing."""
        self._chains = dict(chains)

    @classmethod
    def open(cls, path: Path) -> StateFile:
        """Reads the file; none is an empty one. Raises ReaderUnavailable if it is there and cannot be read."""
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return cls(path, {})
        except OSError as error:
            raise ReaderUnavailable(f"The state file {path} could not be read: {error.strerror}") from None
        try:
            chains = [_chain(item) for item in _items(data)]
        except _Damaged as error:
            return cls(path, {}, (Finding(Kind.BAD_STATE, Subject.STATE, "", str(path), f"{error}: it is not used"),))
        return cls(path, {chain.place: chain for chain in chains})

    def known(self, place: TrailPlace) -> KnownChain | None:
        """What is known of a chain. Its signature is not verified here."""
        return self._chains.get(_key(place))

    def places(self) -> list[TrailPlace]:
        """The chains that are known, sorted: each was there once."""
        return sorted(self._chains, key=str)

    def record(self, result: ChainResult, clean: bool) -> None:
        """Notes how far a chain was verified, if all that this run looked at was in order. It never goes back."""
        newest, question = result.newest, result.question
        place = _key(question.place)
        before = self._chains.get(place)
        if not clean or newest is None or (before is not None and newest.end < before.digest.end):
            return
        covered_from = result.covered[-1].start if result.covered else newest.end
        if before is not None and result.known_until == before.digest.end:
            self._chains[place] = KnownChain(
                place=place,
                digest=newest,
                checked_from=before.checked_from,
                covered_from=before.covered_from if covered_from <= before.digest.end else covered_from,
                records=before.records and question.checks.records,
                unlisted=before.unlisted and question.checks.unlisted,
            )
        elif result.known_until is None:
            self._chains[place] = KnownChain(
                place=place,
                digest=newest,
                checked_from=question.start,
                covered_from=covered_from,
                records=question.checks.records,
                unlisted=question.checks.unlisted,
            )

    def save(self) -> None:
        """Writes the file: all of it, or, whatever happens, none. Raises ReaderUnavailable."""
        chains = [_document(chain) for _, chain in sorted(self._chains.items(), key=lambda item: str(item[0]))]
        data = json.dumps({"stateVersion": STATE_VERSION, "chains": chains}, indent=1).encode() + b"\n"
        try:
            replace_file(self.path, data)
        except OSError as error:
            raise ReaderUnavailable(f"The state file {self.path} could not be written: {error.strerror}") from None


class _Damaged(Exception):
    """The file is not one that can be used; the message says why."""


def _key(place: TrailPlace) -> TrailPlace:
    """No prefix and an empty one are the same."""
    return replace(place, prefix=place.prefix or None, organization_id=place.organization_id or None)


def _items(data: bytes) -> list[Any]:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        raise _Damaged("it is not JSON") from None
    version = document.get("stateVersion") if isinstance(document, dict) else None
    if type(version) is not int or version != STATE_VERSION:
        raise _Damaged(f"it is not of version {STATE_VERSION}")
    items = document.get("chains")
    if not isinstance(items, list):
        raise _Damaged("it has no list of chains")
    return items


def _chain(item: Any) -> KnownChain:
    place = TrailPlace(**{name: _text(item, "place", field, name) for name, field in _PLACE.items()})
    texts = {name: _text(item, "digest", field, name) for name, field in _DIGEST.items()}
    start, end = _time(_field(item, "digest"), "digestStartTime"), _time(_field(item, "digest"), "digestEndTime")
    known = KnownChain(
        place=_key(place),
        digest=VerifiedDigest(**texts, start=start, end=end),
        checked_from=_time(item, "checkedFrom"),
        covered_from=_time(item, "coveredFrom"),
        records=_flag(item, "recordsChecked"),
        unlisted=_flag(item, "unlistedChecked"),
    )
    key = known.place.digest_at(known.digest.key)
    if key is None or key.backfill or key.end_seconds != end or max(known.checked_from, known.covered_from) > end:
        raise _Damaged("a digest is none of its chain, or its times contradict each other")
    return known


def _document(chain: KnownChain) -> dict[str, Any]:
    digest = {field: getattr(chain.digest, name) for name, field in _DIGEST.items()}
    return {
        "place": {field: getattr(chain.place, name) for name, field in _PLACE.items()},
        "digest": {
            **digest,
            "digestStartTime": format_time(chain.digest.start),
            "digestEndTime": format_time(chain.digest.end),
        },
        "checkedFrom": format_time(chain.checked_from),
        "coveredFrom": format_time(chain.covered_from),
        "recordsChecked": chain.records,
        "unlistedChecked": chain.unlisted,
    }


def _field(item: Any, name: str) -> Any:
    if not isinstance(item, dict) or name not in item:
        raise _Damaged(f"{name} is missing")
    return item[name]


def _text(item: Any, part: str, field: str, name: str) -> Any:
    value = _field(_field(item, part), field)
    if not isinstance(value, str) and not (value is None and name in _OPTIONAL):
        raise _Damaged(f"{field} is no text")
    try:
        (value or "").encode()
    except UnicodeEncodeError:  # A lone surrogate has no bytes that a signature could be over.
        raise _Damaged(f"{field} is no text") from None
    return value


def _time(item: Any, name: str) -> int:
    value = _field(item, name)
    try:
        return parse_time(value if isinstance(value, str) else "")
    except MalformedTime as error:
        raise _Damaged(f"{name}: {error}") from None


def _flag(item: Any, name: str) -> bool:
    value = _field(item, name)
    if not isinstance(value, bool):
        raise _Damaged(f"{name} is neither true nor false")
    return value
