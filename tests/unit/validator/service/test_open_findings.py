"""What is opened, kept and repaired: by passes that read everything, and by those that did not."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opentrail_validator import Finding, Kind, Subject
from opentrail_validator.service.open_findings import OpenFinding, PassOverChain

DAY = 86_400
START = 1_772_323_200  # 2026-03-01
FOLDER = "AWSLogs/111122223333/CloudTrail-Digest/eu-west-1"


def log_key(day: str) -> str:
    stamp = f"2026{day.replace('/', '')}T1005Z"
    name = f"111122223333_CloudTrail_eu-west-1_{stamp}_Abcdefgh12345678.json.gz"
    return f"AWSLogs/111122223333/CloudTrail/eu-west-1/2026/{day}/{name}"


def digest_key(day: str) -> str:
    stamp = f"2026{day.replace('/', '')}T100000Z"
    return f"{FOLDER}/2026/{day}/111122223333_CloudTrail-Digest_eu-west-1_audit_eu-west-1_{stamp}.json.gz"


def of_log(kind: Kind, day: str = "03/05", **more: object) -> Finding:
    return Finding(kind, Subject.LOG_FILE, "logs", log_key(day), **more)  # type: ignore[arg-type]


def of_digest(kind: Kind, day: str = "03/05", subject: Subject = Subject.DIGEST) -> Finding:
    return Finding(kind, subject, "logs", digest_key(day))


def uncovered(start: int, end: int) -> Finding:
    return Finding(Kind.NOT_COVERED, Subject.CHAIN, "logs", FOLDER, "", start, end)


def passed(
    open_now: list[Finding], seen: list[Finding], start: int = START, *, is_full: bool = False
) -> tuple[list[Finding], list[Finding], list[Finding]]:
    """Opened, repaired and kept."""
    one = PassOverChain([OpenFinding(finding, 1) for finding in open_now], start, is_full=is_full)
    opened = [finding for finding in seen if one.see(finding)]
    return opened, [each.finding for each in one.repaired()], [each.finding for each in one.kept()]


def test_a_finding_is_opened_once_and_stays_while_it_is_told() -> None:
    bad = of_log(Kind.HASH_MISMATCH)
    assert passed([], [bad, bad]) == ([bad], [], [])
    assert passed([bad], [bad]) == ([], [], [bad])


def test_what_is_valid_again_is_repaired() -> None:
    bad = of_log(Kind.HASH_MISMATCH)
    assert passed([bad], [of_log(Kind.VALID)]) == ([], [bad], [])


def test_what_is_wrong_in_another_way_is_another_finding() -> None:
    changed, deleted = of_log(Kind.HASH_MISMATCH), of_log(Kind.NOT_FOUND)
    assert passed([changed], [deleted]) == ([deleted], [changed], [])


def test_what_could_not_be_read_stays_open() -> None:
    bad = of_log(Kind.HASH_MISMATCH)
    assert passed([bad], [of_log(Kind.NOT_CHECKED)]) == ([], [], [bad])


def test_a_log_file_that_could_not_be_read_keeps_no_other_finding_open() -> None:
    planted = of_log(Kind.PLANTED, "03/06")
    assert passed([planted], [of_log(Kind.NOT_CHECKED)]) == ([], [planted], [])


@pytest.mark.parametrize("subject", [Subject.DIGEST, Subject.LISTING, Subject.HEAD, Subject.CHAIN])
def test_what_is_gone_is_repaired_only_if_every_digest_and_list_could_be_read(subject: Subject) -> None:
    planted, fork = of_log(Kind.PLANTED), of_digest(Kind.FORK)
    unread = Finding(Kind.NOT_CHECKED, subject, "logs", "somewhere", "connection reset")
    assert passed([planted, fork], [unread]) == ([], [], [planted, fork])
    assert passed([planted, fork], []) == ([], [planted, fork], [])


def test_log_files_of_a_digest_that_is_not_believed_stay_open() -> None:
    bad, broken = of_log(Kind.HASH_MISMATCH), of_digest(Kind.BAD_SIGNATURE)
    assert passed([bad], [broken]) == ([broken], [], [bad])


@pytest.mark.parametrize("hiding", [Kind.NEWEST_MISSING, Kind.NOTHING_FOUND, Kind.NOT_FOUND])
def test_what_nobody_tells_of_any_more_because_digests_are_gone_stays_open(hiding: Kind) -> None:
    found = [of_log(Kind.HASH_MISMATCH), of_log(Kind.PLANTED, "03/06"), of_digest(Kind.MALFORMED), of_digest(Kind.FORK)]
    gone = of_digest(hiding, "03/07")
    assert passed(found, [gone], is_full=True) == ([gone], [], found)


def test_a_bad_digest_hides_no_planted_file() -> None:
    planted, broken = of_log(Kind.PLANTED), of_digest(Kind.BAD_SIGNATURE)
    assert passed([planted], [broken]) == ([broken], [], [planted])
    assert passed([planted, broken], []) == ([], [planted, broken], [])


def test_a_fork_hides_no_log_file() -> None:
    bad, fork = of_log(Kind.NOT_FOUND), of_digest(Kind.FORK)
    assert passed([bad], [fork]) == ([fork], [bad], [])


def test_what_lies_before_the_pass_waits_for_one_from_the_beginning() -> None:
    old = of_digest(Kind.NOT_FOUND, "02/01"), of_log(Kind.NOT_FOUND, "02/01"), uncovered(START - DAY, START + DAY)
    assert passed(list(old), []) == ([], [], list(old))
    assert passed(list(old), [], is_full=True) == ([], list(old), [])


def test_a_key_that_says_no_time_waits_for_a_pass_from_the_beginning() -> None:
    strange = Finding(Kind.NOT_FOUND, Subject.DIGEST, "logs", "elsewhere/a.json.gz")
    assert passed([strange], []) == ([], [], [strange])
    assert passed([strange], [], is_full=True) == ([], [strange], [])


def test_a_head_that_names_a_digest_that_is_valid_again() -> None:
    missing = of_digest(Kind.NEWEST_MISSING, subject=Subject.HEAD)
    assert passed([missing], [of_digest(Kind.VALID)]) == ([], [missing], [])


def test_a_hole_that_grows_is_the_same_finding() -> None:
    before, now = uncovered(START + 10, START + 100), uncovered(START + 10, START + 900)
    assert passed([before], [now]) == ([], [], [now])


def test_a_hole_that_is_older_than_the_pass_keeps_its_beginning() -> None:
    before, now = uncovered(START - DAY, START + 100), uncovered(START, START + 900)
    assert passed([before], [now]) == ([], [], [uncovered(START - DAY, START + 900)])


def test_two_holes_are_two_findings() -> None:
    one, other = uncovered(START, START + 10), uncovered(START + 20, START + 30)
    assert passed([one], [one, other]) == ([other], [], [one])
    assert passed([one, other], [other]) == ([], [one], [other])


def test_the_newest_that_is_missing_stays_one_finding_while_its_span_moves() -> None:
    key = digest_key("03/05")
    before, now = (
        Finding(Kind.NEWEST_MISSING, Subject.HEAD, "logs", key, "", at, START + 99) for at in (START, START + 5)
    )
    assert passed([before], [now]) == ([], [], [now])


def test_a_chain_whose_log_files_were_wiped_is_passed_over_in_bounded_memory() -> None:
    many, one = 50_000, PassOverChain([], START, is_full=True)
    tracemalloc.start()
    try:
        opened = sum(one.see(Finding(Kind.NOT_FOUND, Subject.LOG_FILE, "logs", f"{number}")) for number in range(many))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert opened == many
    assert most < 2_000_000


FINDINGS = st.builds(
    Finding,
    st.sampled_from(Kind),
    st.sampled_from([Subject.DIGEST, Subject.LOG_FILE, Subject.LISTING]),
    st.just("logs"),
    st.sampled_from([digest_key("03/05"), log_key("03/05"), log_key("03/06"), digest_key("02/01")]),
)


@given(st.lists(FINDINGS, max_size=8), st.lists(FINDINGS, max_size=8), st.booleans())
def test_nothing_is_both_and_nothing_is_lost(open_now: list[Finding], seen: list[Finding], is_full: bool) -> None:
    wrong = {
        (each.kind, each.key): each for each in open_now if each.verdict == "invalid" and each.kind != "not-covered"
    }
    opened, repaired, kept = passed(list(wrong.values()), seen, is_full=is_full)
    assert len(repaired) + len(kept) == len(wrong)
    told = {(each.kind, each.key) for each in seen}
    assert not [each for each in repaired if (each.kind, each.key) in told]
    assert all((each.kind, each.key) in told for each in opened)
    assert not [each for each in opened if (each.kind, each.key) in wrong]
