"""What a check of a proof says to people and programs: `validate-logs --proof FILE`.

Exit codes: 0 proven with a key that the verifier pinned or asked for; 1 not proven: something is wrong; 3 all fits but
the only key is the proof's own, or the proof is of a version that is not known here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, TypeAlias

from opentrail.evidence.digest import PreviousDigest
from opentrail.evidence.object_keys import MalformedKey, parse_key
from opentrail.evidence.times import format_time
from opentrail_validator.findings import Verdict
from opentrail_validator.proof import FACTS, NOT_PROVEN, Claims, ProofResult, check_proof
from opentrail_validator.proof_file import Proof
from opentrail_validator.readers.port import PublicKey, PublicKeySource
from opentrail_validator.reports.port import printable

Output: TypeAlias = Literal["text", "json"]

HOUR: Final = 3600
OWN_KEY: Final = "found in the proof itself"
_EXIT_CODES: Final = {Verdict.VALID: 0, Verdict.INVALID: 1, Verdict.UNCHECKED: 3}
_SHOWN: Final = ("eventID", "eventTime", "eventSource", "eventName")


def proof_report(
    data: bytes, keys: Mapping[str, PublicKey] | None, origin: str, output: Output = "text"
) -> tuple[str, int]:
    """Checks a proof file's bytes; the report and the exit code.

    `keys`: those that are trusted, by fingerprint, and `origin`, where they come from. None: the proof's own is tried.
    """
    result = check_proof(data, keys)
    code = _EXIT_CODES[result.verdict]
    trusted = result.claims is not None and result.claims.key_is_trusted
    shown_origin = origin if trusted else OWN_KEY
    if output == "json":
        return json.dumps(_fields(result, shown_origin, code), indent=2) + "\n", code
    return "".join(f"{line}\n" for line in _lines(result, shown_origin)), code


def proof_keys(data: bytes, source: PublicKeySource) -> Mapping[str, PublicKey]:
    """The public keys to check a proof with: those in use when its digest ended. Raises ApiRefused, ApiNotReached.

    None for a proof that cannot be read: no key would help.
    """
    claims = check_proof(data, None).claims
    return {} if claims is None else source.between(claims.digest.end, claims.digest.end + 2 * HOUR)


# --- As text


def _lines(result: ProofResult, origin: str) -> Iterator[str]:
    facts = FACTS[result.outcome]
    proof, claims = result.proof, result.claims
    name = f"event {_text(claims.event.eventID)}" if claims else "an event"
    match result.verdict:
        case Verdict.VALID:
            yield f"Proof of {name}: valid"
        case Verdict.INVALID:
            yield f"Proof of {name}: INVALID"
        case _:
            yield f"Proof of {name}: could not be checked: {facts.meaning}"
    for fault in result.faults:
        yield f"  {fault.outcome}: {FACTS[fault.outcome].meaning}" + (f" ({_text(fault.detail)})" * bool(fault.detail))
    if proof is None or claims is None:
        return
    yield ""
    yield "What is proven:" if result.verdict is Verdict.VALID else "What it claims, and does not prove:"
    yield from _claim_lines(proof, claims, origin)
    if result.verdict is Verdict.VALID:
        yield ""
        yield "What is not proven:"
        yield from (f"  {sentence}" for sentence in NOT_PROVEN)


def _claim_lines(proof: Proof, claims: Claims, origin: str) -> Iterator[str]:
    digest = claims.digest
    yield "  The event       " + ", ".join(_text(getattr(claims.event, name)) for name in _SHOWN)
    yield f"  was record      {proof.index + 1} of {proof.count}, {len(proof.record)} bytes"
    yield f"  in the log file s3://{_text(proof.log_file.bucket)}/{_text(proof.log_file.key)}"
    yield f"  of              {_account_and_region(proof.log_file.key)}"
    yield f"  in the digest   s3://{_text(digest.s3_bucket)}/{_text(digest.s3_object)}"
    yield f"  of the time     {format_time(digest.start)} to {format_time(digest.end)}"
    yield f"  with SHA-256    {claims.digest_hash}"
    yield f"  signed by key   {_text(digest.fingerprint)} ({_text(origin)}){_validity(claims.key)}"
    yield from _previous_lines(digest.previous)


def _account_and_region(log_key: str) -> str:
    try:
        parsed = parse_key(log_key)
    except MalformedKey:
        return "an account and region that its name does not tell"
    return f"account {parsed.account_id} in {parsed.region}"


def _validity(key: PublicKey) -> str:
    if key.valid_from is None or key.valid_until is None:
        return ""
    return f", valid from {_moment(key.valid_from)} to {_moment(key.valid_until)}"


def _previous_lines(previous: PreviousDigest | None) -> Iterator[str]:
    if previous is None:
        yield "  after           no digest: it is a starting one"
        return
    yield f"  after           s3://{_text(previous.s3_bucket)}/{_text(previous.s3_object)}"
    yield f"  with SHA-256    {previous.hash_value}"
    yield f"  and signature   {previous.signature}"


def _moment(seconds: int) -> str:
    try:
        return format_time(seconds)
    except ValueError:
        return f"{seconds} s since the epoch"


def _text(value: Any) -> str:
    """A value from outside in one line, without anything that a terminal would obey."""
    return printable(value if isinstance(value, str) else json.dumps(value))


# --- As JSON


def _fields(result: ProofResult, origin: str, code: int) -> dict[str, Any]:
    proof, claims = result.proof, result.claims
    fields = {
        "outcome": result.outcome,
        "meaning": FACTS[result.outcome].meaning,
        "verdict": result.verdict,
        "exitCode": code,
        "faults": [
            {"outcome": fault.outcome, "meaning": FACTS[fault.outcome].meaning, "detail": fault.detail}
            for fault in result.faults
        ],
        "keyOrigin": origin,
        "notProven": list(NOT_PROVEN),
    }
    if proof is not None and claims is not None:
        fields |= _claim_fields(proof, claims)
    return fields


def _claim_fields(proof: Proof, claims: Claims) -> dict[str, Any]:
    digest, entry, key = claims.digest, claims.entry, claims.key
    return {
        "record": proof.record.decode(),
        "recordIndex": proof.index,
        "recordCount": proof.count,
        "logFile": {
            "s3Bucket": proof.log_file.bucket,
            "s3Object": proof.log_file.key,
            "hashValue": entry and entry.hash_value,
        },
        "digest": {
            "s3Bucket": digest.s3_bucket,
            "s3Object": digest.s3_object,
            "awsAccountId": digest.account_id,
            "digestStartTime": format_time(digest.start),
            "digestEndTime": format_time(digest.end),
            "hashValue": claims.digest_hash,
            "signature": proof.signature,
        },
        "previousDigest": _previous_fields(digest.previous),
        "publicKey": {
            "Fingerprint": digest.fingerprint,
            "ValidityStartTime": key.valid_from,
            "ValidityEndTime": key.valid_until,
        },
    }


def _previous_fields(previous: PreviousDigest | None) -> dict[str, str] | None:
    if previous is None:
        return None
    return {
        "s3Bucket": previous.s3_bucket,
        "s3Object": previous.s3_object,
        "hashValue": previous.hash_value,
        "signature": previous.signature,
    }
