"""One event is proven out of real evidence, by people who have nothing but the proof and the keys.

Who checks: `validate-logs --proof` in a process of its own in an empty folder; and the lines of docs/event-proofs.md,
with openssl and without anything of ours. The evidence: made chains, and log files of real CloudTrail records.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from opentrail_validator import Sources
from opentrail_validator.proof import FACTS, Outcome, check_proof
from opentrail_validator.prove import prove
from tests.conformance.event_proof_checkers import DOCUMENT, PROVE, VALIDATE, check_by_hand, run
from tests.evidence_maker.in_memory import InMemory, pinned, question_of
from tests.evidence_maker.layouts import lay_plain
from tests.evidence_maker.maker import HOUR, Chain, MadeObject, iso, listed_key, private_key
from tests.evidence_maker.proofs import hour, ids, root

ACCOUNT = "123837392027"
"""Whose the real records are."""


# --- The lines of the document


@pytest.fixture
def chain() -> Chain:
    made = Chain()
    hour(made, ids(made, 3, "before"))
    hour(made, ids(made, 21), ids(made, 4, "beside"))
    return made


KEY = listed_key(private_key(0))


def proof_of(chain: Chain, event_id: str) -> bytes:
    sources = Sources(objects=InMemory(chain.objects), public_keys=pinned(KEY))
    return prove(event_id, question_of(chain), sources)


@pytest.mark.parametrize("event_id", ["e-0", "e-13", "e-20", "beside-3", "before-2"])
def test_the_lines_of_the_document_verify_a_proof(chain, tmp_path, event_id):
    done = check_by_hand(tmp_path / "empty", proof_of(chain, event_id), [listed_key(private_key(1)), KEY])
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "Verified OK"), done.stderr


@pytest.mark.parametrize(
    "change",
    [
        lambda proof: proof | {"record": proof["record"].replace("GetObject", "PutObject")},
        lambda proof: proof | {"recordIndex": 12},
        lambda proof: proof | {"recordCount": 22},
        lambda proof: proof | {"merklePath": proof["merklePath"][:-1]},
        lambda proof: proof | {"merklePath": [*proof["merklePath"], "0" * 64]},
        lambda proof: proof | {"logFile": proof["logFile"] | {"s3Bucket": "another"}},
        lambda proof: proof | {"digestSignature": "00" * 256},
        lambda proof: proof | {"digest": spoilt(proof["digest"])},
    ],
)
def test_the_lines_of_the_document_refuse_what_was_changed(chain, tmp_path, change):
    proof = change(json.loads(proof_of(chain, "e-13")))
    assert check_by_hand(tmp_path / "empty", json.dumps(proof).encode(), [KEY]).returncode != 0


def spoilt(digest: str) -> str:
    data = gzip.decompress(base64.b64decode(digest)).replace(b"audit", b"other")
    return base64.b64encode(gzip.compress(data)).decode()


def test_the_lines_of_the_document_refuse_a_key_that_is_not_ours(chain, tmp_path):
    done = check_by_hand(tmp_path / "empty", proof_of(chain, "e-13"), [listed_key(private_key(1))])
    assert (done.returncode, done.stderr.strip()) == (1, "The key is none of yours")


def test_the_document_explains_every_outcome():
    for outcome, facts in FACTS.items():
        assert f"| `{outcome}` | {facts.verdict} | {facts.meaning} |" in DOCUMENT.read_text()


# --- The commands, in processes of their own


def test_from_the_bucket_to_somebody_who_has_no_access_to_it(chain, tmp_path):
    lay_plain(chain.objects, tmp_path / "objects")
    (tmp_path / "keys.json").write_text(json.dumps([KEY]))
    where = ["--trail-arn", chain.arn, "--s3-bucket", "trail-logs", "--directory", "objects"]
    event_time = iso(chain.now - 2 * HOUR + 13)
    made = run(
        PROVE,
        "e-13",
        *where,
        *("--public-keys", "keys.json", "--event-time", event_time, "--out", "proof.json"),
        folder=tmp_path,
    )
    assert (made.returncode, made.stderr) == (0, "")
    assert (tmp_path / "proof.json").read_bytes() == proof_of(chain, "e-13")

    away = tmp_path / "away"
    away.mkdir()
    for name in ("proof.json", "keys.json"):
        (tmp_path / name).rename(away / name)
    shutil.rmtree(tmp_path / "objects")
    checked = run(VALIDATE, "--proof", "proof.json", "--public-keys", "keys.json", folder=away)
    assert (checked.returncode, checked.stderr) == (0, "")
    assert checked.stdout.startswith("Proof of event e-13: valid\n")
    assert "pinned in keys.json" in checked.stdout

    (away / "proof.json").write_bytes(proof_of(chain, "e-13").replace(b"GetObject", b"PutObject"))
    assert run(VALIDATE, "--proof", "proof.json", "--public-keys", "keys.json", folder=away).returncode == 1


# --- Real records


@pytest.mark.real_records
def test_every_real_record_can_be_proven_alone(real_records, tmp_path):
    """Whole log files of CloudTrail as they are, listed in digests of ours with roots over their records."""
    chain, wanted = Chain(account=ACCOUNT, region="us-east-1", home="us-east-1"), {}
    files = sorted((real_records / "log-files").glob("*.json.gz"))
    entries = [real_entry(chain, file) for file in files]
    chain.hour(0, logFiles=entries[:20])
    chain.hour(0, logFiles=entries[20:])
    for file in files[::5]:
        for record in json.loads(gzip.decompress(file.read_bytes()))["Records"][::7]:
            wanted[record["eventID"]] = record
    assert len(wanted) > 40
    sources = Sources(objects=InMemory(chain.objects), public_keys=pinned(KEY))
    question = question_of(chain)
    for event_id, record in wanted.items():
        result = check_proof(prove(event_id, question, sources), pinned(KEY).between(0, 0))
        assert result.outcome is Outcome.PROVEN
        assert result.proof is not None
        assert json.loads(result.proof.record) == record
    event_id = min(wanted)
    done = check_by_hand(tmp_path / "empty", prove(event_id, question, sources), [KEY])
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "Verified OK")


def real_entry(chain: Chain, file: Path) -> dict[str, Any]:
    body = file.read_bytes()
    data = gzip.decompress(body)
    stamp = file.name.split("_")[3]
    folder = f"AWSLogs/{chain.account}/CloudTrail/{chain.region}/{stamp[:4]}/{stamp[4:6]}/{stamp[6:8]}"
    # The files are named after another account than the one that their records are for.
    name = file.name.replace(file.name.split("_")[0], chain.account)
    place = (chain.bucket, f"{folder}/{name}")
    chain.objects[place] = MadeObject(body, {})
    records = spans_of_records(data.decode())
    return {
        "s3Bucket": place[0],
        "s3Object": place[1],
        "hashValue": hashlib.sha256(data).hexdigest(),
        "hashAlgorithm": "SHA-256",
        "newestEventTime": None,
        "oldestEventTime": None,
        "recordCount": len(records),
        "recordsMerkleRoot": root(records).hex(),
    }


def spans_of_records(text: str) -> list[bytes]:
    """Each record as it stands in the file, found by the standard library's decoder."""
    decoder, spans = json.JSONDecoder(), []
    position = text.index("[", text.index('"Records"')) + 1
    while True:
        while text[position] in " \t\r\n,":
            position += 1
        if text[position] == "]":
            return spans
        _, end = decoder.raw_decode(text, position)
        spans.append(text[position:end].encode())
        position = end
