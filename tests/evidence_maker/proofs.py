"""Evidence with roots over records, and proofs out of it, straight from RFC 9162 and the documented formats.

It shares no code with the project, and does the tree as the RFC defines it, from the top down.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from collections.abc import Sequence
from typing import Any

from tests.evidence_maker.maker import HOUR, Chain, MadeObject, Place, iso, listed_key, private_key, stamp


def leaf(record: bytes) -> bytes:
    return hashlib.sha256(b"\0" + record).digest()


def root(records: Sequence[bytes]) -> bytes:
    """MTH of RFC 9162 §2.1.1."""
    if not records:
        return hashlib.sha256(b"").digest()
    if len(records) == 1:
        return leaf(records[0])
    split = largest_power_of_two_below(len(records))
    return hashlib.sha256(b"\1" + root(records[:split]) + root(records[split:])).digest()


def path(records: Sequence[bytes], index: int) -> list[bytes]:
    """PATH of RFC 9162 §2.1.3.1."""
    if len(records) == 1:
        return []
    split = largest_power_of_two_below(len(records))
    if index < split:
        return [*path(records[:split], index), root(records[split:])]
    return [*path(records[split:], index - split), root(records[:split])]


def largest_power_of_two_below(number: int) -> int:
    return 1 << ((number - 1).bit_length() - 1)


def record(event_id: str, seconds: int, account: str = "111122223333", **more: Any) -> bytes:
    fields = {
        "eventVersion": "1.11",
        "eventTime": iso(seconds),
        "eventSource": "s3.amazonaws.com",
        "eventName": "GetObject",
        "awsRegion": "eu-west-1",
        "recipientAccountId": account,
        "eventID": event_id,
    }
    return json.dumps(fields | more, separators=(",", ":")).encode()


def log_file(chain: Chain, records: Sequence[bytes], delivered: int, *, with_root: bool = True) -> dict[str, Any]:
    """Puts a log file into the chain's bucket; its entry for a digest."""
    data = b'{"Records":[' + b",".join(records) + b"]}"
    unique = base64.b32encode(hashlib.sha256(data).digest())[:16].decode()
    name = f"{chain.account}_CloudTrail_{chain.region}_{stamp(delivered, '%Y%m%dT%H%MZ')}_{unique}.json.gz"
    place = (chain.bucket, f"{chain._folder('CloudTrail', delivered)}/{name}")
    chain.objects[place] = MadeObject(gzip.compress(data, mtime=0), {})
    chain.logs.append(place)
    times = sorted(json.loads(one)["eventTime"] for one in records)
    tree = {"recordCount": len(records), "recordsMerkleRoot": root(records).hex()}
    return {
        "s3Bucket": place[0],
        "s3Object": place[1],
        "hashValue": hashlib.sha256(data).hexdigest(),
        "hashAlgorithm": "SHA-256",
        "newestEventTime": times[-1],
        "oldestEventTime": times[0],
        **(tree if with_root else {}),
    }


def hour(chain: Chain, *files: Sequence[bytes], with_root: bool = True, **changes: Any) -> Place:
    """One more digest, of log files with these records; `changes` replaces fields of the digest before it is signed."""
    entries = [
        log_file(chain, records, chain.now + 300 * number, with_root=with_root) for number, records in enumerate(files)
    ]
    return chain.hour(0, logFiles=entries, **changes)


def ids(chain: Chain, count: int, start: str = "e") -> list[bytes]:
    """Records of the chain's account, a second apart, with the ids `e-0`, `e-1`, ….."""
    return [record(f"{start}-{number}", chain.now - HOUR + number, chain.account) for number in range(count)]


def made_proof(chain: Chain, digest: Place, log: Place, records: Sequence[bytes], index: int) -> dict[str, Any]:
    """A proof file's fields, as docs/event-proofs.md has them."""
    made = chain.objects[digest]
    return {
        "proofVersion": 1,
        "record": records[index].decode(),
        "recordIndex": index,
        "recordCount": len(records),
        "merklePath": [step.hex() for step in path(records, index)],
        "logFile": {"s3Bucket": log[0], "s3Object": log[1]},
        "digest": base64.b64encode(made.body).decode(),
        "digestSignature": made.metadata["signature"],
        "publicKey": listed_key(private_key(chain.key_number)),
    }
