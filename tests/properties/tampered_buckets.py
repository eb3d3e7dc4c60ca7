"""Generated buckets of two trails, with heads of every digest, and sequences of tamperings with them."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import zlib
from copy import copy
from datetime import UTC, datetime
from functools import cache

from hypothesis import event
from hypothesis import strategies as st

from opentrail_validator import Finding, Subject, Verdict
from tests.evidence_maker.heads import ListedHeads, made_head
from tests.evidence_maker.in_memory import InMemory, findings_of
from tests.evidence_maker.maker import HOUR, START, Chain, MadeObject, Place, sign, stamp

BEGIN = int(START.timestamp())
BUCKET = "trail-logs"
ABOUT_TIME = {Subject.CHAIN, Subject.LISTING}


class Bucket:
    """What two trails wrote, and what was made of it. No dataclass: hypothesis would print all of it."""

    def __init__(self, audit: Chain, second: Chain) -> None:
        self.audit = audit
        self.second = second
        self.before = dict(audit.objects)
        self.objects = dict(audit.objects)
        self.modified = {place: float(_ending(place[1]) + 5) for place in self.before}
        """When each was put."""
        self.heads = [
            json.dumps(made_head(chain, digest, chainId=chain.trail)).encode()
            for chain in self.chains
            for digest in chain.digests
        ]
        self.steps: list[str] = []
        """What was done, for whoever reads of a failure."""

    def copied(self) -> Bucket:
        """The same, untouched."""
        other = copy(self)
        other.objects, other.modified, other.steps = dict(self.before), dict(self.modified), []
        return other

    def __repr__(self) -> str:
        digests = [len(chain.digests) for chain in self.chains]
        return f"Bucket({digests} digests; {'; '.join(self.steps)}; touched {sorted(self.touched())})"

    @property
    def chains(self) -> tuple[Chain, Chain]:
        return self.audit, self.second

    @property
    def digests(self) -> list[Place]:
        return [*self.audit.digests, *self.second.digests]

    def digest_of(self, log: Place) -> Place:
        """The digest that lists a log file."""
        for digest in self.digests:
            if any(entry["s3Object"] == log[1] for entry in json.loads(inflated(self.before[digest]))["logFiles"]):
                return digest
        raise KeyError(log)

    def touched(self) -> set[Place]:
        """What is not what it was, or was not there, or is not there any more."""
        places = self.before.keys() | self.objects.keys()
        return {
            place
            for place in places
            if evidence(place, self.before.get(place)) != evidence(place, self.objects.get(place))
        }

    def findings(self) -> list[Finding]:
        """Of both trails, all but what is valid or only worth telling."""
        reader = InMemory(self.objects, modified=self.modified)
        found = []
        for chain in self.chains:
            asked = {
                "start": chain.now - HOUR * len(chain.digests),
                "now": chain.now + 3 * HOUR,
                "end": chain.now,
                "heads": ListedHeads(self.heads),
            }
            found += findings_of(chain, reader, **asked)
        return [finding for finding in found if finding.verdict in {Verdict.INVALID, Verdict.UNCHECKED}]


def inflated(made: MadeObject) -> bytes:
    """The content of exactly one gzip member; of anything else the bytes, marked."""
    inflater = zlib.decompressobj(31)
    with contextlib.suppress(zlib.error):
        data = inflater.decompress(made.body)
        if inflater.eof and not inflater.unused_data:
            return data
    return b"no gzip member: " + made.body


def evidence(place: Place, made: MadeObject | None) -> tuple[bytes, dict[str, str]] | None:
    """What of an object is evidence: not how it is compressed, nor a log file's metadata, nor the case of hex."""
    if made is None:
        return None
    metadata = made.metadata if is_digest(place) else {}
    return inflated(made), {name: text.lower() for name, text in metadata.items()}


def is_digest(place: Place) -> bool:
    return "_CloudTrail-Digest_" in place[1]


@cache
def made(audit_logs: tuple[int, ...], second_logs: tuple[int, ...]) -> Bucket:
    """A bucket with so many log files in each hour of the trails."""
    objects: dict[Place, MadeObject] = {}
    audit, second = Chain(objects), Chain(objects, trail="second", now=BEGIN + 60)
    for chain, hours in ((audit, audit_logs), (second, second_logs)):
        for logs in hours:
            chain.hour(logs)
    return Bucket(audit, second)


@st.composite
def buckets(draw: st.DrawFn) -> Bucket:
    hours = draw(st.integers(3, 5))
    of_each = st.lists(st.integers(0, 3), min_size=hours, max_size=hours).map(tuple)
    return made(draw(of_each), draw(of_each)).copied()


def _ending(key: str) -> int:
    """The time in a name."""
    text = key.rsplit("_", 2)[-2 if "_CloudTrail_" in key else -1]
    form = "%Y%m%dT%H%MZ" if "_CloudTrail_" in key else "%Y%m%dT%H%M%SZ.json.gz"
    return int(datetime.strptime(text, form).replace(tzinfo=UTC).timestamp())


# --- Tamperings: each changes `bucket.objects`


def flip(draw: st.DrawFn, bucket: Bucket, place: Place) -> None:
    body = bytearray(bucket.objects[place].body)
    if body:
        body[draw(st.integers(0, len(body) - 1))] ^= draw(st.integers(1, 255))
    _write(bucket, place, bytes(body))


def cut(draw: st.DrawFn, bucket: Bucket, place: Place) -> None:
    body = bucket.objects[place].body
    _write(bucket, place, body[: draw(st.integers(0, max(0, len(body) - 1)))])


def append(draw: st.DrawFn, bucket: Bucket, place: Place) -> None:
    more = draw(st.binary(min_size=1, max_size=20) | st.just(gzip.compress(b"{}", mtime=0)))
    _write(bucket, place, bucket.objects[place].body + more)


def change_content(draw: st.DrawFn, bucket: Bucket, place: Place) -> None:
    content = bytearray(inflated(bucket.objects[place]))
    content[draw(st.integers(0, len(content) - 1))] ^= draw(st.integers(1, 127))
    _write(bucket, place, gzip.compress(bytes(content), mtime=0))


def recompress(draw: st.DrawFn, bucket: Bucket, place: Place) -> None:
    content = inflated(bucket.objects[place])
    _write(bucket, place, gzip.compress(content, draw(st.integers(0, 9)), mtime=draw(st.integers(0, 99))))


def remove(_draw: st.DrawFn, bucket: Bucket, place: Place) -> None:
    del bucket.objects[place]


def overwrite(draw: st.DrawFn, bucket: Bucket, place: Place) -> None:
    bucket.objects[place] = bucket.objects[draw(st.sampled_from(sorted(bucket.objects)))]


def swap(draw: st.DrawFn, bucket: Bucket, place: Place) -> None:
    other = draw(st.sampled_from(sorted(bucket.objects)))
    bucket.objects[place], bucket.objects[other] = bucket.objects[other], bucket.objects[place]


def change_signature(draw: st.DrawFn, bucket: Bucket, place: Place) -> None:
    made = bucket.objects[place]
    signature = made.metadata.get("signature", "")
    changed = draw(st.sampled_from([signature[:-2], signature[::-1], signature + "00", "", signature.upper(), "zz"]))
    lost: dict[str, str] = {}
    bucket.objects[place] = MadeObject(made.body, draw(st.sampled_from([made.metadata | {"signature": changed}, lost])))


def sign_anew(draw: st.DrawFn, bucket: Bucket, place: Place) -> None:
    """A digest is changed and signed with its own, stolen key: only links and heads know."""
    try:
        document = json.loads(inflated(bucket.objects[place]))
        document["logFiles"] = document["logFiles"][draw(st.integers(0, 1)) :]
        document["note"] = draw(st.integers(0, 9))
        content = json.dumps(document).encode()
        lines = [document["digestEndTime"], "/".join(place), hashlib.sha256(content).hexdigest()]
        message = "\n".join([*lines, document["previousDigestSignature"] or "null"]).encode()
    except (ValueError, KeyError, TypeError):
        return
    metadata = {"signature": sign(message, 0), "signature-algorithm": "SHA256withRSA"}
    bucket.objects[place] = MadeObject(gzip.compress(content, mtime=0), metadata)


def copy_to_another_name(draw: st.DrawFn, bucket: Bucket, place: Place) -> None:
    """A digest gets the stamp of some seconds before, a log file another unique part."""
    key = place[1]
    if is_digest(place):
        before = _ending(key) - draw(st.integers(1, HOUR - 1))
        to = key.replace(stamp(_ending(key), "%Y%m%dT%H%M%SZ"), stamp(before, "%Y%m%dT%H%M%SZ"))
    else:
        to = key.replace(".json.gz", f"{draw(st.sampled_from('XYZ'))}.json.gz")
    bucket.objects[BUCKET, to] = bucket.objects[place]
    bucket.modified[BUCKET, to] = float(BEGIN + HOUR + 1800)


TAMPERINGS = [
    flip,
    cut,
    append,
    change_content,
    recompress,
    remove,
    overwrite,
    swap,
    change_signature,
    sign_anew,
    copy_to_another_name,
]


@st.composite
def tampered_buckets(draw: st.DrawFn) -> Bucket:
    bucket = draw(buckets())
    for _ in range(draw(st.integers(1, 5))):
        if bucket.objects:
            tampering = draw(st.sampled_from(TAMPERINGS))
            place = draw(st.sampled_from(sorted(bucket.objects)))
            event(tampering.__name__)
            bucket.steps.append(f"{tampering.__name__} {place[1].rpartition('/')[2]}")
            tampering(draw, bucket, place)
    return bucket


def _write(bucket: Bucket, place: Place, body: bytes) -> None:
    bucket.objects[place] = MadeObject(body, bucket.objects[place].metadata)
