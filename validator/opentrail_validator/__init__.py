"""Validates CloudTrail evidence: digests, their chain and signatures, and the log files that they list.

The way in for programs: `validate` yields findings about the chain that a `Question` asks for, from `Sources` of
objects, public keys and chain heads. `opentrail_validator.command` is the command `validate-logs`.
"""

from opentrail_validator.chain_validation import NoPublicKeys, validate
from opentrail_validator.findings import Finding, Kind, Severity, Subject, Verdict
from opentrail_validator.public_keys import PinnedKeys, read_public_keys
from opentrail_validator.question import Checks, Question, Sources, Span
from opentrail_validator.readers.local_directory import LocalDirectory, read_storage_key
from opentrail_validator.readers.port import PublicKey
from opentrail_validator.trail_place import TrailPlace, parse_trail_arn

__all__ = [
    "Checks",
    "Finding",
    "Kind",
    "LocalDirectory",
    "NoPublicKeys",
    "PinnedKeys",
    "PublicKey",
    "Question",
    "Severity",
    "Sources",
    "Span",
    "Subject",
    "TrailPlace",
    "Verdict",
    "parse_trail_arn",
    "read_public_keys",
    "read_storage_key",
    "validate",
]
