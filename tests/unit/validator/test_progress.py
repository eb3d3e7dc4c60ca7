import io

import pytest

from opentrail_validator import Finding, Kind, Subject
from opentrail_validator.progress import CountingReader, Progress
from opentrail_validator.readers.port import CouldNotRead, Place
from tests.evidence_maker.in_memory import InMemory
from tests.evidence_maker.maker import Chain
from tests.unit.validator.reports.runs import LOG, VALID, question


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def shown(stream, chains=1):
    clock = Clock()
    progress = Progress(stream, chains, lambda: 3_400_000, clock)
    progress.begin_chain(question())
    progress.add(VALID)
    clock.now += 10
    progress.add(LOG)
    return progress


def test_on_a_terminal_one_line_is_written_over_and_taken_away():
    err = Terminal()
    progress = shown(err)
    line = "1 digest files, 1 log files, 3.4 MB read, 340.0 KB/s"
    assert err.getvalue() == f"\r\x1b[K{line}"
    progress.clear()
    progress.clear()
    assert err.getvalue() == f"\r\x1b[K{line}\r\x1b[K"


def test_elsewhere_it_is_lines_without_control_characters():
    err = io.StringIO()
    shown(err, chains=3).clear()
    counts = "1 digest files, 1 log files, 3.4 MB read, 340.0 KB/s"
    assert err.getvalue() == f"chain 1/3 (111122223333 eu-west-1), {counts}\n"


def test_it_is_not_shown_for_every_finding():
    err, clock = Terminal(), Clock()
    progress = Progress(err, 1, lambda: 0, clock)
    for _ in range(1000):
        clock.now += 0.001
        progress.add(Finding(Kind.VALID, Subject.LOG_FILE, "b", "k"))
    assert 3 <= err.getvalue().count("\r") <= 6


def test_a_narrow_terminal_is_not_overrun(monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    err = Terminal()
    shown(err)
    assert len(err.getvalue().removeprefix("\r\x1b[K")) == 19


def test_the_bytes_that_are_read_are_counted_and_nothing_is_changed():
    chain = Chain().hours(1)
    reader = CountingReader(InMemory(chain.objects, lost=(chain.logs[0],)))
    assert reader.get(*chain.digests[0]).body == chain.objects[chain.digests[0]].body
    size = reader.size
    assert size == len(chain.objects[chain.digests[0]].body)
    with pytest.raises(CouldNotRead):
        reader.get(*chain.logs[0])
    place = Place(*chain.logs[1])
    ((same, outcome),) = reader.read_all([place], lambda at, outcome: (at, outcome))
    assert same is place
    assert outcome.body == chain.objects[chain.logs[1]].body
    assert reader.size == size + len(outcome.body)
    assert len(list(reader.list(chain.bucket, ""))) == 3
    assert list(reader.folders(chain.bucket, "")) == ["AWSLogs"]
