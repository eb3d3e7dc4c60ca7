"""`prove` on evidence that is wrong, incomplete, or cannot be read: no proof, and the right reason."""

from __future__ import annotations

import gzip
import hashlib

import pytest

from opentrail_validator import PinnedKeys
from opentrail_validator.prove import Reason
from opentrail_validator.readers.port import CouldNotRead
from tests.evidence_maker.in_memory import BEGIN, InMemory, pinned
from tests.evidence_maker.maker import HOUR, Chain, MadeObject, change_content, listed_key, private_key
from tests.evidence_maker.proofs import hour, ids, log_file, record, root
from tests.unit.validator.prove_samples import ask, chain, refused

__all__ = ["chain"]


def with_log_file(made: Chain, data: bytes, records: list[bytes]) -> Chain:
    """A chain with one signed log file of these bytes."""
    entry = log_file(made, [record("placeholder", BEGIN)], made.now)
    made.objects[entry["s3Bucket"], entry["s3Object"]] = MadeObject(gzip.compress(data), {})
    entry |= {"hashValue": hashlib.sha256(data).hexdigest(), "recordCount": len(records)}
    made.hour(0, logFiles=[entry | {"recordsMerkleRoot": root(records).hex()}])
    return made


def test_a_log_file_that_was_changed(chain):
    change_content(chain.objects, chain.logs[1], b"GetObject", b"PutObject")
    error = refused("b-0", chain)
    assert error.reason is Reason.INVALID
    assert f"log s3://{'/'.join(chain.logs[1])}: hash-mismatch" in str(error)
    assert ask("a-0", chain)


def test_a_digest_that_was_changed(chain):
    change_content(chain.objects, chain.digests[0], b"audit", b"other")
    error = refused("a-0", chain)
    assert error.reason is Reason.INVALID
    assert f"digest s3://{'/'.join(chain.digests[0])}" in str(error)


def test_objects_that_are_gone(chain):
    del chain.objects[chain.logs[0]]
    assert "not-found" in str(refused("a-0", chain))


def test_a_digest_that_is_gone_is_missed_by_the_one_that_links_to_it(chain):
    del chain.objects[chain.digests[0]]
    error = refused("a-0", chain)
    assert error.reason is Reason.INVALID
    assert f"digest s3://{'/'.join(chain.digests[0])}: not-found" in str(error)


def test_digests_before_the_time_asked_for_are_not_missed(chain):
    del chain.objects[chain.digests[0]]
    assert refused("a-0", chain, start=BEGIN + HOUR + 1).reason is Reason.NOT_FOUND


def test_digests_that_a_list_hides_are_found_by_their_links(chain):
    class Hides(InMemory):
        def list(self, bucket, prefix, start_after=""):
            return (listed for listed in super().list(bucket, prefix, start_after) if listed.key == chain.digests[2][1])

    assert ask("a-0", chain, Hides(chain.objects)) == ask("a-0", chain)


def test_what_an_unsigned_digest_says_of_the_one_before_is_no_evidence_against_it(chain):
    """The newest of copies without metadata has no signature that could be checked; here its link was changed."""
    signature = chain.objects[chain.digests[1]].metadata["signature"]
    change_content(chain.objects, chain.digests[2], signature.encode(), b"00" * 256)
    for place in chain.digests:
        chain.objects[place] = MadeObject(chain.objects[place].body, None)
    assert refused("a-0", chain).reason is Reason.NOT_CHECKED


def test_a_digest_is_read_once_whatever_links_to_it():
    """A copy without metadata is not signed: anybody can make one that links forward."""
    made = Chain()
    hour(made)
    made.restart()
    hour(made)
    first, second = made.digests
    change_content(made.objects, first, b'"previousDigestS3Bucket": null', b'"previousDigestS3Bucket": "trail-logs"')
    for old, new in (
        (b'"previousDigestS3Object": null', f'"previousDigestS3Object": "{second[1]}"'),
        (b'"previousDigestHashValue": null', f'"previousDigestHashValue": "{"0" * 64}"'),
        (b'"previousDigestSignature": null', '"previousDigestSignature": "00"'),
    ):
        change_content(made.objects, first, old, new.encode())
    for place in made.digests:
        made.objects[place] = MadeObject(made.objects[place].body, None)
    objects = InMemory(made.objects)
    assert refused("a-0", made, objects).reason is Reason.NOT_CHECKED
    assert sorted(objects.read) == sorted(made.digests)


@pytest.mark.parametrize("which", ["digest", "log", "list"])
def test_a_lost_connection_is_no_answer(chain, which):
    objects = {
        "digest": InMemory(chain.objects, lost=(chain.digests[0],)),
        "log": InMemory(chain.objects, lost=(chain.logs[0],)),
        "list": InMemory(chain.objects, unlistable=("trail-logs",)),
    }[which]
    error = refused("a-0", chain, objects)
    assert error.reason is Reason.NOT_CHECKED
    assert "connection reset" in str(error)


def test_a_list_that_breaks_off(chain):
    class BreaksOff(InMemory):
        def list(self, bucket, prefix, start_after=""):
            yield next(super().list(bucket, prefix, start_after))
            raise CouldNotRead("connection reset")

    assert ask("a-0", chain, BreaksOff(chain.objects))
    assert refused("c-0", chain, BreaksOff(chain.objects)).reason is Reason.NOT_CHECKED


def test_only_the_first_of_many_objects_are_named(chain):
    for _ in range(9):
        hour(chain)
    error = str(refused("a-0", chain, InMemory(chain.objects, lost=tuple(chain.digests))))
    assert "12 objects" in error
    assert error.count("connection reset") == 5


def test_a_digest_that_a_later_one_contradicts_is_not_used(chain):
    """Signed with the right key, put in place of the one that the next digest links to."""
    forged = Chain(now=BEGIN)
    hour(forged, ids(forged, 3, "forged"))
    chain.objects |= forged.objects
    error = refused("forged-0", chain)
    assert error.reason is Reason.INVALID
    assert "chain-broken" in str(error)


def test_a_digest_signed_by_a_key_that_is_not_trusted(chain):
    error = refused("a-0", chain, keys=pinned(listed_key(private_key(1))))
    assert error.reason is Reason.INVALID
    assert "unknown-key" in str(error)


def test_no_public_keys_at_all(chain):
    error = refused("a-0", chain, keys=PinnedKeys({}))
    assert error.reason is Reason.NOT_CHECKED
    assert str(error).startswith("No public keys found between")


def test_a_record_that_is_not_utf_8_cannot_be_written_into_a_proof():
    made = Chain()
    broken = record("x", BEGIN).replace(b"GetObject", b"Get\xff")
    data = b'{"Records":[' + broken + b"]}"
    error = refused("x", with_log_file(made, data, [broken]))
    assert error.reason is Reason.INVALID
    assert "no proof can be made" in str(error)


def test_a_record_in_a_log_file_of_another_account():
    made = Chain()
    hour(made, [record("x", BEGIN, "999988887777")])
    error = refused("x", made)
    assert error.reason is Reason.INVALID
    assert "not all of one account" in str(error)
