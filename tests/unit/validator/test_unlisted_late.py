"""Log files that were put into the time asked for when that was past."""

import pytest

from opentrail_validator import Kind
from opentrail_validator.readers.port import ApiRefused
from opentrail_validator.unlisted import unlisted_log_files
from tests.evidence_maker.folder import KEYS, Folder, at
from tests.evidence_maker.in_memory import pinned, question_of
from tests.evidence_maker.maker import HOUR, Chain, listed_key, private_key
from tests.evidence_maker.walked import walked_of


def asked_for(folder, hours):
    """A walk for the first hours."""
    return walked_of(Chain(folder.objects, digests=folder.chain.digests[: hours + 1]), put_at=folder.put_at)


def test_a_file_that_was_put_into_a_past_time_is_planted():
    folder = Folder(Chain().hours(90))
    key = folder.plant(at(60), at(5, 10))
    assert folder.planted_found(walked=asked_for(folder, 12), end=at(12)) == [key]


@pytest.mark.parametrize("put", [at(12, 59), at(13), at(40), at(88, 30), at(89, 30)])
def test_a_file_that_was_parked_for_long_and_put_into_a_past_time_is_none(put):
    chain = Chain()
    parked = chain._log_file(at(5, 10), 9)
    for hour in range(90):
        files = {"logFiles": [parked]} if at(hour) <= put < at(hour + 1) else {}
        chain.hour(0 if files else 1, **files)
    folder = Folder(chain)
    folder.modified[parked["s3Bucket"], parked["s3Object"]] = put
    assert folder.planted_found(walked=asked_for(folder, 12), end=at(12)) == []


def test_a_file_that_was_put_into_a_past_time_when_no_digests_were_made_is_not_judged():
    chain = Chain().hours(20).restart(pause=30 * HOUR).hours(30)
    folder = Folder(chain)
    folder.plant(at(30), at(5, 10))
    assert folder.planted_found(walked=asked_for(folder, 12), end=at(12)) == []


def test_a_time_of_a_put_that_no_calendar_has_is_taken():
    folder = Folder(Chain().hours(40))
    folder.plant(1 << 50, at(5, 10))
    assert folder.planted_found(walked=asked_for(folder, 12), end=at(12)) == []


class LaterKeys:
    """Those of the time that is asked for."""

    def __init__(self, error=None):
        self.error = error

    def between(self, start, end):
        assert at(13) < start < end <= at(90)
        if self.error is not None:
            raise self.error
        return pinned(listed_key(private_key(3))).between(start, end)


@pytest.mark.parametrize(("error", "kind"), [(None, Kind.PLANTED), (ApiRefused("no"), Kind.NOT_CHECKED)])
def test_the_keys_of_later_digests_are_asked_for(error, kind):
    chain = Chain().hours(20)
    chain.key_number = 3
    folder = Folder(chain.hours(70))
    folder.plant(at(60), at(5, 10))
    question = question_of(chain, hours=12, now=at(90))
    found = unlisted_log_files(question, folder.reader(), asked_for(folder, 12), KEYS, LaterKeys(error))
    assert [finding.kind for finding in found] == [kind]
