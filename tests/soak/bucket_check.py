"""Reads whole buckets with nothing but an S3 client, and says what does not fit what was accepted."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from opentrail.evidence.digest import Digest, parse_digest
from opentrail.evidence.log_file import read_log_file
from opentrail.evidence.object_keys import DigestKey, LogFileKey, MalformedKey, parse_key
from opentrail_backends.object_store.probe import PROBE_KEY
from tests.servers.s3 import S3Server
from tests.soak.installation import SoakTrail
from tests.soak.load import Book

_ENOUGH = 20
"""So many findings of a kind are told."""


@dataclass
class TrailBucket:
    """What lies in the bucket of one trail."""

    trail: SoakTrail
    log_files: dict[str, bytes] = field(default_factory=dict)
    """Uncompressed, by key."""
    digests: dict[str, tuple[DigestKey, Digest, bytes]] = field(default_factory=dict)
    """With their uncompressed bytes."""
    findings: list[str] = field(default_factory=list)

    def named(self) -> Counter[str]:
        """How often each log file is named by a digest."""
        return Counter(entry.s3_object for _, digest, _ in self.digests.values() for entry in digest.log_files)

    def records(self) -> Iterator[tuple[LogFileKey, dict[str, Any]]]:
        """Every record of the log files that digests name."""
        for key in self.named():
            place = parse_key(key)
            assert isinstance(place, LogFileKey)
            for record in json.loads(self.log_files.get(key, b'{"Records":[]}'))["Records"]:
                yield place, record

    def chains(self) -> dict[tuple[str, str], list[Digest]]:
        """Digests by (account, region), in the order of their ends."""
        chains: dict[tuple[str, str], list[Digest]] = defaultdict(list)
        for key, digest, _ in sorted(self.digests.values(), key=lambda item: item[1].end):
            chains[key.account_id, key.region].append(digest)
        return chains


def read_bucket(s3: S3Server, trail: SoakTrail) -> TrailBucket:
    """Every object and every version. An object that was replaced, deleted or is no evidence is a finding."""
    found = TrailBucket(trail)
    versions = Counter[str]()
    for page in s3.client.get_paginator("list_object_versions").paginate(Bucket=trail.bucket):
        found.findings += [
            f"deleted: {marker['Key']}" for marker in page.get("DeleteMarkers", ()) if marker["Key"] != PROBE_KEY
        ]
        versions.update(version["Key"] for version in page.get("Versions", ()) if version["Key"] != PROBE_KEY)
    found.findings += [f"written {count} times: {key}" for key, count in versions.items() if count > 1]

    def fetch(key: str) -> tuple[str, bytes]:
        return key, read_log_file(s3.client.get_object(Bucket=trail.bucket, Key=key)["Body"].read())

    with ThreadPoolExecutor(8) as readers:
        for key, body in readers.map(fetch, versions):
            try:
                place = parse_key(key)
            except MalformedKey:
                found.findings.append(f"no log file and no digest: {key}")
                continue
            if isinstance(place, LogFileKey):
                found.log_files[key] = body
            else:
                found.digests[key] = place, parse_digest(body), body
    return found


def check_bucket(found: TrailBucket, book: Book) -> list[str]:
    """What is wrong with a trail's bucket: nothing, if each event lies in it once and each file in one digest."""
    kinds = (found.findings, _check_files(found), _check_chains(found), _check_events(found, book))
    return [f"{found.trail.name}: {finding}" for kind in kinds for finding in kind[:_ENOUGH]]


def _check_files(found: TrailBucket) -> list[str]:
    named = found.named()
    findings = [f"in no digest: {key}" for key in found.log_files if key not in named]
    findings += [f"in {count} digests: {key}" for key, count in named.items() if count > 1]
    for _, digest, _ in found.digests.values():
        for entry in digest.log_files:
            body = found.log_files.get(entry.s3_object)
            if body is None:
                findings.append(f"missing: {entry.s3_object}")
            elif hashlib.sha256(body).hexdigest() != entry.hash_value or entry.s3_bucket != found.trail.bucket:
                findings.append(f"not what its digest says: {entry.s3_object}")
    return findings


def _check_chains(found: TrailBucket) -> list[str]:
    """Each digest follows the one before it; the first follows none."""
    findings = []
    chains = found.chains()
    for place, digests in chains.items():
        before: Digest | None = None
        for digest in digests:
            previous = digest.previous and digest.previous.s3_object
            if previous != (before and before.s3_object) or (before is not None and digest.start != before.end):
                findings.append(f"the chain of {place} breaks at {digest.s3_object}")
            if before is not None and digest.previous is not None:
                body = found.digests[before.s3_object][2]
                if hashlib.sha256(body).hexdigest() != digest.previous.hash_value:
                    findings.append(f"not the digest before: {digest.s3_object}")
            before = digest
    if not chains:
        findings.append("there are no digests: a check on nothing proves nothing")
    return findings


def _check_events(found: TrailBucket, book: Book) -> list[str]:
    findings, delivered = [], Counter[int]()
    for place, record in found.records():
        serial = record["requestParameters"]["serial"]
        delivered[serial] += 1
        sent = book.sent[serial]
        if (place.account_id, place.region) != (sent.kind.account, sent.kind.region):
            findings.append(f"event {serial} lies under {place.account_id} {place.region}")
        if sent.event_id not in {None, record["eventID"]}:
            findings.append(f"event {serial} has the id {record['eventID']} instead of {sent.event_id}")
    wanted = {serial for serial, sent in book.sent.items() if found.trail.wants(sent.kind)}
    lost = sorted((wanted & book.accepted) - delivered.keys())
    findings += [f"{len(lost)} accepted events are lost, such as {lost[:_ENOUGH]}"] if lost else []
    twice = sorted(serial for serial, count in delivered.items() if count > 1)
    findings += [f"{len(twice)} events came twice, such as {twice[:_ENOUGH]}"] if twice else []
    strange = sorted(delivered.keys() - wanted)
    findings += [f"{len(strange)} events were not wanted, such as {strange[:_ENOUGH]}"] if strange else []
    if not wanted & book.accepted:
        findings.append("no event was accepted for it: a check on nothing proves nothing")
    return findings


def undigested(s3: S3Server, trails: Sequence[SoakTrail], known: dict[str, list[str]]) -> int:
    """How many log files no digest names yet; `known` remembers what the digests say that were read."""
    count = 0
    for trail in trails:
        pages = s3.client.get_paginator("list_objects_v2").paginate(Bucket=trail.bucket)
        keys = [entry["Key"] for page in pages for entry in page.get("Contents", ()) if entry["Key"] != PROBE_KEY]
        digests = [key for key in keys if isinstance(parse_key(key), DigestKey)]
        for key in digests:
            if key not in known:
                body = read_log_file(s3.client.get_object(Bucket=trail.bucket, Key=key)["Body"].read())
                known[key] = [entry.s3_object for entry in parse_digest(body).log_files]
        count += len(set(keys) - set(digests) - {file for key in digests for file in known[key]})
    return count
