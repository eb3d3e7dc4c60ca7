"""The command `validate-logs`: the flags, words and exit codes of `aws cloudtrail validate-logs`, and some of our own.

Exit codes: 0 nothing invalid; 1 something is invalid; 3 something could not be checked; 255 nothing could be validated,
the message says why; 2 wrong usage.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from opentrail.evidence.times import format_time
from opentrail_validator.chain_walk import NoPublicKeys, validate
from opentrail_validator.public_keys import read_public_keys
from opentrail_validator.readers.local_directory import LocalDirectory, read_storage_key
from opentrail_validator.readers.port import (
    ApiNotReached,
    ApiRefused,
    ObjectReader,
    PublicKeySource,
    ReaderUnavailable,
    TrailApi,
)
from opentrail_validator.report import EXIT_FAILED, EXIT_NOT_CHECKED, TextReport
from opentrail_validator.trail_place import BadRequest, TrailArn, TrailPlace, parse_moment, parse_trail_arn


@dataclass(frozen=True, slots=True)
class _Question:
    """What is asked, read from the command line."""

    trail: TrailArn
    region: str
    start: int
    end: int


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    arguments = _parser().parse_args(argv)
    try:
        return _run(arguments)
    except (BadRequest, ReaderUnavailable, ApiRefused) as error:
        return _fail(str(error), EXIT_FAILED)
    except NoPublicKeys as error:
        between = f"{format_time(error.start)} and {format_time(error.end)}"
        return _fail(f"No public keys found between {between}", EXIT_FAILED)
    except ApiNotReached as error:
        return _fail(f"Nothing could be checked: {error}", EXIT_NOT_CHECKED)
    except KeyboardInterrupt:
        return 130


def _run(arguments: argparse.Namespace) -> int:
    question = _question(arguments)
    place = _place(arguments, question)
    keys = _public_keys(arguments, question)
    objects = _objects(arguments, question.region)
    report = TextReport(
        arguments.trail_arn,
        question.trail.home_region,
        question.start,
        question.end,
        verbose=arguments.verbose,
        out=sys.stdout,
        err=sys.stderr,
    )
    report.begin()
    for finding in validate(place, question.start, question.end, objects, keys):
        report.add(finding)
    return report.finish()


def _question(arguments: argparse.Namespace) -> _Question:
    start = parse_moment(arguments.start_time)
    end = parse_moment(arguments.end_time) if arguments.end_time else int(time.time())
    if start > end:
        raise BadRequest("Invalid time range specified: start-time must occur before end-time")
    trail = parse_trail_arn(arguments.trail_arn)
    return _Question(trail, arguments.region or trail.home_region, start, end)


def _place(arguments: argparse.Namespace, question: _Question) -> TrailPlace:
    """Where the digests lie: as the command line says, or else as the API does."""
    bucket, prefix, organization_id = arguments.s3_bucket, arguments.s3_prefix, arguments.organization_id
    if bucket is None:
        api = _api(question.region, arguments.endpoint_url)
        trail = api.trail(arguments.trail_arn)
        if trail is None:
            raise BadRequest(f"A trail could not be found for {arguments.trail_arn}")
        bucket, prefix = trail.bucket, trail.prefix
        if trail.is_organization_trail and not arguments.account_id:
            raise BadRequest("Missing required parameter for organization trail: '--account-id'")
        if trail.is_organization_trail and organization_id is None:
            organization_id = api.organization_id()
    return TrailPlace(
        bucket=bucket,
        prefix=prefix,
        organization_id=organization_id,
        account_id=arguments.account_id or question.trail.account_id,
        region=question.region,
        trail_name=question.trail.name,
        home_region=question.trail.home_region,
    )


def _public_keys(arguments: argparse.Namespace, question: _Question) -> PublicKeySource:
    """The keys that the auditor pinned, or else those that the API gives."""
    if arguments.public_keys:
        return read_public_keys(arguments.public_keys)
    return _api(question.region, arguments.endpoint_url)


def _api(region: str, endpoint_url: str | None) -> TrailApi:
    from opentrail_validator.readers.s3 import AwsApi  # noqa: PLC0415 - needs an extra that may be missing

    return AwsApi(region, endpoint_url)


def _objects(arguments: argparse.Namespace, region: str) -> ObjectReader:
    if arguments.directory is None:
        from opentrail_validator.readers.s3 import S3Reader  # noqa: PLC0415 - as above

        return S3Reader(region)
    storage_key = read_storage_key(arguments.storage_key) if arguments.storage_key else None
    return LocalDirectory(arguments.directory, storage_key)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="validate-logs",
        allow_abbrev=False,
        description="Validates a trail's digests and log files, newest to oldest, without trusting who wrote them.",
        epilog="Exit codes: 0 nothing invalid, 1 something is invalid, 2 wrong usage, 3 something could not be "
        "checked, 255 nothing could be validated.",
    )
    add = parser.add_argument
    add("--trail-arn", required=True, metavar="ARN", help="the trail")
    add("--start-time", required=True, metavar="TIME", help="log files delivered from then on (UTC, ISO 8601)")
    add("--end-time", metavar="TIME", help="log files delivered until then (UTC); default: now")
    add("--s3-bucket", metavar="BUCKET", help="the digests' bucket; default: the API is asked")
    add("--s3-prefix", metavar="PREFIX", help="the digests' prefix, with --s3-bucket")
    add("--account-id", metavar="ID", help="whose log files; needed for an organization's trail")
    add("--organization-id", metavar="ID", help="the organization of the trail, with --s3-bucket")
    add("--verbose", action="store_true", help="name what is valid, too")
    add("--region", metavar="REGION", help="where the events were recorded; default: the trail's home region")
    add("--endpoint-url", metavar="URL", help="the CloudTrail API; for S3 set AWS_ENDPOINT_URL_S3")
    add("--directory", type=Path, metavar="DIR", help="read objects from DIR/BUCKET/KEY instead of S3")
    add("--storage-key", type=Path, metavar="FILE", help="the key of an encrypted directory (base64, one line)")
    add("--public-keys", type=Path, metavar="FILE", help="trust these keys (JSON of ListPublicKeys), ask no API")
    return parser


def _fail(message: str, code: int) -> int:
    sys.stdout.flush()
    sys.stderr.write(f"\n{message}\n")
    return code
