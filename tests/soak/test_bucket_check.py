"""The check at the end of a soak run finds what it is there to find."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from uuid import uuid4

import pytest

from opentrail.evidence.digest import Digest, LogFileEntry, PreviousDigest
from opentrail.evidence.object_keys import DigestKey, LogFileKey
from tests.soak.bucket_check import TrailBucket, check_bucket
from tests.soak.installation import MEMBER, TRAILS, EventKind
from tests.soak.load import Book

TRAIL = next(trail for trail in TRAILS if trail.name == "encrypted")
KIND = EventKind(MEMBER, "us-east-1", False)
MINUTE = 1_760_000_040


class Made:
    """Two digests with one log file each, four accepted events, and one that was never answered."""

    def __init__(self) -> None:
        self.book = Book()
        self.found = TrailBucket(TRAIL)
        for _ in range(5):
            self.book.new(KIND, str(uuid4()))
        self.book.accepted.update(range(4))
        self.book.unknown.add(4)
        self.files = [self.add_file(0, 1), self.add_file(2, 3, 4)]
        self.digests = [self.add_digest(60, self.files[0]), self.add_digest(120, self.files[1])]

    def add_file(self, *serials: int) -> str:
        key = str(LogFileKey(KIND.account, KIND.region, MINUTE, f"file{len(self.found.log_files)}"))
        records = [
            {"eventID": self.book.sent[serial].event_id, "requestParameters": {"serial": serial}} for serial in serials
        ]
        self.found.log_files[key] = json.dumps({"Records": records}).encode()
        return key

    def add_digest(self, end: int, *files: str) -> str:
        place = DigestKey(KIND.account, KIND.region, TRAIL.name, "us-east-1", MINUTE + end)
        before = max(self.found.digests, default=None)
        digest = Digest(
            account_id=KIND.account,
            start=MINUTE + end - 60,
            end=MINUTE + end,
            s3_bucket=TRAIL.bucket,
            s3_object=str(place),
            fingerprint="ab",
            log_files=tuple(
                LogFileEntry(TRAIL.bucket, key, sha256(self.found.log_files[key]), None, None) for key in files
            ),
            previous=None if before is None else self.link_to(before),
        )
        self.put_digest(place, digest)
        return str(place)

    def link_to(self, key: str) -> PreviousDigest:
        return PreviousDigest(TRAIL.bucket, key, sha256(self.found.digests[key][2]), "cd")

    def put_digest(self, place: DigestKey, digest: Digest) -> None:
        self.found.digests[str(place)] = place, digest, digest.to_bytes()

    def findings(self) -> str:
        return "\n".join(check_bucket(self.found, self.book))


def sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


@pytest.fixture
def made() -> Made:
    return Made()


def test_what_fits_gives_no_finding(made: Made) -> None:
    assert made.findings() == ""
    made.book.unknown.clear()
    made.book.accepted.add(4)
    assert made.findings() == ""


def test_an_accepted_event_that_is_not_there_is_lost(made: Made) -> None:
    made.book.accepted.add(made.book.new(KIND, None))
    assert "1 accepted events are lost, such as [5]" in made.findings()


def test_an_accepted_event_in_a_file_that_no_digest_names_is_lost(made: Made) -> None:
    made.book.accepted.add(made.book.new(KIND, "id"))
    key = made.add_file(5)
    assert f"in no digest: {key}" in made.findings()
    assert "1 accepted events are lost" in made.findings()


@pytest.mark.parametrize("serial", [1, 4])
def test_no_event_may_come_twice_not_even_one_without_an_answer(made: Made, serial: int) -> None:
    made.add_digest(180, made.add_file(serial))
    assert f"1 events came twice, such as [{serial}]" in made.findings()


def test_an_event_of_another_account_or_under_another_id_does_not_belong_there(made: Made) -> None:
    made.book.sent[0].kind = KIND._replace(account="999988887777")
    made.book.sent[1].event_id = "another"
    assert "event 0 lies under 222233334444 us-east-1" in made.findings()
    assert "1 events were not wanted, such as [0]" in made.findings()
    assert "event 1 has the id" in made.findings()


def test_a_file_is_in_one_digest_and_is_what_the_digest_says(made: Made) -> None:
    made.add_digest(180, made.files[0])
    assert f"in 2 digests: {made.files[0]}" in made.findings()
    made.found.log_files[made.files[1]] += b" "
    assert f"not what its digest says: {made.files[1]}" in made.findings()
    del made.found.log_files[made.files[1]]
    assert f"missing: {made.files[1]}" in made.findings()


def test_a_chain_is_one_line(made: Made) -> None:
    place, digest, _ = made.found.digests[made.digests[1]]
    made.put_digest(place, replace(digest, previous=None))
    assert "breaks at" in made.findings()
    made.put_digest(place, replace(digest, start=digest.start - 1))
    assert "breaks at" in made.findings()
    assert digest.previous is not None
    made.put_digest(place, replace(digest, previous=replace(digest.previous, hash_value="0" * 64)))
    assert "not the digest before" in made.findings()


def test_a_check_on_nothing_fails() -> None:
    findings = "\n".join(check_bucket(TrailBucket(TRAIL), Book()))
    assert findings.count("a check on nothing proves nothing") == 2
