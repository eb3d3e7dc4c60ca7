r"""What lies in a trail's bucket, and how it proves that nobody changed it.

Log files hold the events. Each hour a digest lists the log files delivered and their hashes, names the digest before
it, and is signed:

>>> import hashlib
>>> from cryptography.hazmat.primitives.asymmetric import rsa
>>> from opentrail.evidence import Digest, digest_key, fingerprint, format_time, parse_digest, string_to_sign
>>> from opentrail.evidence import public_key_der, sign, verify
>>> private_key = rsa.generate_private_key(65537, 2048)
>>> public_key = public_key_der(private_key)
>>> key = digest_key(
...     account_id="111122223333", region="eu-west-1", trail_name="audit", home_region="eu-west-1", end_seconds=3600
... )
>>> print(*key.rsplit("/", maxsplit=1), sep="\n")
AWSLogs/111122223333/CloudTrail-Digest/eu-west-1/1970/01/01
111122223333_CloudTrail-Digest_eu-west-1_audit_eu-west-1_19700101T010000Z.json.gz
>>> digest = Digest("111122223333", 0, 3600, "logs", key, fingerprint(public_key), log_files=(), previous=None)
>>> data = digest.to_bytes()
>>> parse_digest(data) == digest
True
>>> message = string_to_sign(format_time(digest.end), "logs", key, hashlib.sha256(data).hexdigest(), None)
>>> signature = sign(private_key, message).hex()
>>> verify(public_key, signature, message)

`verify` raises BadSignature if the message is another one.
"""

from opentrail.evidence.digest import (
    Digest,
    LogFileEntry,
    MalformedDigest,
    PreviousDigest,
    parse_digest,
    string_to_sign,
)
from opentrail.evidence.object_keys import (
    DigestKey,
    LogFileKey,
    LogKind,
    MalformedKey,
    digest_key,
    log_file_key,
    parse_key,
)
from opentrail.evidence.signature import (
    BadSignature,
    MalformedKeyError,
    fingerprint,
    public_key_der,
    sign,
    verify,
)
from opentrail.evidence.times import MalformedTime, format_time, parse_time

__all__ = [
    "BadSignature",
    "Digest",
    "DigestKey",
    "LogFileEntry",
    "LogFileKey",
    "LogKind",
    "MalformedDigest",
    "MalformedKey",
    "MalformedKeyError",
    "MalformedTime",
    "PreviousDigest",
    "digest_key",
    "fingerprint",
    "format_time",
    "log_file_key",
    "parse_digest",
    "parse_key",
    "parse_time",
    "public_key_der",
    "sign",
    "string_to_sign",
    "verify",
]
