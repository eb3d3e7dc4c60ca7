import io

import pytest

from opentrail_validator import Finding, Kind, Subject, TextReport
from opentrail_validator.report import line

ARN = "arn:aws:cloudtrail:eu-west-1:111122223333:trail/audit"


def report(*findings, verbose=False):
    out, err = io.StringIO(), io.StringIO()
    text = TextReport(ARN, "eu-west-1", 0, 7200, verbose=verbose, out=out, err=err)
    text.begin()
    for finding in findings:
        text.add(finding)
    return text.finish(), out.getvalue(), err.getvalue()


BEGIN = f"Validating log files for trail {ARN} between 1970-01-01T00:00:00Z and 1970-01-01T02:00:00Z\n\n"
REQUESTED = "Results requested for 1970-01-01T00:00:00Z to 1970-01-01T02:00:00Z\n"
VALID = Finding(Kind.VALID, Subject.DIGEST, "b", "d", start=-60, end=3540)
LOG = Finding(Kind.VALID, Subject.LOG_FILE, "b", "l")
BAD = Finding(Kind.HASH_MISMATCH, Subject.LOG_FILE, "b", "x")
LOST = Finding(Kind.NOT_CHECKED, Subject.LOG_FILE, "b", "y", "connection reset")


def test_nothing_found():
    assert report() == (0, f"{BEGIN}{REQUESTED}No digests found\n", "")


def test_the_found_range_is_cut_to_the_requested_one():
    code, out, err = report(VALID, LOG)
    found = "Results found for 1970-01-01T00:00:00Z to 1970-01-01T00:59:00Z:\n\n"
    assert (code, out, err) == (0, f"{BEGIN}{REQUESTED}{found}1/1 digest files valid\n1/1 log files valid\n", "")


def test_verbose_names_what_is_valid_and_sets_the_rest_off_by_blank_lines():
    code, out, err = report(VALID, BAD, LOG, BAD, verbose=True)
    assert code == 1
    lines = "Digest file\ts3://b/d\tvalid\nLog file\ts3://b/l\tvalid\n"
    assert out.startswith(f"{BEGIN}{lines}{REQUESTED}")
    assert err == "\nLog file\ts3://b/x\tINVALID: hash value doesn't match\n\n" * 2
    assert out.endswith("1/3 log files valid, 2/3 log files INVALID\n")


def test_without_verbose_no_blank_line_comes_before():
    assert report(VALID, BAD)[2] == "Log file\ts3://b/x\tINVALID: hash value doesn't match\n\n"


def test_what_could_not_be_checked_has_an_exit_code_of_its_own():
    code, out, err = report(VALID, LOG, LOST)
    assert code == 3
    assert err == "Log file\ts3://b/y\tcould not be checked: connection reset\n\n"
    assert out.endswith("1/2 log files valid, 1/2 log files could not be checked\n")


def test_invalid_outranks_could_not_be_checked():
    assert report(VALID, LOST, BAD)[0] == 1


def test_a_listing_that_failed_is_not_called_no_digests():
    code, out, err = report(Finding(Kind.NOT_CHECKED, Subject.LISTING, "b", "AWSLogs/", "connection reset"))
    assert code == 3
    assert "No digests found" not in out
    assert "No valid digests found in range" in out
    assert err == "Digest files\ts3://b/AWSLogs/\tcould not be checked: connection reset\n\n"


def test_backfill_digests_have_a_line_of_their_own_in_the_summary():
    _, out, err = report(
        Finding(Kind.VALID, Subject.BACKFILL_DIGEST, "b", "d", start=0, end=3600),
        Finding(Kind.NOT_FOUND, Subject.BACKFILL_DIGEST, "b", "e"),
        verbose=True,
    )
    assert "(backfill) Digest file\ts3://b/d\tvalid\n" in out
    assert err == "\n(backfill) Digest file\ts3://b/e\tINVALID: not found\n\n"
    assert out.endswith("\n1/2 backfill digest files valid, 1/2 backfill digest files INVALID\n")


def test_a_gap_is_told_and_harmless():
    gap = Finding(Kind.GAP, Subject.DIGEST, "b", "d", start=0, end=3600)
    code, _, err = report(VALID, gap)
    assert code == 0
    assert err == (
        "No log files were delivered by CloudTrail between 1970-01-01T00:00:00Z and 1970-01-01T01:00:00Z\n\n"
    )


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_has_its_words(kind):
    text = line(Finding(kind, Subject.DIGEST, "b", "k", "f00d", start=0, end=1), "eu-west-1")
    assert "{" not in text
    assert ("INVALID: " in text) == (kind.verdict == "invalid")
