import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from opentrail.evidence import BadSignature, MalformedKeyError, fingerprint, public_key_der, sign, verify

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
DER = public_key_der(KEY)


def test_a_public_key_is_270_bytes_of_pkcs1():
    assert len(DER) == 270
    # SEQUENCE, then at once the modulus as INTEGER: no algorithm identifier.
    assert DER[:4] == b"\x30\x82\x01\x0a"
    assert DER[4:8] == b"\x02\x82\x01\x01"
    assert DER[-5:] == b"\x02\x03\x01\x00\x01"


def test_the_fingerprint_is_the_md5_of_the_bytes():
    assert fingerprint(b"") == "d41d8cd98f00b204e9800998ecf8427e"


def test_a_signature_is_verified():
    signature = sign(KEY, b"message")
    assert len(signature) == 256
    verify(DER, signature.hex(), b"message")
    verify(DER, signature.hex().upper(), b"message")


def test_signing_twice_gives_the_same():
    assert sign(KEY, b"message") == sign(KEY, b"message")


SIGNATURE = sign(KEY, b"message").hex()
BAD = {
    "empty": "",
    "odd length": SIGNATURE[:-1],
    "not hex": "zz" + SIGNATURE[2:],
    "spaces between": SIGNATURE[:2] + " " + SIGNATURE[2:],
    "end of line": SIGNATURE + "\n",
    "digits of another script": "١١" + SIGNATURE[2:],
    "too long": "00" + SIGNATURE,
    "too short": SIGNATURE[2:],
    "of another message": sign(KEY, b"messagf").hex(),
    "with SHA-1": KEY.sign(b"message", padding.PKCS1v15(), SHA1()).hex(),
    "with PSS": KEY.sign(b"message", padding.PSS(padding.MGF1(SHA256()), 32), SHA256()).hex(),
    "of zeros": "00" * 256,
}


@pytest.mark.parametrize("defect", BAD)
def test_a_bad_signature(defect):
    with pytest.raises(BadSignature):
        verify(DER, BAD[defect], b"message")


def test_each_bit_of_the_digest_of_the_message_counts():
    for position in range(7):
        message = bytearray(b"message")
        message[position] ^= 1
        with pytest.raises(BadSignature):
            verify(DER, SIGNATURE, bytes(message))


SHORT = rsa.generate_private_key(public_exponent=65537, key_size=1024)
CURVE = ec.generate_private_key(ec.SECP256R1())
MALFORMED = {
    "empty": b"",
    "junk": b"junk",
    "cut off": DER[:-1],
    "something after it": DER + b"\0",
    "SubjectPublicKeyInfo": KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
    "PEM": KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.PKCS1),
    "1024 bits": public_key_der(SHORT),
    "a curve": CURVE.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
    "even exponent": DER[:-1] + b"\0",
    "padded modulus": b"\x30\x82\x01\x0b\x02\x82\x01\x02\0" + DER[8:],
}


@pytest.mark.parametrize("defect", MALFORMED)
def test_a_malformed_key(defect):
    with pytest.raises(MalformedKeyError):
        verify(MALFORMED[defect], SIGNATURE, b"message")


def test_the_fingerprint_does_not_stand_for_the_key():
    assert fingerprint(DER) == hashlib.md5(DER).hexdigest()
    other = public_key_der(rsa.generate_private_key(public_exponent=65537, key_size=2048))
    with pytest.raises(BadSignature):
        verify(other, SIGNATURE, b"message")
