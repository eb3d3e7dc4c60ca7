from contextlib import closing
from pathlib import Path

import pytest

from opentrail_validator.bundle import BundleWriter
from opentrail_validator.bundle_reader import Bundle, BundleKeys, BundleReader
from opentrail_validator.bundle_recording import RecordingKeys, RecordingReader
from opentrail_validator.readers.port import (
    ApiNotReached,
    ApiRefused,
    CouldNotRead,
    ListedObject,
    ObjectDamaged,
    ObjectMissing,
    Place,
    PublicKey,
    StoredObject,
)
from tests.evidence_maker.maker import MadeObject
from tests.unit.validator.bundle_runs import ASKED, PINNED

# --- The sources, one by one


class Odd:
    """A reader of objects with names that an adversary chose."""

    def __init__(self, objects):
        self.objects = objects

    def get(self, bucket, key):
        found = self.objects[bucket, key]
        if isinstance(found, Exception):
            raise found
        return found


ODD_KEYS = [
    "../../escaped",
    "/absolute",
    "a//b",
    "a/",
    ".",
    "nul\0",
    "x" * 1000,
    "half \ud800",
    "a",
    "a/b",
    "a/b/c",
    "file.json.gz.metadata.json",
    "file.json.gz",
    "OPENTRAIL",
    "",
]


def test_no_name_escapes_and_none_takes_the_place_of_another(tmp_path):
    objects = {
        ("bucket", key): StoredObject(b"OPENTRAIL-OBJECT 1\n" + repr(key).encode(), {"number": str(number)})
        for number, key in enumerate(ODD_KEYS)
    }
    objects["..", "k"] = StoredObject(b"dots", None)
    with closing(BundleWriter(tmp_path / "b")) as writer:
        reader = RecordingReader(Odd(objects), writer)  # type: ignore[arg-type]
        for place in objects:
            reader.get(*place)
        writer.finish([], PINNED)
    assert {path.name for path in tmp_path.iterdir()} == {"b"}
    with closing(Bundle(tmp_path / "b")) as bundle:
        again = BundleReader(bundle)
        for place, stored in objects.items():
            assert again.get(*place) == stored
        with pytest.raises(CouldNotRead, match="not in this bundle"):
            again.get("bucket", "never asked")


def test_outcomes_are_what_they_were(tmp_path):
    outcomes = {
        ("b", "missing"): ObjectMissing("gone"),
        ("b", "damaged"): ObjectDamaged("altered"),
        ("b", "lost"): CouldNotRead("timeout"),
    }
    with closing(BundleWriter(tmp_path / "b")) as writer:
        reader = RecordingReader(Odd(outcomes), writer)  # type: ignore[arg-type]
        for place, error in outcomes.items():
            with pytest.raises(type(error)):
                reader.get(*place)
        writer.finish([], PINNED)
    with closing(Bundle(tmp_path / "b")) as bundle:
        for place, error in outcomes.items():
            with pytest.raises(type(error), match=str(error)):
                BundleReader(bundle).get(*place)
        told = list(
            BundleReader(bundle).read_all([Place(*place) for place in outcomes], lambda _place, outcome: outcome)
        )
        assert [type(outcome) for outcome in told] == [type(error) for error in outcomes.values()]


LISTED = [ListedObject(f"p/{number:04}", float(number)) for number in range(2500)]


class Listing:
    def __init__(self, failing_at: int | None = None) -> None:
        self.failing_at = failing_at

    def list(self, bucket, prefix, start_after=""):
        for number, listed in enumerate(LISTED):
            if number == self.failing_at:
                raise CouldNotRead("503")
            if listed.key.startswith(prefix) and listed.key > start_after:
                yield listed

    def folders(self, bucket, prefix):
        if self.failing_at is not None:
            raise CouldNotRead("503")
        return iter(["a", "b"])


def listed_in(root: Path, reads, failing_at=None):
    with closing(BundleWriter(root)) as writer:
        reader = RecordingReader(Listing(failing_at), writer)  # type: ignore[arg-type]
        for read in reads:
            read(reader)
        writer.finish([], PINNED)
    return Bundle(root)


def test_a_whole_list_answers_for_every_part_of_it(tmp_path):
    with closing(listed_in(tmp_path / "b", [lambda reader: list(reader.list("b", "p/"))])) as bundle:
        reader = BundleReader(bundle)
        assert list(reader.list("b", "p/")) == LISTED
        assert list(reader.list("b", "p/", "p/2497")) == LISTED[2498:]
        assert list(reader.list("b", "p/00")) == LISTED[:100]
        assert list(reader.list("b", "p/9")) == []
        for bucket, prefix in (("b", ""), ("b", "q/"), ("c", "p/")):
            with pytest.raises(CouldNotRead, match="not in this bundle"):
                list(reader.list(bucket, prefix))


def test_a_list_that_was_given_up_ends_where_it_was_given_up(tmp_path):
    def some(reader):
        entries = reader.list("b", "p/", "p/0099")
        for entry in entries:
            if entry.key == "p/1500":
                break
        entries.close()

    with closing(listed_in(tmp_path / "b", [some])) as bundle:
        entries = BundleReader(bundle).list("b", "p/", "p/0099")
        assert [next(entries) for _ in range(1401)] == LISTED[100:1501]
        with pytest.raises(CouldNotRead, match="not in this bundle"):
            next(entries)
        assert list(BundleReader(bundle).list("b", "p/01")) == LISTED[100:200]
        with pytest.raises(CouldNotRead):
            list(BundleReader(bundle).list("b", "p/"))


def test_a_list_that_failed_fails_again_after_as_many_entries(tmp_path):
    def read(reader):
        with pytest.raises(CouldNotRead):
            list(reader.list("b", "p/"))
        with pytest.raises(CouldNotRead):
            list(reader.folders("b", "p/"))

    with closing(listed_in(tmp_path / "b", [read], failing_at=3)) as bundle:
        entries = BundleReader(bundle).list("b", "p/")
        assert [next(entries) for _ in range(3)] == LISTED[:3]
        with pytest.raises(CouldNotRead, match="503"):
            next(entries)
        with pytest.raises(CouldNotRead, match="503"):
            list(BundleReader(bundle).folders("b", "p/"))


def test_folders(tmp_path):
    with closing(listed_in(tmp_path / "b", [lambda reader: list(reader.folders("b", "p/"))])) as bundle:
        assert list(BundleReader(bundle).folders("b", "p/")) == ["a", "b"]
        with pytest.raises(CouldNotRead, match="not in this bundle"):
            list(BundleReader(bundle).folders("b", "q/"))


class Api:
    def __init__(self, answer) -> None:
        self.answer = answer

    def between(self, start, end):
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def origin(self):
        return "asked"


@pytest.mark.parametrize("error", [ApiRefused("AccessDenied"), ApiNotReached("no route")])
def test_an_api_that_did_not_answer_is_kept_as_such(error, tmp_path):
    with closing(BundleWriter(tmp_path / "b")) as writer:
        with pytest.raises(type(error)):
            RecordingKeys(Api(error), writer, "eu-west-1").between(0, 10)
        writer.finish([], ASKED)
    with closing(Bundle(tmp_path / "b")) as bundle, pytest.raises(type(error), match=str(error)):
        BundleKeys(bundle, "eu-west-1").between(0, 10)


def test_keys_are_those_of_their_region_and_of_the_time_asked_for(tmp_path):
    answer = {"old": PublicKey(b"o", 0, 99), "new": PublicKey(b"n", 100, 200), "timeless": PublicKey(b"t")}
    with closing(BundleWriter(tmp_path / "b")) as writer:
        RecordingKeys(Api(answer), writer, "eu-west-1").between(0, 200)
        writer.finish([], ASKED)
    with closing(Bundle(tmp_path / "b")) as bundle:
        source = BundleKeys(bundle, "eu-west-1")
        assert source.between(0, 200) == answer
        assert set(source.between(100, 150)) == {"new", "timeless"}
        with pytest.raises(ApiNotReached):
            source.between(0, 201)
        with pytest.raises(ApiNotReached):
            BundleKeys(bundle, "us-east-1").between(0, 200)
        assert source.origin() == "which came with the bundle"


def test_metadata_that_is_not_there_is_not_the_same_as_none(tmp_path):
    objects = {
        ("b", "x/CloudTrail-Digest/a"): StoredObject(b"1", None),
        ("b", "x/CloudTrail-Digest/b"): StoredObject(b"2", {}),
    }
    with closing(BundleWriter(tmp_path / "b")) as writer:
        for place in objects:
            RecordingReader(Odd(objects), writer).get(*place)  # type: ignore[arg-type]
        writer.finish([], PINNED)
    with closing(Bundle(tmp_path / "b")) as bundle:
        assert [BundleReader(bundle).get(*place).metadata for place in objects] == [None, {}]
    assert MadeObject(b"", {}).metadata == {}
