"""Log files in no digest: when they are planted, and when they only wait for one."""

import pytest

from opentrail_validator import Kind, Span, Subject
from tests.evidence_maker.folder import Folder, at
from tests.evidence_maker.in_memory import BEGIN, InMemory
from tests.evidence_maker.maker import HOUR, Chain
from tests.evidence_maker.walked import walked_of


def test_files_that_digests_name_are_not_told():
    assert Folder(Chain().hours(6)).told() == []


@pytest.mark.parametrize(
    "kind", ["CloudTrail", "CloudTrail-Insight", "CloudTrail-NetworkActivity", "CloudTrail-Aggregated"]
)
def test_a_planted_file_of_each_kind_is_named(kind):
    folder = Folder(Chain().hours(6))
    key = folder.plant(at(2, 30), kind=kind)
    (finding,) = folder.told()
    assert (finding.kind, finding.subject) == (Kind.PLANTED, Subject.LOG_FILE)
    assert (finding.bucket, finding.key, finding.detail) == ("trail-logs", key, "in no digest of any trail here")


def test_a_name_that_is_no_log_files_is_told_too():
    folder = Folder(Chain().hours(6))
    keys = [folder.plant(at(2, 30), name) for name in ("x", "a/b.json.gz", "notes.txt")]
    assert sorted(folder.planted_found()) == sorted(keys)


@pytest.mark.parametrize(
    ("put", "is_told"), [(at(4, 59), True), (at(5, 0), False), (at(5, 30), False), (at(6, 1), False)]
)
def test_a_file_that_was_just_put_waits_for_the_next_digest(put, is_told):
    folder = Folder(Chain().hours(6))
    key = folder.plant(put)
    assert folder.planted_found() == ([key] if is_told else [])


@pytest.mark.parametrize("times", [True, False])
def test_without_times_the_name_and_an_hour_stand_in(times):
    folder = Folder(Chain().hours(6))
    early, late = folder.plant(at(3, 50)), folder.plant(at(4, 10), unique="B")
    expected = [early, late] if times else [early]
    assert folder.planted_found(times=times) == expected


def test_without_times_a_name_that_no_writer_gives_is_told_at_once():
    folder = Folder(Chain().hours(6))
    key = folder.plant(at(0, 1), "notes.txt")
    assert folder.planted_found(times=False) == [key]


def test_a_copys_times_are_those_of_the_copying_and_say_nothing():
    folder = Folder(Chain().hours(6))
    early, _late = folder.plant(at(3, 50)), folder.plant(at(4, 10), unique="B")
    reader = InMemory(folder.objects, modified=dict.fromkeys(folder.objects, at(5000)))
    walked = walked_of(folder.chain, put_at=lambda _end: at(5000))
    assert folder.planted_found(reader=reader, walked=walked, now=at(5001)) == [early]


# --- outages ------------------------------------------------------------------------------------


def outage(recovered):
    """Down from 2:40 to `recovered`: the digests of the hours between are put then."""
    folder = Folder(Chain().hours(2).hours(4, logs=0))
    folder.put_late = {at(hour): max(recovered, at(hour, 1)) for hour in range(3, 7)}
    return folder


def test_a_file_put_before_an_outage_and_named_after_it_is_not_called_planted_meanwhile():
    folder = outage(recovered=at(6, 10))
    folder.plant(at(2, 39))
    assert folder.planted_found() == []


def test_once_the_writer_was_back_for_a_whole_window_it_is_planted():
    folder = outage(recovered=at(6, 10))
    planted = folder.plant(at(2, 39))
    folder.chain.hours(1)
    assert folder.planted_found() == [planted]


@pytest.mark.parametrize(("minutes_late", "is_told"), [(15, True), (16, False)])
def test_a_digest_that_was_put_within_a_quarter_of_an_hour_shows_that_the_writer_was_alive(minutes_late, is_told):
    folder = outage(recovered=at(5, minutes_late))
    folder.put_late[at(6)] = at(6, 59)
    planted = folder.plant(at(2, 39))
    assert folder.planted_found() == ([planted] if is_told else [])


def test_a_range_within_an_outage_is_not_taken_for_a_copy():
    """Its digests were all put after the last of them ended; the file is named by one after the time asked for."""
    chain = Chain().hours(1).hours(5)
    folder = Folder(chain)
    folder.put_late = {at(hour): at(9) for hour in range(1, 7)}
    folder.plant(at(1, 30))
    assert folder.planted_found(now=at(10)) == []


# --- missing and wrong digests ------------------------------------------------------------------


@pytest.mark.parametrize("how", ["missing", "wrong"])
def test_files_of_a_digest_that_is_missing_or_wrong_are_not_planted(how):
    chain = Chain().hours(8)
    lost = chain.digests[3]
    folder = Folder(chain)
    assert folder.told(walked=folder.walked(**{how: [lost]})) == []
    before, after = folder.plant(at(1, 30)), folder.plant(at(5, 30), unique="B")
    folder.plant(at(2, 30), unique="C")  # would be named by the digest before the lost one, or by it
    folder.plant(at(3, 30), unique="D")
    assert folder.planted_found(walked=folder.walked(**{how: [lost]})) == [before, after]


def test_files_put_between_two_chains_are_not_planted_as_validation_may_have_been_off():
    chain = Chain().hours(4).restart(pause=5 * HOUR).hours(3)
    folder = Folder(chain)
    folder.plant(at(3, 10))
    folder.plant(at(6), unique="B")
    before, after = folder.plant(at(1, 30), unique="C"), folder.plant(at(10), unique="D")
    assert sorted(folder.planted_found()) == sorted([before, after])


def test_with_one_digest_or_none_nothing_is_said():
    folder = Folder(Chain().hours(1))
    folder.plant(at(0, 20))
    assert folder.told() == []
    folder.chain.digests.clear()
    assert folder.told() == []


# --- the edges of the time asked for ------------------------------------------------------------


def test_files_that_only_digests_before_the_time_asked_for_name_are_not_judged():
    chain = Chain().hours(30)
    folder = Folder(chain)
    start = at(20)  # in the same day's folder as the first hours of the second day
    recent = Chain(chain.objects, digests=chain.digests[20:])
    walked = walked_of(recent, put_at=folder.put_at)
    assert folder.told(walked=walked, start=start) == []
    planted = folder.plant(at(22))
    assert folder.planted_found(walked=walked, start=start) == [planted]


def test_clocks_may_differ_by_minutes_at_the_start():
    chain = Chain().hours(6)
    folder = Folder(chain)
    walked = walked_of(Chain(chain.objects, digests=chain.digests[2:]), put_at=folder.put_at)
    bucket, key = chain.logs[3]  # named by the digest before, put five minutes later by the store's clock
    folder.modified[bucket, key] = at(2, 4)
    assert folder.told(walked=walked, start=at(2)) == []


def test_a_parked_file_of_the_days_asked_for_that_a_later_digest_names_is_no_planted_one():
    chain = Chain().hours(4)
    parked = chain._log_file(at(1, 20), 9)
    chain.hours(40)
    late = chain.hour(0, logFiles=[parked])
    folder = Folder(chain)
    asked = Chain(chain.objects, digests=chain.digests[:6])
    walked = walked_of(asked, put_at=folder.put_at)
    assert folder.told(walked=walked, end=at(5)) == []  # put when its name says, named later: a put without an answer
    copied = walked_of(asked)
    assert folder.told(walked=copied, times=False, end=at(5), now=at(50)) == []
    del chain.objects[late]
    chain.digests.remove(late)
    assert folder.planted_found(walked=walked, end=at(5), now=at(50)) == [parked["s3Object"]]


def test_a_later_digest_of_a_key_that_is_not_known_leaves_it_open():
    chain = Chain().hours(4)
    parked = chain._log_file(at(1, 20), 9)
    chain.hours(20)
    chain.key_number = 3
    chain.hour(0, logFiles=[parked])
    folder = Folder(chain)
    walked = walked_of(Chain(chain.objects, digests=chain.digests[:6]), put_at=folder.put_at)
    other = folder.plant(at(2, 30))
    found = folder.told(walked=walked, end=at(5), now=at(50))
    assert {(finding.kind, finding.key) for finding in found} == {
        (Kind.NOT_CHECKED, parked["s3Object"]),
        (Kind.PLANTED, other),
    }


def test_files_of_days_before_and_after_the_time_asked_for_are_not_looked_at():
    chain = Chain().hours(60)
    folder = Folder(chain)
    walked = walked_of(Chain(chain.objects, digests=chain.digests[20:40]), put_at=folder.put_at)
    folder.plant(at(30), at(-24))
    folder.plant(at(30), at(24 * 9), unique="B")
    assert folder.told(walked=walked, start=at(20), end=at(39), now=at(60)) == []


def test_up_to_now_a_name_of_a_day_to_come_is_told():
    folder = Folder(Chain().hours(6))
    key = folder.plant(at(2, 30), at(24 * 9))
    assert folder.planted_found() == [key]


def test_other_regions_and_accounts_are_not_looked_at():
    chain = Chain().hours(6)
    Chain(chain.objects, region="eu-west-12").hours(2)
    Chain(chain.objects, account="999999999999").hours(2)
    assert Folder(chain).told() == []


def test_files_that_a_lost_backfill_digest_may_name_are_not_planted():
    folder = Folder(Chain().hours(6))
    walked = folder.walked()
    walked.doubtful.append(Span(at(2), at(3)))
    folder.plant(at(2, 30))
    folder.plant(at(4, 30), at(2, 10), unique="B")
    planted = folder.plant(at(3, 10), unique="C")
    assert folder.planted_found(walked=walked) == [planted]


# --- Other edges


def test_what_was_logged_before_validation_was_switched_on_is_put_a_little_later_and_is_no_planted_file():
    for times in (True, False):
        folder = Folder(Chain().hours(6))
        folder.plant(at(0, 14))
        planted = folder.plant(at(0, 18), unique="B")
        assert folder.planted_found(times=times, start=BEGIN - 2 * HOUR) == [planted]


def test_a_folder_that_a_console_made_is_nothing_strange():
    folder = Folder(Chain().hours(20))
    folder.plant(at(15), "")
    assert folder.told() == []


def test_up_to_now_a_name_outside_of_all_days_is_told():
    folder = Folder(Chain().hours(6))
    key = folder.plant(at(2, 30), "../../../zzz.json.gz")
    outside = key.replace("2026/03/01/../../../", "")
    for placed in (folder.objects, folder.modified):
        placed[folder.chain.bucket, outside] = placed.pop((folder.chain.bucket, key))
    assert folder.planted_found() == [outside]
