"""Ids of records that bring none."""

import hashlib
import uuid

from opentrail_producer.event_ids import NUMBERED_EVENTS, numbered_event_id, random_event_id

CLIENT = bytes(range(16))


def test_the_published_vector():
    assert numbered_event_id("111122223333", "eu-west-1", CLIENT, 42) == "00386a88-06cf-5e70-a5fb-191060cdf4cd"


def test_the_vector_follows_from_rfc_9562():
    name = b"111122223333/eu-west-1/000102030405060708090a0b0c0d0e0f/42"
    digest = bytearray(hashlib.sha1(bytes.fromhex("ab5140aed10e47e38c33a9a40f73fbf7") + name).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x50
    digest[8] = digest[8] & 0x3F | 0x80
    assert uuid.UUID(bytes=bytes(digest)) == uuid.UUID(numbered_event_id("111122223333", "eu-west-1", CLIENT, 42))
    assert NUMBERED_EVENTS.hex == "ab5140aed10e47e38c33a9a40f73fbf7"


def test_another_account_region_client_or_number_gives_another_id():
    ids = {
        numbered_event_id(account, region, client, number)
        for account in ("111122223333", "444455556666")
        for region in ("eu-west-1", "eu-west-2")
        for client in (CLIENT, CLIENT[::-1])
        for number in (0, 1, 2**63)
    }
    assert len(ids) == 24


def test_others_are_random():
    first, second = random_event_id(), random_event_id()
    assert first != second
    assert uuid.UUID(first).version == uuid.UUID(second).version == 4
