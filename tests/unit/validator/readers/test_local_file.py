import os
import sys
from pathlib import Path

import pytest

from opentrail_validator.readers.local_file import read_file, size_of
from opentrail_validator.readers.port import CouldNotRead, ObjectDamaged, ObjectMissing


def test_a_file_is_read_up_to_as_many_bytes_as_it_may_have(tmp_path):
    file = tmp_path / "f"
    file.write_bytes(b"12345")
    assert size_of(file) == 5
    assert read_file(file, 5) == b"12345"
    with pytest.raises(ObjectDamaged, match="5 bytes, more than the 4"):
        read_file(file, 4)
    os.truncate(file, 1 << 40)  # it takes no space
    with pytest.raises(ObjectDamaged):
        read_file(file, 1 << 30)


def test_what_is_no_file_is_missing(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "device").symlink_to("/dev/zero")
    (tmp_path / "round").symlink_to("round")
    (tmp_path / "f").write_bytes(b"")
    for name in ("pipe", "device", "round", "absent", ".", "f/below", "x" * 1000):
        for read in (size_of, lambda path: read_file(path, 10)):
            with pytest.raises(ObjectMissing):
                read(tmp_path / name)


def test_a_file_that_may_not_be_read_could_not_be_read(tmp_path, monkeypatch):
    def denied(*_arguments):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.open", denied)
    with pytest.raises(CouldNotRead, match="Permission denied"):
        read_file(tmp_path, 10)


@pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc")
def test_no_more_is_read_than_a_file_says_that_it_has(tmp_path):
    """/proc/self/pagemap has hundreds of gigabytes, and says that it has none."""
    (tmp_path / "link").symlink_to("/proc/self/status")
    assert Path("/proc/self/status").read_bytes()
    assert read_file(tmp_path / "link", 10) == b""
