"""Step 10: which heads are left for later when a key does not sign."""

import uuid

import pytest

from opentrail.evidence.chain_head import parse_head
from opentrail.evidence.object_keys import digest_key
from opentrail_backends.key_management.port import KeyManagementError, KeyNotFound
from opentrail_backends.state.port import BuiltDigest, PublicKey
from opentrail_delivery.key_ring import KeyRing
from opentrail_delivery.metrics import DeliveryMetrics
from opentrail_delivery.signed_heads import HeadSigner

REGION, OTHER_REGION = "eu-central-1", "us-east-1"
ACCOUNT = "111122223333"
REST = 30.0
OLD, NEW = "old key", "new key"


class Keys:
    """Key management: signs with all references but those that fail."""

    def __init__(self):
        self.failing = {}
        self.tries = []

    def sign(self, reference, message):
        self.tries.append(reference)
        if reference in self.failing:
            raise self.failing[reference]
        return b"\x01" * 256


class PublicKeys:
    def between(self, region, start, end):
        return [
            PublicKey(
                region=region, fingerprint=name, der=b"", valid_from=0, valid_until=5000, reference=f"{region}/{name}"
            )
            for name in (OLD, NEW)
        ]


class Chains:
    def now(self):
        return 2_000_000


class World:
    def __init__(self):
        self.keys, self.now = Keys(), 1000.0
        ring = KeyRing(PublicKeys(), self.keys, valid_seconds=100)
        self.signer = HeadSigner(Chains(), ring, DeliveryMetrics(), REST, lambda: self.now)

    def sign(self, fingerprint=NEW, region=REGION):
        return self.signer.sign(digest(fingerprint, region))


def digest(fingerprint, region):
    key = digest_key(account_id=ACCOUNT, region=region, trail_name="audit", home_region=REGION, end_seconds=1000)
    return BuiltDigest(
        chain_id=str(uuid.uuid4()),
        sequence=1,
        bucket="trail-logs",
        object_key=key,
        start=0,
        end=1000,
        body=b"",
        sha256="0" * 64,
        signature="ab",
        fingerprint=fingerprint,
        trail_arn=f"arn:aws:cloudtrail:{REGION}:{ACCOUNT}:trail/audit",
    )


@pytest.fixture
def world():
    return World()


def test_a_head_says_what_its_digest_is_and_when_it_was_signed(world):
    head = parse_head(world.sign())
    assert (head.end, head.sequence, head.fingerprint, head.signed_at) == (1000, 1, NEW, 2000)


@pytest.mark.parametrize("error", [KeyNotFound, KeyManagementError])
def test_a_key_that_was_destroyed_holds_up_no_head_of_the_regions_other_keys(world, error):
    """Who destroys old keys, or upgrades after he did, has chains that ended long ago without a head for ever."""
    world.keys.failing[f"{REGION}/{OLD}"] = error("scripted: destroyed")
    for _ in range(10):
        assert world.sign(OLD) is None
        assert world.sign() is not None
        world.now += REST / 2
    assert world.keys.tries.count(f"{REGION}/{OLD}") == 5, "it is asked again after a rest"


def test_a_key_that_does_not_sign_holds_up_no_other_region(world):
    world.keys.failing[f"{REGION}/{NEW}"] = KeyManagementError("scripted: no answer")
    assert world.sign() is None
    assert world.sign(region=OTHER_REGION) is not None
    del world.keys.failing[f"{REGION}/{NEW}"]
    assert world.sign() is None, "it rests"
    world.now += REST
    assert world.sign() is not None
