"""Validates CloudTrail evidence: digests, their chain and signatures, and the log files that they list.

The way in for programs: `validate` yields findings for a `TrailPlace`, from an object reader and a source of public
keys. `opentrail_validator.command` is the command `validate-logs`.
"""

from opentrail_validator.chain_walk import NoPublicKeys, validate
from opentrail_validator.findings import Finding, Kind, Subject, Verdict
from opentrail_validator.public_keys import PinnedKeys, read_public_keys
from opentrail_validator.readers.local_directory import LocalDirectory, read_storage_key
from opentrail_validator.report import TextReport
from opentrail_validator.trail_place import TrailPlace, parse_trail_arn

__all__ = [
    "Finding",
    "Kind",
    "LocalDirectory",
    "NoPublicKeys",
    "PinnedKeys",
    "Subject",
    "TextReport",
    "TrailPlace",
    "Verdict",
    "parse_trail_arn",
    "read_public_keys",
    "read_storage_key",
    "validate",
]
