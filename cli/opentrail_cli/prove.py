"""`opentrail prove EVENT_ID`: writes the proof of one event, for `validate-logs --proof`. docs/event-proofs.md.

It needs no more than the validator, and has its flags for where evidence lies and whom to trust. Exit codes: 0 the
proof was made; 1 there is none: the event was not found, its digest has no root, or evidence is not valid; 2 wrong
usage; 3 what may hold the event could not be read.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from opentrail.evidence.times import format_time
from opentrail_validator.asked import NoSuchTrail, narrowed, questions_of
from opentrail_validator.bundle_reader import Bundle
from opentrail_validator.flags import FlagsMistaken, read_flags
from opentrail_validator.options import Options, UsageMistakes, options_of
from opentrail_validator.prove import CannotProve, Reason, prove
from opentrail_validator.question import HOUR, Question, Sources
from opentrail_validator.readers.port import ApiNotReached, ApiRefused, CouldNotRead, ReaderUnavailable
from opentrail_validator.reports.port import printable
from opentrail_validator.sources import RunSources

EXIT_PROVED: Final = 0
EXIT_NO_PROOF: Final = 1
EXIT_USAGE: Final = 2
EXIT_NOT_CHECKED: Final = 3
_INTERRUPTED: Final = 130

LATEST_DELIVERY: Final = 30 * 24 * HOUR
"""How long after an event its log file may be delivered: so long a file is kept for a bucket that refuses it."""
_SENT_LATER: Final = (
    "Log files delivered from an hour before to 30 days after --event-time were searched. If the event was sent later "
    "than that (imported from old files), say from when on: --start-time."
)

_EPILOG: Final = (
    "Say when with --event-time or --start-time. The flags of validate-logs that say where evidence lies and whom to "
    "trust have the same meaning here: --trail-arn, --start-time, --end-time, --account-id, --region, --s3-bucket, "
    "--s3-prefix, --organization-id, --endpoint-url, --directory, --storage-key, --public-keys, --concurrency, --from. "
    "Exit codes: 0 the proof was made, 1 there is none, 2 wrong usage, 3 something could not be read."
)


def main(argv: Sequence[str]) -> int:
    """Runs the command; returns its exit code."""
    if {"-h", "--help"}.intersection(argv):
        _parser().print_help()
        return EXIT_PROVED
    try:
        flags, rest = read_flags(argv)
        own = _parser().parse_args(rest)
        return _run(own, flags, int(time.time()))
    except (FlagsMistaken, UsageMistakes) as error:
        return _fail(str(error), EXIT_USAGE)
    except (NoSuchTrail, ApiRefused, ReaderUnavailable) as error:
        return _fail(str(error), EXIT_NOT_CHECKED)
    except (ApiNotReached, CouldNotRead) as error:
        return _fail(f"Nothing could be searched: {error}", EXIT_NOT_CHECKED)
    except KeyboardInterrupt:
        return _INTERRUPTED


def _run(own: argparse.Namespace, flags: argparse.Namespace, now: int) -> int:
    event_time = None if own.event_time is None else _moment(own.event_time)
    range_is_assumed = flags.start_time is None and flags.bundle is None
    if range_is_assumed:
        if event_time is None:
            raise UsageMistakes(["Say when: --event-time (the event history tells it) or --start-time is required"])
        # Clocks differ, so an event may seem to be delivered before it happened.
        flags.start_time = format_time(event_time - HOUR)
        flags.end_time = flags.end_time or format_time(min(now, event_time + LATEST_DELIVERY))
    options = options_of(flags, (), now)
    _refuse_what_has_no_meaning(options)
    with ExitStack() as opened:
        questions, sources_of = _open(options, now, opened)
        return _prove(own, event_time, questions, sources_of, _SENT_LATER if range_is_assumed else "")


def _open(options: Options, now: int, opened: ExitStack) -> tuple[Sequence[Question], Callable[[Question], Sources]]:
    """The chains to search, and where from."""
    if options.bundle is None:
        sources = RunSources(options)
        return questions_of(options, now, sources), sources.of
    bundle = opened.enter_context(closing(Bundle(options.bundle)))
    return narrowed(bundle.questions, options), RunSources(options, bundle=bundle).of


def _prove(
    own: argparse.Namespace,
    event_time: int | None,
    questions: Sequence[Question],
    sources_of: Callable[[Question], Sources],
    advice: str,
) -> int:
    """The proof from the first chain that has the event."""
    failures = []
    for question in questions:
        try:
            data = prove(own.event_id, question, sources_of(question), event_time)
        except CannotProve as error:
            failures.append(error)
            continue
        return _write(data, own.out)
    reasons = {failure.reason for failure in failures}
    unread = Reason.NOT_CHECKED in reasons and Reason.INVALID not in reasons
    lines = [printable(line) for failure in failures for line in str(failure).splitlines()]
    if advice and Reason.NOT_FOUND in reasons:
        lines.append(advice)
    return _fail("\n".join(lines), EXIT_NOT_CHECKED if unread else EXIT_NO_PROOF)


def _write(data: bytes, file: Path | None) -> int:
    if file is None:
        try:
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        except OSError as error:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python tries it once more when it ends
            return _fail(f"The proof could not be written: {error.strerror}", EXIT_NOT_CHECKED)
        return EXIT_PROVED
    try:
        file.write_bytes(data)
    except OSError as error:
        return _fail(f"{file} could not be written: {error.strerror}", EXIT_USAGE)
    sys.stdout.write(f"The proof is in {file}. To check it: validate-logs --proof {file} --public-keys KEYS.json\n")
    return EXIT_PROVED


def _refuse_what_has_no_meaning(options: Options) -> None:
    given = {
        "--heads": options.heads is not None,
        "--require-coverage": options.require_coverage is not None,
        "--no-records": not options.records,
        "--no-unlisted": not options.unlisted,
        "--proof": options.proof is not None,
        "--state": options.state is not None,
        "--full": options.full,
        "--collect": options.collect is not None,
        "--output": options.output != "text",
        "--verbose": options.verbose,
        "--progress": options.progress is not None,
    }
    mistakes = [f"{flag} has no meaning here" for flag, is_given in given.items() if is_given]
    if mistakes:
        raise UsageMistakes(mistakes)


def _moment(text: str) -> int:
    """Epoch seconds of a time as the event history or the AWS CLI shows it: ISO 8601 (no offset: UTC), or a number."""
    try:
        seconds = _seconds(text)
        format_time(seconds - HOUR)
        format_time(seconds + LATEST_DELIVERY)
    except (ValueError, OverflowError):
        raise UsageMistakes([f"Unable to parse date value: {text}"]) from None
    return seconds


def _seconds(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        return int(float(text))
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="opentrail prove",
        usage="opentrail prove EVENT_ID --trail-arn ARN --event-time TIME [--out FILE] [flags of validate-logs]",
        allow_abbrev=False,
        description="Writes a small file with one event and what proves that it was logged, without the other events.",
        epilog=_EPILOG,
    )
    parser.add_argument("event_id", metavar="EVENT_ID", help="the record's eventID")
    parser.add_argument(
        "--event-time", metavar="TIME", help="the record's eventTime: then only log files that may hold it are read"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="where the proof goes; default: the standard output")
    return parser


def _fail(message: str, code: int) -> int:
    sys.stdout.flush()
    sys.stderr.write(f"{message}\n")
    return code
