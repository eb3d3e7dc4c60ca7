"""Good digests as they are stored, and a check of one."""

from opentrail_validator import PublicKey
from opentrail_validator.digest_check import check_digest
from opentrail_validator.readers.port import StoredObject
from tests.evidence_maker.in_memory import place_of
from tests.evidence_maker.maker import Chain, private_key, public_der

PUBLIC = PublicKey(public_der(private_key(0)))


def made(**changes):
    chain = Chain()
    place = chain.hour(1, **changes)
    return place, StoredObject(chain.objects[place].body, chain.objects[place].metadata)


def check(stored, place=None, key=PUBLIC, **more):
    bucket, name = place or made()[0]
    return check_digest(stored, bucket, name, lambda _fingerprint, _stored: key, place_of(Chain()), **more)
