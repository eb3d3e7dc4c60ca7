"""What every reader of objects does: a local directory in its three forms, S3 servers, and the tests' own in memory."""

from __future__ import annotations

import gzip
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest

from opentrail_validator.readers.local_directory import LocalDirectory
from opentrail_validator.readers.port import (
    CouldNotRead,
    ListedObject,
    ObjectDamaged,
    ObjectMissing,
    ObjectReader,
    Outcome,
    Place,
    StoredObject,
)
from opentrail_validator.readers.s3 import S3Reader
from tests.evidence_maker.in_memory import InMemory
from tests.evidence_maker.layouts import lay_in_s3, lay_kept, lay_plain
from tests.evidence_maker.maker import MadeObject

STORAGE_KEY = bytes(range(32))
FOLDER = "AWSLogs/111122223333/CloudTrail/eu-west-1/2026/03/01/"
MANY = [f"{FOLDER}{number:05}.json.gz" for number in range(1_100)]
"""More than one page of a list."""
ODD = [
    "odd/a b/%41+c=ü/é.json",
    "odd/#q?x=1&y=2",
    "odd/~a*b",
    "odd/%2F%25",
    "odd/a'b\"c<d>&amp;",
    "odd/\u2028",
    "odd/..a./.b",
    "odd/a\tb",
]
BODY = gzip.compress(b'{"Records": []}' * 100, mtime=0)
METADATA = {"signature": "0a" * 256, "signature-algorithm": "SHA256withRSA"}


@dataclass
class Filled:
    """A reader, and the bucket that holds the objects of this module."""

    reader: ObjectReader
    bucket: str

    def keys(self, prefix: str, start_after: str = "") -> list[str]:
        return [listed.key for listed in self.reader.list(self.bucket, prefix, start_after)]

    def read_all(self, keys: list[str]) -> list[Outcome]:
        places = (Place(self.bucket, key) for key in keys)
        return list(self.reader.read_all(places, lambda _, outcome: outcome))


def objects(bucket: str) -> dict[tuple[str, str], MadeObject]:
    made = {(bucket, key): MadeObject(key.encode(), {}) for key in MANY + ODD}
    made[bucket, "digest.json.gz"] = MadeObject(BODY, METADATA)
    made[bucket, "empty"] = MadeObject(b"", {})
    made[bucket, "large"] = MadeObject(bytes(range(256)) * 20_000, {})
    made[bucket, "AWSLogs/222233334444/x"] = MadeObject(b"x", {})
    made[bucket, "AWSLogs-of-others/x"] = MadeObject(b"x", {})
    return made


@pytest.fixture(scope="module", params=["memory", "plain", "kept", "encrypted", "minio", "versitygw"])
def filled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    if request.param == "memory":
        made = objects("trail-logs")
        yield Filled(InMemory(made, modified=dict.fromkeys(made, time.time())), "trail-logs")
    elif request.param in {"minio", "versitygw"}:
        server = request.getfixturevalue(request.param)
        bucket = server.new_bucket()
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda item: lay_in_s3(dict([item]), server.client), objects(bucket).items()))
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AWS_ENDPOINT_URL_S3", server.endpoint)
            patch.setenv("AWS_ACCESS_KEY_ID", server.access_key)
            patch.setenv("AWS_SECRET_ACCESS_KEY", server.secret_key)
            yield Filled(S3Reader("eu-west-1"), bucket)
    else:
        root = tmp_path_factory.mktemp("evidence")
        if request.param == "plain":
            lay_plain(objects("trail-logs"), root)
        else:
            lay_kept(objects("trail-logs"), root, STORAGE_KEY if request.param == "encrypted" else None)
        yield Filled(LocalDirectory(root, STORAGE_KEY), "trail-logs")


def test_an_object_is_read_as_it_was_stored_with_its_metadata(filled: Filled) -> None:
    stored = filled.reader.get(filled.bucket, "digest.json.gz")
    assert stored.body == BODY  # it is stored with Content-Encoding: gzip, and must not come inflated
    assert stored.metadata is not None
    assert {name: stored.metadata.get(name) for name in METADATA} == METADATA
    assert not {"content-type", "Content-Type"} & set(stored.metadata)


@pytest.mark.parametrize(("key", "size"), [("empty", 0), ("large", 5_120_000)])
def test_objects_of_every_size_are_read(filled: Filled, key: str, size: int) -> None:
    assert len(filled.reader.get(filled.bucket, key).body) == size
    (outcome,) = filled.read_all([key])
    assert isinstance(outcome, StoredObject)
    assert outcome.body == objects("b")["b", key].body


def test_many_objects_come_in_the_order_that_they_were_asked_for(filled: Filled) -> None:
    asked = MANY[::-1] + ODD + MANY
    outcomes = filled.read_all(asked)
    assert [outcome.body for outcome in outcomes if isinstance(outcome, StoredObject)] == [
        key.encode() for key in asked
    ]


@pytest.mark.parametrize("key", ODD)
def test_keys_may_hold_any_characters(filled: Filled, key: str) -> None:
    assert filled.reader.get(filled.bucket, key).body == key.encode()


def test_odd_keys_are_listed_as_they_are(filled: Filled) -> None:
    assert filled.keys("odd/") == sorted(ODD, key=str.encode)
    assert filled.keys("odd/a b/%") == [ODD[0]]


@pytest.mark.parametrize(
    "key", ["absent", f"{FOLDER}absent", f"{MANY[0]}/below", MANY[0][:-1], "", "odd/\ud800", "\udfff"]
)
def test_what_is_not_there_is_missing(filled: Filled, key: str) -> None:
    with pytest.raises(ObjectMissing):
        filled.reader.get(filled.bucket, key)
    (outcome,) = filled.read_all([key])
    assert isinstance(outcome, ObjectMissing)


def test_a_missing_object_does_not_hold_up_the_others(filled: Filled) -> None:
    outcomes = filled.read_all([MANY[0], "absent", MANY[1], f"{FOLDER}absent", MANY[2]])
    assert [type(outcome) for outcome in outcomes] == [
        StoredObject,
        ObjectMissing,
        StoredObject,
        ObjectMissing,
        StoredObject,
    ]


@pytest.mark.parametrize("filled", ["memory", "plain", "kept", "minio"], indirect=True)
@pytest.mark.parametrize("change", [f"{MANY[0]}/", MANY[0].replace("/", "//"), f"./{MANY[0]}", f"x/../{MANY[0]}"])
def test_an_object_is_not_read_under_another_name(filled: Filled, change: str) -> None:
    """`a//b` and `a/` are keys of their own. versitygw keeps objects as files and sees no difference itself."""
    (outcome,) = filled.read_all([change])
    assert not isinstance(outcome, StoredObject)


def test_places_are_drawn_lazily_and_a_bounded_number_ahead(filled: Filled) -> None:
    drawn = 0

    def places() -> Iterator[Place]:
        nonlocal drawn
        for key in MANY * 20:
            drawn += 1
            yield Place(filled.bucket, key)

    results = filled.reader.read_all(places(), lambda place, _: place.key)
    assert drawn == 0
    for number in range(50):
        assert next(results) == MANY[number]
    assert drawn < 50 + 2_000
    results.close()  # type: ignore[attr-defined]  # all of them are generators
    later = drawn
    time.sleep(0.1)
    assert drawn == later


def test_look_is_given_the_very_place(filled: Filled) -> None:
    asked = [Place(filled.bucket, key) for key in [*MANY[:20], "absent"]]
    assert all(
        one is other for one, other in zip(filled.reader.read_all(asked, lambda place, _: place), asked, strict=True)
    )


def test_a_source_of_places_may_read_itself(filled: Filled) -> None:
    def places() -> Iterator[Place]:
        for name in filled.reader.read_all(
            [Place(filled.bucket, key) for key in MANY[:30]], lambda place, _: place.key
        ):
            filled.reader.get(filled.bucket, name)
            yield Place(filled.bucket, name)
            yield Place(filled.bucket, "empty")

    found = list(filled.reader.read_all(places(), lambda place, _: place.key))
    assert found == [key for name in MANY[:30] for key in (name, "empty")]


def test_several_threads_share_a_reader(filled: Filled) -> None:
    def read(start: int) -> bool:
        keys = MANY[start : start + 100]
        return filled.read_all(keys) == filled.read_all(keys) and filled.keys(FOLDER, keys[-1]) == MANY[start + 100 :]

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(read, range(0, 600, 100))) == [True] * 6


def test_lists_go_on_over_pages_and_begin_after_a_key(filled: Filled) -> None:
    assert filled.keys(FOLDER) == MANY
    assert filled.keys(FOLDER, MANY[0]) == MANY[1:]
    assert filled.keys(FOLDER, FOLDER) == MANY
    assert filled.keys(FOLDER, MANY[-1]) == []
    assert filled.keys(FOLDER, "z") == []
    assert filled.keys(f"{FOLDER}0109") == MANY[1_090:]
    assert filled.keys("AWSLogs/2", "AWSLogs/2") == ["AWSLogs/222233334444/x"]
    assert filled.keys("nowhere/") == []
    assert len(filled.keys("")) == len(objects("b"))


def test_a_list_says_when_objects_were_put(filled: Filled) -> None:
    listed = list(filled.reader.list(filled.bucket, FOLDER))
    assert all(entry.modified is not None and abs(entry.modified - time.time()) < 600 for entry in listed)
    assert isinstance(listed[0], ListedObject)


def test_a_list_that_is_given_up_ends(filled: Filled) -> None:
    entries = filled.reader.list(filled.bucket, FOLDER)
    assert next(entries).key == MANY[0]
    entries.close()  # type: ignore[attr-defined]  # all of them are generators


def test_folders_are_the_next_parts_of_keys(filled: Filled) -> None:
    assert list(filled.reader.folders(filled.bucket, "")) == ["AWSLogs", "AWSLogs-of-others", "odd"]
    assert list(filled.reader.folders(filled.bucket, "AWSLogs/")) == ["111122223333", "222233334444"]
    assert list(filled.reader.folders(filled.bucket, FOLDER)) == []
    assert list(filled.reader.folders(filled.bucket, "nowhere/")) == []


def test_a_bucket_that_is_not_there_is_not_a_hundred_missing_objects(filled: Filled) -> None:
    """To S3 the bucket is an answer of its own; to a directory it is a folder like any other."""
    if isinstance(filled.reader, S3Reader):
        reader = S3Reader("us-east-1")
        with pytest.raises(CouldNotRead, match="NoSuchBucket"):
            reader.get("opentrail-absent", "key")
        with pytest.raises(CouldNotRead, match="NoSuchBucket"):
            list(reader.list("opentrail-absent", ""))
    else:
        with pytest.raises(ObjectMissing):
            filled.reader.get("opentrail-absent", "key")
        assert list(filled.reader.list("opentrail-absent", "")) == []


def test_damage_and_what_cannot_be_read_are_values(tmp_path: Any) -> None:
    made = {("b", f"{number}.json.gz"): MadeObject(b"body", {}) for number in range(3)}
    lay_kept(made, tmp_path, STORAGE_KEY)
    damaged = tmp_path / "b" / "1.json.gz"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    places = [Place("b", f"{number}.json.gz") for number in range(4)]

    def outcomes(reader: ObjectReader) -> list[type[Outcome]]:
        return list(reader.read_all(places, lambda _, outcome: type(outcome)))

    with_key = outcomes(LocalDirectory(tmp_path, STORAGE_KEY))
    assert with_key == [StoredObject, ObjectDamaged, StoredObject, ObjectMissing]
    assert outcomes(LocalDirectory(tmp_path)) == [CouldNotRead, CouldNotRead, CouldNotRead, ObjectMissing]
