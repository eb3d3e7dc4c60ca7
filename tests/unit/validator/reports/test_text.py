import io

import pytest

from opentrail_validator import Finding, Kind, Span, Subject
from opentrail_validator.chain_validation import NoPublicKeys
from opentrail_validator.readers.port import ApiNotReached
from opentrail_validator.reports.text import TextReport
from opentrail_validator.summary import Origins
from tests.unit.validator.reports.runs import (
    ARN,
    BAD,
    D1,
    GAP,
    HOUR,
    L1,
    L2,
    LOG,
    LOST,
    UNCOVERED,
    VALID,
    one,
    question,
    tell,
)

BEGIN = f"Validating log files for trail {ARN} between 1970-01-01T00:00:00Z and 1970-01-01T02:00:00Z\n\n"
REQUESTED = "Results requested for 1970-01-01T00:00:00Z to 1970-01-01T02:00:00Z\n"
HASH = f"Log file\ts3://b/{L2}\tINVALID: hash value doesn't match\n\n"


def said(chains, **more):
    """Exit code, what the AWS CLI says too, our section, and the standard error."""
    out, err = io.StringIO(), io.StringIO()
    summary = tell(TextReport(out, err), chains, **more)
    text, _, section = out.getvalue().partition("\nCovered:")
    return summary.exit_code, text, f"Covered:{section}", err.getvalue()


def section(chains, **more):
    """Our section as labels and their lines."""
    labels: dict[str, list[str]] = {}
    for line in said(chains, **more)[2].splitlines():
        label, text = line[:14].strip(), line[14:]
        if label:
            labels[label.removesuffix(":")] = []
        labels[list(labels)[-1]].append(text)
    return labels


# --- What the AWS CLI says too


def test_nothing_found():
    assert said(one(coverage=False))[:2] == (0, f"{BEGIN}{REQUESTED}No digests found\n")


def test_the_found_range_is_cut_to_the_requested_one():
    code, text, _, err = said(one(VALID, LOG))
    found = "Results found for 1970-01-01T00:00:00Z to 1970-01-01T01:00:00Z:\n\n"
    assert (code, text, err) == (0, f"{BEGIN}{REQUESTED}{found}1/1 digest files valid\n1/1 log files valid\n", "")


def test_verbose_names_what_is_valid_and_sets_the_rest_off_by_blank_lines():
    code, text, _, err = said(one(VALID, BAD, LOG, BAD), verbose=True)
    assert code == 1
    lines = f"Digest file\ts3://b/{D1}\tvalid\nLog file\ts3://b/{L1}\tvalid\n"
    assert text.startswith(f"{BEGIN}{lines}{REQUESTED}")
    assert err == f"\n{HASH}" * 2
    assert text.endswith("1/3 log files valid, 2/3 log files INVALID\n")


def test_without_verbose_no_blank_line_comes_before():
    assert said(one(VALID, BAD))[3] == HASH


def test_what_could_not_be_checked_has_an_exit_code_of_its_own():
    code, text, _, err = said(one(VALID, LOG, LOST))
    assert code == 3
    assert err == f"Log file\ts3://b/{L1}\tcould not be checked: connection reset\n\n"
    assert text.endswith("1/2 log files valid, 1/2 log files could not be checked\n")


def test_invalid_outranks_could_not_be_checked():
    assert said(one(VALID, LOST, BAD))[0] == 1


def test_a_listing_that_failed_is_not_called_no_digests():
    code, text, _, err = said(one(Finding(Kind.NOT_CHECKED, Subject.LISTING, "b", "AWSLogs/", "connection reset")))
    assert code == 3
    assert "No digests found" not in text
    assert "No valid digests found in range" in text
    assert err == "List of files\ts3://b/AWSLogs/\tcould not be checked: connection reset\n\n"


def test_backfill_digests_have_a_line_of_their_own_in_the_summary():
    found = Finding(Kind.VALID, Subject.BACKFILL_DIGEST, "b", "d", start=0, end=3600)
    _, text, _, err = said(one(found, Finding(Kind.NOT_FOUND, Subject.BACKFILL_DIGEST, "b", "e")), verbose=True)
    assert "(backfill) Digest file\ts3://b/d\tvalid\n" in text
    assert err == "\n(backfill) Digest file\ts3://b/e\tINVALID: not found\n\n"
    assert text.endswith("\n1/2 backfill digest files valid, 1/2 backfill digest files INVALID\n")


def test_a_gap_is_told_and_harmless():
    code, _, _, err = said(one(VALID, GAP))
    between = "1970-01-01T00:00:00Z and 1970-01-01T01:00:00Z"
    assert (code, err) == (0, f"No log files were delivered by CloudTrail between {between}\n\n")


def test_no_public_keys_is_said_as_the_aws_cli_says_it():
    code, text, _, err = said([(question(), [], NoPublicKeys(0, 4 * HOUR))])
    assert (code, text) == (3, BEGIN)
    assert err == "\nNo public keys found between 1970-01-01T00:00:00Z and 1970-01-01T04:00:00Z\n"


# --- Our section


def test_all_is_well():
    assert section(one(VALID, LOG)) == {
        "Covered": ["1970-01-01T00:00:00Z to 1970-01-01T02:00:00Z"],
        "Public keys": ["2, pinned in keys.json"],
        "Heads": ["none given: the newest digest files could be removed unseen without --heads"],
    }


def test_keys_that_were_not_pinned_are_believed_and_it_says_so():
    origins = Origins({"asked from the CloudTrail API of eu-west-1": 3}, are_pinned=False, heads="h.json", heads_seen=4)
    told = section(one(VALID), origins=origins, has_heads=True)
    believed = "3, asked from the CloudTrail API of eu-west-1; believed, for none were pinned with --public-keys"
    assert told["Public keys"] == [believed]
    assert told["Heads"] == ["checked 4, of h.json"]


def test_what_is_not_covered_and_what_is_affected():
    lost = Finding(Kind.NOT_FOUND, Subject.LOG_FILE, "b", L1)
    told = section(one(VALID, BAD, UNCOVERED, covered=[Span(0, HOUR)]))
    assert told["Not covered"] == ["1970-01-01T01:00:00Z to 1970-01-01T02:00:00Z"]
    assert told["Affected"] == ["1 account (111122223333), 1 hour, 1 log file, 5 events, 1.2 KB"]
    told = section(one(BAD, lost))
    affected = "1 account (111122223333), 2 hours, 2 log files, 5 or more events, 1.2 KB or more"
    assert told["Affected"] == [affected]


def test_digests_that_are_not_due_yet_are_no_hole():
    chain = (question(now=2 * HOUR + 1800), [VALID], [Span(0, HOUR)])
    assert section([chain])["Not covered"] == ["since 1970-01-01T01:00:00Z: digest files are due within two hours"]


def test_without_the_check_the_uncovered_time_is_told_all_the_same():
    code, *_ = said(one(VALID, covered=[Span(HOUR, 2 * HOUR)], coverage=False))
    told = section(one(VALID, covered=[Span(HOUR, 2 * HOUR)], coverage=False))
    assert code == 0
    assert told["Not covered"] == ["1970-01-01T00:00:00Z to 1970-01-01T01:00:00Z"]


def test_what_was_not_checked():
    listing = Finding(Kind.NOT_CHECKED, Subject.LISTING, "b", "AWSLogs/", "403")
    told = section(one(LOST, LOST, listing, records=False, unlisted=False, coverage=False))
    assert told["Not checked"] == [
        "2 log files, 1 list of files could not be read",
        "the records in log files (--no-records)",
        "whether there are log files that no digest file names (--no-unlisted)",
        "whether all of the time is covered (--no-require-coverage)",
    ]


def test_notices_come_last():
    assert list(section(one(VALID), notices=["from a bundle"]).items())[-1] == ("Note", ["from a bundle"])


# --- Several chains


def test_each_of_several_chains_has_its_heading_and_one_section_ends_all():
    chains = [
        (question(), [VALID], [Span(0, 2 * HOUR)]),
        (question(region="us-east-1"), [], ApiNotReached("no route")),
        (question("444455556666"), [BAD], []),
    ]
    code, text, ours, err = said(chains, verbose=True)
    assert code == 1
    headings = [line for line in text.splitlines() if line.endswith("(trail audit)")]
    assert headings == [f"{name} (trail audit)" for name in (
        "111122223333 in eu-west-1", "111122223333 in us-east-1", "444455556666 in eu-west-1"
    )]  # fmt: skip
    assert text.count(BEGIN) == 3
    assert ours.startswith("Covered:      1 of 3 chains wholly\n")
    assert "1 of 3 chains: nothing could be validated" in ours
    assert err == f"\nNothing could be checked: no route\n{HASH}"


def test_hundreds_of_chains_do_not_make_hundreds_of_lines():
    chains = [(question(f"{number:012}", coverage=False), [], []) for number in range(300)]
    lines = section(chains)["Not covered"]
    assert lines[0] == "000000000000 in eu-west-1: 1970-01-01T00:00:00Z to 1970-01-01T02:00:00Z"
    assert lines[-1] == "… and 288 more (--output json has them all)"


# --- Adversaries and terminals


def test_a_name_cannot_make_lines_or_reach_the_terminal():
    forged = "x\tINVALID\nLog file\ts3://b/y\tvalid\x1b[2K\u202e\udc80"
    for kind in (Kind.NOT_FOUND, Kind.VALID):
        _, text, _, err = said(one(Finding(kind, Subject.LOG_FILE, "b", forged)), verbose=True)
        shown = [line for line in (text + err).splitlines() if line.startswith("Log file")]
        assert len(shown) == 1
        assert r"x\tINVALID\nLog file\ts3://b/y\tvalid\x1b[2K\u202e\udc80" in shown[0]


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("stream", "environment", "coloured"),
    [
        (Terminal, {}, True),
        (Terminal, {"NO_COLOR": "1"}, False),
        (Terminal, {"TERM": "dumb"}, False),
        (io.StringIO, {}, False),
    ],
)
def test_colours_are_for_terminals_only(stream, environment, coloured, monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    out, err = stream(), stream()
    tell(TextReport(out, err), one(VALID, BAD))
    assert ("\x1b[" in out.getvalue(), "\x1b[" in err.getvalue()) == (coloured, coloured)


def test_names_from_a_bundle_reach_no_terminal_as_they_are():
    asked = [(question(region=f"\x1b[2J{number}"), (UNCOVERED, BAD), ()) for number in range(2)]
    text = "".join(said(asked, notices=["collected \x1b]0;fine\x07\nCovered: all"])[1:])
    assert "\x1b" not in text
    assert r"collected \x1b]0;fine\x07\nCovered: all" in text
