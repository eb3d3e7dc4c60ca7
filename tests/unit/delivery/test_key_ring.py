import pytest

from opentrail_backends.key_management.port import KeyManagementError, SigningKey
from opentrail_backends.state.port import OutcomeUnknown, PublicKey
from opentrail_delivery.key_ring import KeyRing

REGION, OTHER_REGION = "eu-central-1", "us-east-1"
VALID = 100


class Keys:
    """Key management: counts the pairs that it made; a pair's reference is its number."""

    def __init__(self):
        self.made = []
        self.destroyed = []

    def create_signing_key(self, region):
        self.made.append(region)
        return SigningKey(str(len(self.made)), f"public {len(self.made)}".encode())

    def sign(self, reference, message):
        if reference in self.destroyed:
            raise KeyManagementError("destroyed")
        return reference.encode() + message

    def destroy_signing_key(self, reference):
        self.destroyed.append(reference)


class PublicKeys:
    """What is listed. A `rival` is listed between our look and our adding."""

    def __init__(self):
        self.listed = []
        self.rival = None
        self.failure = None

    def covering(self, region, seconds):
        fitting = [k for k in self.listed if k.region == region and k.valid_from <= seconds <= k.valid_until]
        return max(fitting, key=lambda k: k.valid_from, default=None)

    def between(self, region, start, end):
        fitting = [k for k in self.listed if k.region == region and k.valid_from <= end and k.valid_until >= start]
        return sorted(fitting, key=lambda k: k.valid_from)

    def add(self, key):
        if self.rival is not None:
            self.listed.append(self.rival)
        known = self.covering(key.region, key.valid_from)
        if known is None:
            self.listed.append(key)
        if self.failure is not None:
            failure, self.failure = self.failure, None
            raise failure
        return known or key


@pytest.fixture
def keys():
    return Keys()


@pytest.fixture
def listed():
    return PublicKeys()


@pytest.fixture
def ring(listed, keys):
    return KeyRing(listed, keys, valid_seconds=VALID)


def test_a_key_signs_to_the_last_second_of_its_validity_and_the_next_one_begins_after_it(ring, keys):
    first = ring.key_for(REGION, 1000)
    assert (first.valid_from, first.valid_until) == (1000, 1100)
    assert ring.key_for(REGION, 1100) is first
    second = ring.key_for(REGION, 1101)
    assert (second.valid_from, second.valid_until) == (1101, 1201)
    assert keys.made == [REGION] * 2
    assert keys.destroyed == [], "the first key may still have to sign digests of its time"


def test_a_digest_that_is_built_late_is_signed_by_the_key_of_its_time(ring, keys):
    first, second = ring.key_for(REGION, 1000), ring.key_for(REGION, 1101)
    assert [ring.key_for(REGION, end) for end in (1050, 1150, 1100)] == [first, second, first]
    assert len(keys.made) == 2


def test_each_region_has_its_own_keys(ring, keys):
    assert ring.key_for(REGION, 1000).fingerprint != ring.key_for(OTHER_REGION, 1000).fingerprint
    assert keys.made == [REGION, OTHER_REGION]


def test_what_another_process_listed_before_is_used(listed, keys):
    known = KeyRing(listed, keys, valid_seconds=VALID).key_for(REGION, 1000)
    assert KeyRing(listed, keys, valid_seconds=VALID).key_for(REGION, 1010) == known
    assert len(keys.made) == 1


def test_of_two_that_make_a_key_at_once_one_wins_and_the_others_private_half_is_destroyed(ring, listed, keys):
    listed.rival = PublicKey(
        region=REGION, fingerprint="f", der=b"d", valid_from=950, valid_until=1050, reference="rival"
    )
    assert ring.key_for(REGION, 1000) is listed.rival
    assert ring.key_for(REGION, 1001) is listed.rival
    assert (len(keys.made), keys.destroyed) == (1, ["1"])
    assert ring.sign(listed.rival, b"m") == b"rivalm".hex()


def test_a_key_that_may_have_been_listed_is_found_and_none_is_destroyed(ring, listed, keys):
    listed.failure = OutcomeUnknown("no answer")
    with pytest.raises(OutcomeUnknown):
        ring.key_for(REGION, 1000)
    assert ring.key_for(REGION, 1000) == listed.listed[0]
    assert (len(keys.made), keys.destroyed) == (1, [])


def listed_key(valid_from, valid_until):
    return PublicKey(
        region=REGION, fingerprint="f", der=b"d", valid_from=valid_from, valid_until=valid_until, reference="there"
    )


def validities(listed):
    return sorted((key.valid_from, key.valid_until) for key in listed.listed)


def test_a_key_for_a_late_digest_does_not_reach_into_the_validity_of_a_later_one(ring, listed):
    later = ring.key_for(REGION, 1000)
    late = ring.key_for(REGION, 950)
    assert (late.valid_from, late.valid_until) == (950, 999)
    assert ring.key_for(REGION, 999) == late
    assert ring.key_for(REGION, 1000) == later
    assert validities(listed) == [(950, 999), (1000, 1100)]


def test_a_key_long_before_a_later_one_has_its_whole_validity(ring):
    ring.key_for(REGION, 1000)
    assert (ring.key_for(REGION, 700).valid_from, ring.key_for(REGION, 700).valid_until) == (700, 800)


def test_a_key_begins_where_the_one_before_it_has_just_ended(ring, listed):
    """Several builders come to the end of a key in any order: they do not make a key for each second."""
    ring.key_for(REGION, 1000)
    third = ring.key_for(REGION, 1103)
    assert (third.valid_from, third.valid_until) == (1101, 1201)
    assert ring.key_for(REGION, 1101) == ring.key_for(REGION, 1102) == third
    assert len(listed.listed) == 2


def test_a_key_after_a_time_without_digests_begins_with_its_digest(ring):
    ring.key_for(REGION, 1000)
    assert ring.key_for(REGION, 1150).valid_from == 1150


def test_a_key_fills_a_gap_between_two(ring, listed):
    listed.listed = [listed_key(900, 999), listed_key(1010, 1110)]
    made = ring.key_for(REGION, 1001)
    assert (made.valid_from, made.valid_until) == (1000, 1009)


def test_another_processes_key_that_ends_before_the_digest_does_not_sign_it(ring, listed, keys):
    listed.listed = [listed_key(900, 999)]
    listed.rival = listed_key(1000, 1001)
    made = ring.key_for(REGION, 1002)
    assert (made.valid_from, made.valid_until) == (1002, 1102)
    assert keys.destroyed == ["1"]
    assert validities(listed)[:2] == [(900, 999), (1000, 1001)]


def test_the_key_of_a_digest_is_found_by_its_fingerprint_however_many_there_are_since():
    public_keys = PublicKeys()
    ring = KeyRing(public_keys, Keys(), valid_seconds=VALID)
    old, new = ring.key_for(REGION, 1_000), ring.key_for(REGION, 1_000 + 3 * VALID)
    assert old.fingerprint != new.fingerprint
    again = KeyRing(public_keys, Keys(), valid_seconds=VALID)  # another process
    for known in (ring, again):
        assert known.key_of(REGION, 1_000, old.fingerprint) == old
        assert known.key_of(REGION, 1_000 + 3 * VALID, new.fingerprint) == new
    assert len(public_keys.listed) == 2, "no key is made for it"


@pytest.mark.parametrize(("region", "end"), [(OTHER_REGION, 1_000), (REGION, 5_000)])
def test_a_digest_of_which_nobody_has_the_key_gets_no_other(region, end):
    ring = KeyRing(PublicKeys(), Keys(), valid_seconds=VALID)
    known = ring.key_for(REGION, 1_000)
    ring.key_for(OTHER_REGION, 1_000)
    ring.key_for(REGION, 1_000 + 3 * VALID)
    with pytest.raises(KeyManagementError, match="no signing key"):
        ring.key_of(region, end, known.fingerprint)
