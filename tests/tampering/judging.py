"""Asks the judges about a tampered scene: our validator, in this process, and the AWS CLI."""

from __future__ import annotations

import base64
import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from opentrail_validator import (
    Checks,
    Finding,
    NoPublicKeys,
    PinnedKeys,
    PublicKey,
    Question,
    Sources,
    Subject,
    TrailPlace,
    Verdict,
)
from opentrail_validator.readers.port import ObjectReader
from opentrail_validator.run import validate_chains
from opentrail_validator.state_file import StateFile
from tests.evidence_maker.trail_endpoint import trail_endpoint
from tests.servers.aws_cli import AwsCli
from tests.servers.s3 import S3Server
from tests.tampering.attacker.kind import REFUSED, STATE_FILE, Ask, Expected
from tests.tampering.attacker.scene import Chain, Scene, iso, seconds
from tests.tampering.naming import Names

DAY = 86_400
ASKED_LATER = 3 * 3600
"""So long after the newest digest the question is asked: it is due since."""
NO_ASK = Ask()


class ServedKeys:
    """What the API answers; in this process, but nothing of it is believed."""

    def __init__(self, entries: Iterable[dict[str, object]]) -> None:
        self._pinned = _keys(entries)

    def between(self, start: int, end: int) -> Mapping[str, PublicKey]:
        return self._pinned

    def origin(self) -> str:
        return "asked from an API"


@dataclass(frozen=True)
class KeptHeads:
    """Heads in memory."""

    heads_kept: list[bytes]

    def heads(self, bucket: str, folder: str, start: int, end: int) -> Iterator[bytes]:
        for head in self.heads_kept:
            named = json.loads(head)
            is_asked = start <= seconds(named["digestEndTime"]) <= end
            if is_asked and named["digestS3Bucket"] == bucket and named["digestS3Object"].startswith(folder):
                yield head

    def origin(self) -> str:
        return "kept in memory"


def found_by_us(scene: Scene, untouched: Scene, reader: ObjectReader, ask: Ask = NO_ASK) -> Expected:
    """What our validator finds wrong in all chains of a scene: kinds of findings, and keys."""

    def sources_of(question: Question) -> Sources:
        entries = (untouched if ask.pinned else scene).keys[question.place.region]
        keys = PinnedKeys(_keys(entries)) if ask.pinned else ServedKeys(entries)
        return Sources(objects=reader, public_keys=keys, heads=KeptHeads(scene.heads) if ask.heads else None)

    found: Expected = set()
    with tempfile.TemporaryDirectory() as folder:
        state = _state_file(Path(folder, "state.json"), scene.state) if ask.state else None
        questions = [_question(scene, chain, ask) for chain in scene.chains]
        for _, said in validate_chains(questions, sources_of, state, parallel=2):
            if isinstance(said, NoPublicKeys):
                found.add(REFUSED)
            elif isinstance(said, Finding) and _is_wrong(said):
                found.add((str(said.kind), STATE_FILE if said.subject is Subject.STATE else said.key))
    return found


def state_of(scene: Scene, reader: ObjectReader) -> bytes:
    """The state file of a run on a scene that nobody has touched yet."""

    def sources_of(question: Question) -> Sources:
        return Sources(objects=reader, public_keys=PinnedKeys(_keys(scene.keys[question.place.region])))

    with tempfile.TemporaryDirectory() as folder:
        state = StateFile.open(Path(folder, "state.json"))
        for _ in validate_chains([_question(scene, chain, NO_ASK) for chain in scene.chains], sources_of, state, 1):
            pass
        state.save()
        return state.path.read_bytes()


def _state_file(path: Path, content: bytes) -> StateFile:
    path.write_bytes(content)
    return StateFile.open(path)


def s3_environment(s3: S3Server) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL_S3": s3.endpoint,
        "AWS_ACCESS_KEY_ID": s3.access_key,
        "AWS_SECRET_ACCESS_KEY": s3.secret_key,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


@dataclass(frozen=True)
class AwsVerdict:
    """What the AWS CLI made of a scene."""

    code: int
    invalid: frozenset[str]
    """Keys of objects that it calls invalid."""
    text: str
    """The same in words that are the same for each scene."""


def found_by_aws(
    scene: Scene, names: Names, chains: Iterable[Chain], cli: AwsCli, s3: S3Server, ask: Ask = NO_ASK
) -> AwsVerdict:
    """Runs `aws cloudtrail validate-logs` for chains of a scene."""
    verdicts = [_of_chain(scene, names, replace(chain, start=_start(chain, ask)), cli, s3) for chain in chains]
    told = dict.fromkeys(verdict.text for verdict in verdicts if verdict.text)
    invalid: frozenset[str] = frozenset().union(*(verdict.invalid for verdict in verdicts))
    return AwsVerdict(max(verdict.code for verdict in verdicts), invalid, "; ".join(told))


def _of_chain(scene: Scene, names: Names, chain: Chain, cli: AwsCli, s3: S3Server) -> AwsVerdict:
    arguments = ["--trail-arn", chain.arn, "--region", chain.region]
    arguments += ["--start-time", iso(chain.start), "--end-time", iso(chain.end)]
    trail = {"TrailARN": chain.arn, "S3BucketName": scene.bucket}
    with trail_endpoint([trail], scene.keys[chain.region]) as api:
        environment = s3_environment(s3) | {"AWS_ENDPOINT_URL_CLOUDTRAIL": api}
        done = cli.run("cloudtrail", "validate-logs", *arguments, env=environment)
    by_text: dict[str, set[str]] = {}
    told = [line for line in done.stdout.splitlines() if line.startswith("No ")]
    for line in filter(None, map(str.strip, done.stderr.splitlines())):
        _, _, rest = line.partition(f"\ts3://{scene.bucket}/")
        key, is_invalid, text = rest.partition("\tINVALID: ")
        if is_invalid:
            by_text.setdefault(names.in_text(text), set()).add(key)
        else:
            told.append(names.in_text(line))
    told += [f"{names.of_all(keys)}: {text}" for text, keys in by_text.items()]
    invalid: frozenset[str] = frozenset().union(*by_text.values())
    return AwsVerdict(done.returncode, invalid, "; ".join(sorted(set(told))))


def _question(scene: Scene, chain: Chain, ask: Ask) -> Question:
    place = TrailPlace(
        bucket=scene.bucket,
        prefix=None,
        organization_id=None,
        account_id=chain.account,
        region=chain.region,
        trail_name=chain.trail,
        home_region=chain.home,
    )
    return Question(
        trail_arn=chain.arn,
        place=place,
        start=_start(chain, ask),
        end=chain.end,
        now=chain.end + ASKED_LATER,
        checks=Checks(coverage=not ask.days_before),
    )


def _start(chain: Chain, ask: Ask) -> int:
    return chain.start - ask.days_before * DAY


def _is_wrong(finding: Finding) -> bool:
    return finding.verdict in {Verdict.INVALID, Verdict.UNCHECKED}


def _keys(entries: Iterable[dict[str, object]]) -> dict[str, PublicKey]:
    keys = {}
    for entry in entries:
        valid = int(str(entry["ValidityStartTime"])), int(str(entry["ValidityEndTime"]))
        keys[str(entry["Fingerprint"])] = PublicKey(base64.b64decode(str(entry["Value"])), *valid)
    return keys
