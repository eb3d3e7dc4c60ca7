"""The command `validate-logs`: what `aws cloudtrail validate-logs` does, and more. docs/validate-logs.md is its manual.

Exit codes: 0 all is valid and the time is covered; 1 something is invalid; 2 wrong usage; 3 something, or everything,
could not be checked.
"""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from typing import TextIO

from opentrail_validator.asked import NoSuchTrail, narrowed, questions_of
from opentrail_validator.bundle import BundleWriter
from opentrail_validator.bundle_reader import Bundle
from opentrail_validator.findings import Finding, Verdict
from opentrail_validator.options import Options, UsageMistakes, read_options
from opentrail_validator.progress import Progress
from opentrail_validator.proof_file import MAX_PROOF_BYTES
from opentrail_validator.proof_report import proof_keys, proof_report
from opentrail_validator.question import Question
from opentrail_validator.readers.port import ApiNotReached, ApiRefused, CouldNotRead, ReaderUnavailable
from opentrail_validator.reports.json_report import JsonReport
from opentrail_validator.reports.junit import JunitReport
from opentrail_validator.reports.port import Report, RunInfo, printable
from opentrail_validator.reports.sarif import SarifReport
from opentrail_validator.reports.text import TextReport
from opentrail_validator.run import ChainFailure, validate_chains
from opentrail_validator.sources import RunSources, proof_key_source
from opentrail_validator.state_file import StateFile
from opentrail_validator.summary import EXIT_NOT_CHECKED, EXIT_USAGE, ChainSummary, Origins, Summary
from opentrail_validator.walked import ChainResult

_CHAINS_AT_ONCE = 4
_INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code. Nothing that goes wrong looks like a verdict."""
    sys.stdout, sys.stderr = (stream or open(os.devnull, "w") for stream in (sys.stdout, sys.stderr))  # noqa: SIM115, PTH123 - one that was closed
    try:
        with _ended_by_ctrl_c():
            code = _main(argv)
            sys.stdout.flush()
    except KeyboardInterrupt:
        return _INTERRUPTED
    except Exception as error:
        return _broken_off(error)
    return code


@contextmanager
def _ended_by_ctrl_c() -> Iterator[None]:
    """At once: the threads that read may have to wait a minute for a server that says nothing."""
    before = signal.getsignal(signal.SIGINT)
    is_mine = before is signal.default_int_handler and threading.current_thread() is threading.main_thread()
    if is_mine:
        signal.signal(signal.SIGINT, lambda _number, _frame: os._exit(_INTERRUPTED))
    try:
        yield
    finally:
        if is_mine:
            signal.signal(signal.SIGINT, before)


def _broken_off(error: Exception) -> int:
    """Says what it can, to whom it can; the exit code is never that of a verdict, nor Python's own."""
    _drop_what_cannot_be_written(sys.stdout)
    with suppress(OSError):  # there may be nobody to tell
        if isinstance(error, OSError) and error.filename is None:  # of the output: what is read has errors of its own
            if not isinstance(error, BrokenPipeError):  # then whoever reads it has gone, and waits for no verdict
                _fail(f"The report could not be written: {error.strerror}", EXIT_NOT_CHECKED)
        else:
            traceback.print_exception(error)
            _fail("Nothing could be checked: this is a fault of the program", EXIT_NOT_CHECKED)
    _drop_what_cannot_be_written(sys.stderr)
    return EXIT_NOT_CHECKED


def _drop_what_cannot_be_written(stream: TextIO) -> None:
    """Python would try it once more when it ends, and end with an exit code of its own."""
    try:
        stream.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _main(argv: Sequence[str] | None) -> int:
    now = int(time.time())
    try:
        options = read_options(argv, now)
        _prepare_output(options)
        if options.proof is not None:
            return _check_proof(options)
        return _run_on_bundle(options) if options.bundle is not None else _run(options, now)
    except UsageMistakes as error:
        return _fail("\n".join(error.mistakes), EXIT_USAGE)
    except (NoSuchTrail, ApiRefused, ReaderUnavailable) as error:
        return _fail(str(error), EXIT_NOT_CHECKED)
    except (ApiNotReached, CouldNotRead) as error:
        return _fail(f"Nothing could be checked: {error}", EXIT_NOT_CHECKED)


def _run(options: Options, now: int) -> int:
    """Asks the outside; keeps its answers in a bundle, or what was verified in a state file, where that is wanted."""
    if options.collect is None:
        sources = RunSources(options)
        state = None if options.state is None else StateFile.open(options.state)
        questions = questions_of(options, now, sources, () if state is None else state.places())
        summary = _validate(options, questions, sources, state)
        return summary.exit_code if state is None else _last(summary, state.save)
    with closing(BundleWriter(options.collect)) as writer:
        sources = RunSources(options, writer=writer)
        questions = questions_of(options, now, sources)
        summary = _validate(options, questions, sources, notices=(f"the evidence is kept in {options.collect}",))
        return _last(summary, lambda: writer.finish(questions, sources.origins()))


def _last(summary: Summary, write: Callable[[], None]) -> int:
    """Writes what is to outlast the run. The exit code: what is invalid stays so, whatever cannot be written."""
    try:
        write()
    except ReaderUnavailable as error:
        return _fail(str(error), summary.exit_code or EXIT_NOT_CHECKED)
    return summary.exit_code


def _run_on_bundle(options: Options) -> int:
    assert options.bundle is not None
    with closing(Bundle(options.bundle)) as bundle:
        questions = narrowed(bundle.questions, options)
        sources = RunSources(options, bundle=bundle)
        notice = f"this is the bundle {options.bundle}, collected {bundle.collected}"
        return _validate(options, questions, sources, notices=(notice,)).exit_code


def _validate(
    options: Options,
    questions: Sequence[Question],
    sources: RunSources,
    state: StateFile | None = None,
    notices: Sequence[str] = (),
) -> Summary:
    """Validates the chains and reports."""
    telling = _Telling(_report(options), _progress(options, len(questions), sources), verbose=options.verbose)
    telling.begin(RunInfo(questions, has_heads=sources.heads is not None, verbose=options.verbose, notices=notices))
    for question, said in validate_chains(questions, sources.of, None if options.full else state, _CHAINS_AT_ONCE):
        chain = telling.tell(question, said)
        if state is not None and options.full and isinstance(said, ChainResult):
            state.record(said, chain.verdict is Verdict.VALID)
    telling.finish(sources.origins())
    return telling.summary


class _Telling:
    """Passes what is said on to the summary, the report and the progress line."""

    def __init__(self, report: Report, progress: Progress | None, *, verbose: bool) -> None:
        self.summary = Summary()
        self._report = report
        self._progress = progress
        self._verbose = verbose
        self._chain: ChainSummary | None = None

    def begin(self, run: RunInfo) -> None:
        self._report.begin(run)

    def tell(self, question: Question, said: Finding | ChainResult | ChainFailure) -> ChainSummary:
        """Whose chain it is about."""
        chain = self._chain or self._begin_chain(question)
        if isinstance(said, Finding):
            self.summary.add(said)
            if self._progress is not None:
                self._progress.add(said)
                if self._verbose or said.verdict is not Verdict.VALID:
                    self._progress.clear()
            self._report.add(question, said)
        else:
            chain.end(said)
            if self._progress is not None:
                self._progress.clear()
            self._report.end_chain(chain)
            self._chain = None
        return chain

    def finish(self, origins: Origins) -> None:
        self.summary.origins = origins
        self._report.finish(self.summary)

    def _begin_chain(self, question: Question) -> ChainSummary:
        self._chain = self.summary.begin_chain(question)
        if self._progress is not None:
            self._progress.clear()
            self._progress.begin_chain(question)
        self._report.begin_chain(question)
        return self._chain


def _report(options: Options) -> Report:
    match options.output:
        case "json":
            return JsonReport(sys.stdout)
        case "junit":
            return JunitReport(sys.stdout)
        case "sarif":
            return SarifReport(sys.stdout)
        case _:
            return TextReport(sys.stdout, sys.stderr)


def _progress(options: Options, chains: int, sources: RunSources) -> Progress | None:
    wanted = sys.stderr.isatty() if options.progress is None else options.progress
    return Progress(sys.stderr, chains, lambda: sources.objects.size) if wanted else None


def _check_proof(options: Options) -> int:
    """The proof of one event. Without pinned keys, and without an API to ask, the proof's own key is all there is."""
    assert options.proof is not None
    try:
        with options.proof.open("rb") as file:
            data = file.read(MAX_PROOF_BYTES + 1)  # a larger one is refused when it is parsed
    except OSError as error:
        raise ReaderUnavailable(f"The proof {options.proof} could not be read: {error.strerror}") from None
    keys, origin = None, ""
    if options.public_keys is not None or options.regions or options.endpoint_url:
        source = proof_key_source(options)
        keys, origin = proof_keys(data, source), source.origin()
    text, code = proof_report(data, keys, origin, "json" if options.output == "json" else "text")
    sys.stdout.write(text)
    return code


def _prepare_output(options: Options) -> None:
    """A name that the terminal's encoding does not have is escaped; XML says of itself that it is UTF-8."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if options.output == "junit" and isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")


def _fail(message: str, code: int) -> int:
    sys.stdout.flush()
    text = "\n".join(map(printable, message.split("\n")))
    sys.stderr.write(f"\n{text}\n")
    return code
