"""A finding in words: the AWS CLI's where it has some, ours in the same style where it has none.

Facts about `aws cloudtrail validate-logs` 1.46 (`findings.FACTS` has its words): a line is what the object is, a tab,
its place, a tab, and the verdict. What could not be checked is ours: the AWS CLI stops there.
"""

from __future__ import annotations

import re
from typing import Final

from opentrail.evidence.times import format_time
from opentrail_validator.findings import FACTS, Finding, Kind, Subject, Verdict
from opentrail_validator.reports.port import printable

NAMES: Final = {
    Subject.DIGEST: "Digest file",
    Subject.BACKFILL_DIGEST: "(backfill) Digest file",
    Subject.LOG_FILE: "Log file",
    Subject.HEAD: "Chain head of digest file",
    Subject.CHAIN: "Digest files",
    Subject.LISTING: "List of files",
    Subject.STATE: "State file",
}
_OURS: Final = {
    Kind.WRONG_CLAIM: "claims another account, region or trail than its place",
    Kind.KEY_OUTSIDE_VALIDITY: "signed with a key that was not valid then",
    Kind.FORK: "no later digest file leads to it: there are two histories",
    Kind.ROOT_MISMATCH: "the records are not those that the digest file recorded",
    Kind.MISPLACED_RECORD: "a record does not belong there",
    Kind.PLANTED: "no digest file names it, though digest files were made since it lies there",
    Kind.NEWEST_MISSING: "removed: a signed head names it, and it is newer than any digest file that is there",
    Kind.BAD_HEAD: "the head cannot be read, or its signature does not fit",
    Kind.BAD_STATE: "its head does not verify: it is not used, and everything is read",
    Kind.HOUR_WITHOUT_DIGEST: "no digest file covers {start} to {end}",
    Kind.NOTHING_FOUND: "no digest file was found between {start} and {end}",
    Kind.NOT_COVERED: "no valid digest file covers {start} to {end}",
}
_FIELDS: Final = re.compile(r"[a-z]+(, [a-z]+)*")
_MORE_EXACTLY: Final = {
    Kind.TRUNCATED: "the gzip member ends too early",
    Kind.SEVERAL_MEMBERS: "another gzip member follows",
    Kind.DECOMPRESSION_BOMB: "it inflates to more than any such file may hold",
}
"""Kinds that share the AWS CLI's words with another."""


def where(finding: Finding) -> str:
    """The URL of what the finding is about; a state file's path."""
    if finding.subject is Subject.STATE:
        return printable(finding.key)
    return printable(f"s3://{finding.bucket}/{finding.key}")


def what(finding: Finding, home_region: str) -> str:
    """What is said of it, without its name and place. `home_region`: the trail's; the AWS CLI names it."""
    match finding.verdict:
        case Verdict.VALID:
            return "valid"
        case Verdict.UNCHECKED:
            return f"could not be checked: {printable(finding.detail)}"
        case Verdict.NOTE:
            return _filled(FACTS[finding.kind].aws or FACTS[finding.kind].meaning, finding, home_region)
        case Verdict.INVALID:
            return _invalid(finding, home_region)


def line(finding: Finding, home_region: str) -> str:
    """The finding in a line, as the AWS CLI would print it."""
    text = what(finding, home_region)
    if finding.verdict is Verdict.NOTE:
        return f"(backfill) {text}" if finding.subject is Subject.BACKFILL_DIGEST else text
    sign = "INVALID: " if finding.verdict is Verdict.INVALID else ""
    return f"{NAMES[finding.subject]}\t{where(finding)}\t{sign}{text}"


def _invalid(finding: Finding, home_region: str) -> str:
    kind = finding.kind
    if kind is Kind.CHAIN_BROKEN:
        return _chain_broken(finding)
    form = _OURS.get(kind) or FACTS[kind].aws or FACTS[kind].meaning
    text = _filled(form, finding, home_region)
    more = [_MORE_EXACTLY[kind]] if kind in _MORE_EXACTLY else []
    names_it_again = finding.key.rpartition("/")[2] in finding.detail  # as a store's own message does
    if finding.detail and not names_it_again and "{detail}" not in form and "{start}" not in form:
        more.append(printable(finding.detail))
    return f"{text} ({'; '.join(more)})" if more else text


def _chain_broken(finding: Finding) -> str:
    """The detail is what differs, with or without who says so, or a sentence."""
    fields, _, told_by = finding.detail.partition(", says ")
    if _FIELDS.fullmatch(fields):
        return f"not the digest file that {printable(told_by) or 'the next one'} recorded ({fields} differs)"
    return f"not the digest file that was recorded ({printable(finding.detail)})"


def _filled(form: str, finding: Finding, home_region: str) -> str:
    return form.format(
        home_region=home_region,
        detail=printable(finding.detail),
        start=format_time(finding.start or 0),
        end=format_time(finding.end or 0),
    )
