"""Heads in a file of the auditor's, and in a bucket."""

import json

import pytest

from opentrail.evidence.chain_head import head_key
from opentrail_validator.head_sources import HeadBucket, HeadFile
from opentrail_validator.readers.port import CouldNotRead, ReaderUnavailable
from tests.evidence_maker.heads import made_head
from tests.evidence_maker.in_memory import BEGIN, InMemory, place_of
from tests.evidence_maker.maker import HOUR, Chain, MadeObject

CHAIN = Chain().hours(30)
HEADS = [made_head(CHAIN, place) for place in CHAIN.digests]
PLACE = place_of(CHAIN)
EVER = (0, BEGIN + 10**6)

FORMS = {
    "export": lambda heads: json.dumps({"Heads": heads}),
    "export over several lines": lambda heads: json.dumps({"Heads": heads}, indent=2),
    "list": json.dumps,
    "list over several lines": lambda heads: json.dumps(heads, indent=2),
    "lines": lambda heads: "\n".join(json.dumps(head) for head in heads) + "\n\n",
}


@pytest.fixture
def file(tmp_path):
    def write(text):
        path = tmp_path / "heads.json"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return HeadFile(path)

    return write


def given(source, folder=PLACE.folder, start=EVER[0], end=EVER[1]):
    return [json.loads(data) for data in source.heads("trail-logs", folder, start, end)]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("count", [1, 3])
def test_each_form_of_file_gives_its_heads(file, form, count):
    assert given(file(FORMS[form](HEADS[:count]))) == HEADS[:count]


def test_a_single_head_over_several_lines(file):
    assert given(file(json.dumps(HEADS[0], indent=2))) == HEADS[:1]


@pytest.mark.parametrize("text", ['{"Heads": []}', "[]"])
def test_no_head_at_all(file, text):
    assert given(file(text)) == []


@pytest.mark.parametrize("text", ["", "\n", "{", "not json", '{"a": 1}\n{', b"\xff\xfe\xff", "[" * 100_000])
def test_what_is_no_such_file_is_refused_with_what_it_may_be(file, text):
    with pytest.raises(ReaderUnavailable, match=r"heads\.json is no file of chain heads"):
        file(text)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ReaderUnavailable, match="could not be read: No such file"):
        HeadFile(tmp_path / "none")


def test_only_heads_of_the_folder_and_time_are_given(file):
    other = Chain(region="eu-west-12").hours(1)
    source = file(json.dumps([*HEADS, made_head(other, other.digests[0])]))
    assert given(source, start=BEGIN + 3 * HOUR, end=BEGIN + 5 * HOUR) == HEADS[2:5]
    assert given(source, place_of(other).folder) == [made_head(other, other.digests[0])]
    assert given(source, "AWSLogs/999999999999/CloudTrail-Digest/eu-west-1/") == []


def test_what_names_no_digest_is_given_to_everyone(file):
    odd = [{"digestS3Object": "x"}, {"digestS3Object": 7}, {}, 5, None, "text"]
    source = file(json.dumps([*odd, HEADS[0]]))
    assert given(source) == [*odd, HEADS[0]]
    assert given(source, "elsewhere/") == odd


def test_origins(file):
    assert file("[]").origin().startswith("the file /")
    assert file("[]").origin().endswith("heads.json")
    assert HeadBucket(InMemory({}), "heads").origin() == "s3://heads"
    assert HeadBucket(InMemory({}), "heads", "a/b").origin() == "s3://heads/a/b"


# --- a bucket -----------------------------------------------------------------------------------


def laid(heads, prefix="", chain=CHAIN):
    place = place_of(chain)
    return {
        ("heads", prefix + head_key(place.digest_at(head["digestS3Object"]))): MadeObject(json.dumps(head).encode(), {})
        for head in heads
    }


@pytest.mark.parametrize("prefix", ["", "of/trails"])
@pytest.mark.parametrize("organization", ["", "o-exampleorg1"])
def test_heads_lie_below_their_prefix_under_their_digests_keys(prefix, organization):
    chain = Chain(organization=organization, prefix="a").hours(2)
    heads = [made_head(chain, place) for place in chain.digests]
    objects = laid(heads, f"{prefix}/" if prefix else "", chain)
    assert given(HeadBucket(InMemory(objects), "heads", prefix), place_of(chain).folder) == heads


def test_only_heads_of_the_time_are_read():
    reader = InMemory(laid(HEADS))
    source = HeadBucket(reader, "heads")
    assert given(source, start=BEGIN + 20 * HOUR, end=BEGIN + 22 * HOUR) == HEADS[19:22]
    assert len(reader.read) == 3
    assert given(source, start=BEGIN + 31 * HOUR, end=BEGIN + 99 * HOUR) == []


def test_a_head_that_is_set_apart_by_its_chain_is_one_of_its_time_and_chain():
    """Two chains' digests of one name, in two buckets: their heads lie in one."""
    objects = laid(HEADS[:1])
    (bucket, key), made = objects.popitem()
    reader = InMemory({(bucket, key.replace("Z.json", "Z_0a1b2c3d.json")): made})
    source = HeadBucket(reader, "heads")
    assert given(source, start=BEGIN + 20 * HOUR, end=BEGIN + 22 * HOUR) == []
    assert reader.read == []
    assert given(source) == HEADS[:1]


def test_names_that_no_head_has_are_read_too():
    objects = laid(HEADS[:2])
    (place, other) = sorted(objects)
    objects["heads", place[1].replace("T110731Z", "T996199Z")] = objects.pop(place)
    objects["heads", other[1].removesuffix(".json")] = objects.pop(other)
    source = HeadBucket(InMemory(objects), "heads")
    found = given(source, start=BEGIN, end=BEGIN + 5)
    assert sorted(found, key=lambda head: head["sequence"]) == HEADS[:2]


def test_a_head_that_cannot_be_read_fails_and_so_does_a_list():
    objects = laid(HEADS[:3])
    lost = sorted(objects)[1]
    with pytest.raises(CouldNotRead):
        given(HeadBucket(InMemory(objects, lost=(lost,)), "heads"))
    with pytest.raises(CouldNotRead):
        given(HeadBucket(InMemory(objects, unlistable=("heads",)), "heads"))


def test_another_regions_heads_are_not_read():
    chain = Chain(region="eu-west-12").hours(1)
    reader = InMemory(laid([made_head(chain, chain.digests[0])], chain=chain))
    assert given(HeadBucket(reader, "heads")) == []
    assert reader.read == []
