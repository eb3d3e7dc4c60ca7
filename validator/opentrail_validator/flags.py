"""The flags of `validate-logs`, as argparse sees them: every value a text, nothing required, judged in `options`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Final, NoReturn

OUTPUTS: Final = ("text", "json", "junit", "sarif")

_DESCRIPTION: Final = (
    "Validates trails' digests and log files, newest to oldest, without trusting who wrote them. "
    "The flags of `aws cloudtrail validate-logs` mean what they mean there."
)
_EPILOG: Final = (
    "Exit codes: 0 all is valid and the time is covered, 1 something is invalid, 2 wrong usage, 3 something could not "
    "be checked. docs/validate-logs.md explains it all."
)


class FlagsMistaken(Exception):
    """The command line cannot be taken apart; the message says where."""


class _Parser(argparse.ArgumentParser):
    """Raises instead of ending the process: mistakes are told together."""

    def error(self, message: str) -> NoReturn:
        raise FlagsMistaken(message)


def read_flags(argv: Sequence[str] | None) -> tuple[argparse.Namespace, list[str]]:
    """The flags, and what is none. Raises FlagsMistaken. `--help` prints and ends the process."""
    return _parser().parse_known_args(argv)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="validate-logs", allow_abbrev=False, description=_DESCRIPTION, epilog=_EPILOG)
    _add_what(parser)
    _add_where(parser)
    _add_trust(parser)
    _add_checks(parser)
    _add_runs(parser)
    _add_output(parser)
    return parser


def _add_what(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("what is validated (lists: repeat the flag, or put commas)").add_argument
    add("--trail-arn", action="append", metavar="ARN", help="the trail, or several")
    add("--start-time", metavar="TIME", help="log files delivered from then on (UTC, ISO 8601)")
    add("--end-time", metavar="TIME", help="log files delivered until then (UTC); default: now")
    add("--account-id", action="append", metavar="ID", help="whose log files; default: the trail's account")
    add("--all-accounts", action="store_true", help="every account that has a folder in the bucket")
    add("--region", action="append", metavar="REGION", help="where events were recorded; default: the home region")
    add("--all-regions", action="store_true", help="every region that has a folder in the bucket")


def _add_where(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("where it lies").add_argument
    add("--s3-bucket", metavar="BUCKET", help="the digests' bucket; default: the API is asked")
    add("--s3-prefix", metavar="PREFIX", help="the digests' prefix, with --s3-bucket")
    add("--organization-id", metavar="ID", help="the organization of the trail, with --s3-bucket")
    add("--endpoint-url", metavar="URL", help="the CloudTrail API; for S3 set AWS_ENDPOINT_URL_S3")
    add("--directory", metavar="DIR", help="read objects from DIR/BUCKET/KEY instead of S3")
    add("--storage-key", metavar="FILE", help="the key of an encrypted directory (base64, one line)")
    add("--concurrency", metavar="N", help="how many objects are read from S3 at once")


def _add_trust(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("whom to trust").add_argument
    add("--public-keys", metavar="FILE", help="trust these keys (JSON of ListPublicKeys), ask no API for keys")
    add(
        "--heads",
        metavar="FILE|DIR|s3://BUCKET[/PREFIX]",
        help="signed chain heads that were kept elsewhere: tells whether the newest digests were removed",
    )


def _add_checks(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("what is checked").add_argument
    add(
        "--require-coverage",
        action=argparse.BooleanOptionalAction,
        help="whether time that no valid digest covers is an error (default: yes)",
    )
    add("--no-records", action="store_true", help="do not look into records")
    add("--no-unlisted", action="store_true", help="do not look for log files that no digest names")
    add("--proof", metavar="FILE", help="check the proof of one event (of `opentrail prove`), nothing else")


def _add_runs(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("runs that know of each other").add_argument
    add("--state", metavar="FILE", help="keep what was verified; the next run reads only what is new")
    add("--full", action="store_true", help="read all, whatever the state file knows")
    add("--collect", metavar="DIR", help="validate, and keep all evidence that was read in DIR, a new bundle")
    add("--from", dest="bundle", metavar="DIR", help="validate such a bundle, without a network")


def _add_output(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("output").add_argument
    add("--output", default="text", metavar="|".join(OUTPUTS), help="the form of the report")
    add("--verbose", action="store_true", help="name what is valid, too")
    add(
        "--progress",
        action=argparse.BooleanOptionalAction,
        help="show progress on the standard error (default: on a terminal)",
    )
