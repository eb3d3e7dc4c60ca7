"""The parsers that read what an adversary may have written, what each may raise, and good inputs for each.

Most are also followed to the end: a spoiled digest is signed well, a log file's hash fits, a file of keys is used.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from opentrail.evidence.chain_head import MalformedHead, parse_head
from opentrail.evidence.digest import LogFileEntry, MalformedDigest, parse_digest
from opentrail.evidence.log_file import MalformedLogFile, read_log_file
from opentrail_validator import NoPublicKeys, Sources, read_public_keys, validate
from opentrail_validator.chain_validation import ChainValidation
from opentrail_validator.command import main
from opentrail_validator.head_sources import HeadFile
from opentrail_validator.log_file_check import check_log_file
from opentrail_validator.proof import check_proof
from opentrail_validator.proof_file import MalformedProof, parse_proof
from opentrail_validator.readers.local_directory import LocalDirectory
from opentrail_validator.readers.port import (
    CouldNotRead,
    ObjectDamaged,
    ReaderUnavailable,
)
from opentrail_validator.state_file import StateFile, verified_known
from tests.evidence_maker import proofs
from tests.evidence_maker.heads import ListedHeads, made_head
from tests.evidence_maker.in_memory import BEGIN, InMemory, pinned, place_of, question_of
from tests.evidence_maker.layouts import kept, lay_kept
from tests.evidence_maker.maker import Chain, MadeObject, iso, listed_key, private_key, sign

BIG = 1 << 24
STORAGE_KEY = bytes(range(32))
KEYS = [listed_key(private_key(0))]


@dataclass(frozen=True)
class Target:
    """`run` reads the bytes; it may write files below the folder. It returns, or raises one of `declared`."""

    name: str
    seeds: Callable[[], Sequence[bytes]]
    run: Callable[[bytes, Path], object]
    declared: tuple[type[Exception], ...]


@cache
def evidence() -> Chain:
    """Three hours with log files that have Merkle roots."""
    chain = Chain()
    for number in range(3):
        proofs.hour(chain, proofs.ids(chain, 3, f"a{number}"), proofs.ids(chain, 1, f"b{number}"))
    return chain


def _digests() -> list[bytes]:
    chain = evidence()
    return [gzip.decompress(chain.objects[place].body) for place in chain.digests]


def _as_newest(content: bytes) -> InMemory:
    """The evidence with a newest digest of this content, whose signature fits as far as it can."""
    chain = evidence()
    newest = chain.digests[-1]
    metadata = dict(chain.objects[newest].metadata)
    with contextlib.suppress(ValueError, KeyError, TypeError, RecursionError):
        document = json.loads(content)
        before = document["previousDigestSignature"] or "null"
        lines = [document["digestEndTime"], "/".join(newest), hashlib.sha256(content).hexdigest(), before]
        metadata["signature"] = sign("\n".join(lines).encode(), 0)
    return InMemory(chain.objects | {newest: MadeObject(gzip.compress(content, 1, mtime=0), metadata)})


def _validate(objects: InMemory, keys: Any = None, heads: Any = None) -> object:
    sources = Sources(objects=objects, public_keys=keys or pinned(*KEYS), heads=heads)
    return list(validate(question_of(evidence(), 3), sources))


def _digest_as_stored(data: bytes, _folder: Path) -> object:
    chain = evidence()
    newest = chain.digests[-1]
    return _validate(InMemory(chain.objects | {newest: MadeObject(data, chain.objects[newest].metadata)}))


def _log_files() -> list[bytes]:
    chain = evidence()
    return [gzip.decompress(chain.objects[place].body) for place in chain.logs[:2]]


def _log_file_of_its_hash(content: bytes, _folder: Path) -> object:
    digest = parse_digest(_digests()[0])
    listed = digest.log_files[0]
    entry = LogFileEntry(
        listed.s3_bucket,
        listed.s3_object,
        hashlib.sha256(content).hexdigest(),
        listed.oldest_event_time,
        listed.newest_event_time,
        listed.record_count,
        listed.records_root,
    )
    body = gzip.compress(content, 1, mtime=0)
    return check_log_file(body, entry, digest.account_id, "eu-west-1", records=True)


def _log_file_as_stored(body: bytes, _folder: Path) -> object:
    with contextlib.suppress(MalformedLogFile):
        read_log_file(body, BIG)
    entry = parse_digest(_digests()[0]).log_files[0]
    return check_log_file(body, entry, "111122223333", "eu-west-1", records=True)


def _heads() -> list[bytes]:
    chain = evidence()
    return [json.dumps(made_head(chain, place)).encode() for place in chain.digests]


def _signed_head(data: bytes, _folder: Path) -> object:
    with contextlib.suppress(ValueError, TypeError, AttributeError, RecursionError):
        fields = {name: value for name, value in json.loads(data).items() if name != "signature"}
        message = b"OpenTrail chain head 1\n" + json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()
        data = json.dumps(fields | {"signature": sign(message, 0)}).encode()
    return _validate(InMemory(evidence().objects), heads=ListedHeads([data]))


def _head_files() -> list[bytes]:
    heads = _heads()
    as_list = b"[" + b",".join(heads) + b"]"
    return [as_list, b'{"Heads":' + as_list + b"}", b"\n".join(heads) + b"\n"]


def _head_file(data: bytes, folder: Path) -> object:
    source = HeadFile(_written(folder, data))
    return _validate(InMemory(evidence().objects), heads=source)


def _key_files() -> list[bytes]:
    return [json.dumps({"PublicKeyList": KEYS}).encode(), json.dumps(KEYS).encode()]


def _key_file(data: bytes, folder: Path) -> object:
    return _validate(InMemory(evidence().objects), read_public_keys(_written(folder, data)))


@cache
def _state_files() -> list[bytes]:
    question = question_of(evidence(), 3)
    validation = ChainValidation(question, Sources(objects=InMemory(evidence().objects), public_keys=pinned(*KEYS)))
    assert all(finding.verdict == "valid" for finding in validation.findings())
    with tempfile.TemporaryDirectory() as folder:
        state = StateFile.open(Path(folder, "state"))
        state.record(validation.result, clean=True)
        state.save()
        return [state.path.read_bytes()]


def _state_file(data: bytes, folder: Path) -> object:
    question = question_of(evidence(), 3)
    keys = pinned(*KEYS)
    known = StateFile.open(_written(folder, data)).known(place_of(evidence()))
    digest = verified_known(known, keys.between(0, BEGIN)) if known and known.answers(question) else None
    return list(
        ChainValidation(question, Sources(objects=InMemory(evidence().objects), public_keys=keys), digest).findings()
    )


def _proofs() -> list[bytes]:
    chain = Chain()
    records = proofs.ids(chain, 5)
    digest = proofs.hour(chain, records)
    return [json.dumps(proofs.made_proof(chain, digest, chain.logs[0], records, 2)).encode()]


def _proof(data: bytes, _folder: Path) -> object:
    return check_proof(data, pinned(*KEYS).between(0, BEGIN)), check_proof(data, None)


def _envelopes() -> list[bytes]:
    bucket, key = evidence().digests[0]
    made = evidence().objects[bucket, key]
    return [kept(bucket, key, made), kept(bucket, key, made, STORAGE_KEY), made.body]


def _envelope(data: bytes, folder: Path) -> object:
    (folder / "b").mkdir(exist_ok=True)
    _written(folder / "b", data, "k.json.gz")
    return LocalDirectory(folder, STORAGE_KEY).get("b", "k.json.gz")


def _sidecars() -> list[bytes]:
    return [json.dumps(evidence().objects[evidence().digests[0]].metadata).encode()]


def _sidecar(data: bytes, folder: Path) -> object:
    (folder / "b").mkdir(exist_ok=True)
    _written(folder / "b", b"plain", "k.json.gz")
    _written(folder / "b", data, "k.json.gz.metadata.json")
    return LocalDirectory(folder).get("b", "k.json.gz")


@cache
def _bundle() -> dict[str, bytes]:
    """The files of a bundle of the evidence, by their paths."""
    chain = evidence()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        lay_kept(chain.objects, root / "objects")
        keys = _written(root, json.dumps(KEYS).encode())
        times = ["--start-time", iso(BEGIN), "--end-time", iso(chain.now)]
        place = ["--s3-bucket", chain.bucket, "--directory", str(root / "objects"), "--public-keys", str(keys)]
        assert _command("--trail-arn", chain.arn, *times, *place, "--collect", str(root / "bundle")) == 0
        files = [path for path in (root / "bundle").rglob("*") if path.is_file()]
        return {path.relative_to(root / "bundle").as_posix(): path.read_bytes() for path in files}


def _spoiled_bundle(name: str) -> Callable[[bytes, Path], object]:
    """Validates a bundle in which one file has these bytes."""

    def run(data: bytes, folder: Path) -> object:
        for path, content in _bundle().items():
            (folder / "bundle" / path).parent.mkdir(parents=True, exist_ok=True)
            _written(folder / "bundle", data if path == name else content, path)
        return _command("--from", str(folder / "bundle"))

    return run


def _command(*arguments: str) -> int:
    """The exit code of `validate-logs`."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        return main([*arguments])


def _written(folder: Path, data: bytes, name: str = "file") -> Path:
    file = folder / name
    file.write_bytes(data)
    return file


TARGETS = {
    target.name: target
    for target in (
        Target("digest", _digests, lambda data, _: parse_digest(data), (MalformedDigest,)),
        Target("digest-signed-well", _digests, lambda data, _: _validate(_as_newest(data)), ()),
        Target(
            "digest-as-stored", lambda: [gzip.compress(data, mtime=0) for data in _digests()], _digest_as_stored, ()
        ),
        Target("log-file-of-its-hash", _log_files, _log_file_of_its_hash, ()),
        Target(
            "log-file-as-stored",
            lambda: [gzip.compress(data, mtime=0) for data in _log_files()],
            _log_file_as_stored,
            (),
        ),
        Target("head", _heads, lambda data, _: parse_head(data), (MalformedHead,)),
        Target("head-signed-well", _heads, _signed_head, ()),
        Target("heads-file", _head_files, _head_file, (ReaderUnavailable,)),
        Target("keys-file", _key_files, _key_file, (ReaderUnavailable, NoPublicKeys)),
        Target("state-file", _state_files, _state_file, (ReaderUnavailable,)),
        Target("proof", _proofs, _proof, ()),
        Target("proof-file", _proofs, lambda data, _: parse_proof(data), (MalformedProof,)),
        Target("envelope", _envelopes, _envelope, (ObjectDamaged, CouldNotRead)),
        Target("metadata-file", _sidecars, _sidecar, (ObjectDamaged, CouldNotRead)),
        Target("bundle-manifest", lambda: [_bundle()["manifest.json"]], _spoiled_bundle("manifest.json"), ()),
        Target("bundle-index", lambda: [_bundle()["index.db"]], _spoiled_bundle("index.db"), ()),
    )
}
