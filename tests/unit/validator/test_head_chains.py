"""Which chains heads in a file, or in a bucket, tell of."""

import json

import pytest

from opentrail.evidence.chain_head import head_key
from opentrail_validator.head_chains import chains_in_bucket, chains_in_file
from opentrail_validator.head_sources import HeadFile
from opentrail_validator.readers.port import CouldNotRead
from tests.evidence_maker.heads import made_head
from tests.evidence_maker.in_memory import BEGIN, InMemory, place_of
from tests.evidence_maker.maker import HOUR, Chain, MadeObject

CHAIN = Chain().hours(3)
PLACE = place_of(CHAIN)
EVER = BEGIN + 1000 * HOUR


def organization():
    """The chains of one trail, and heads of these and others."""
    chains = [
        Chain(organization="o-1", account=account, region=region, prefix="OpenTrail-Head/a").hours(1)
        for account in ("111111111111", "222222222222")
        for region in ("eu-west-1", "us-east-1")
    ]
    other = Chain(organization="o-1", account="333333333333", trail="other", prefix="OpenTrail-Head/a").hours(1)
    return chains, [(chain, made_head(chain, chain.digests[0])) for chain in (*chains, other, CHAIN)]


@pytest.fixture
def file(tmp_path):
    def write(heads):
        path = tmp_path / "heads.json"
        path.write_text(json.dumps(heads))
        return HeadFile(path)

    return write


def laid(chain, head, prefix=""):
    """A head in a bucket."""
    key = prefix + head_key(place_of(chain).digest_at(head["digestS3Object"]))
    return {("heads", key): MadeObject(json.dumps(head).encode(), {})}


def test_a_file_names_the_chains_of_a_trail_each_once(file):
    chains, heads = organization()
    source = file([head for _, head in heads] * 2)
    assert sorted(chains_in_file(source, place_of(chains[2]), EVER), key=str) == [place_of(chain) for chain in chains]
    assert list(chains_in_file(source, PLACE, EVER)) == [PLACE]
    assert list(chains_in_file(source, place_of(Chain(trail="none")), EVER)) == []


def test_heads_after_the_time_and_of_another_bucket_and_what_is_none_name_nothing(file):
    head = made_head(CHAIN, CHAIN.digests[0])
    elsewhere = made_head(CHAIN, CHAIN.digests[0], digestS3Bucket="elsewhere")
    assert list(chains_in_file(file([head]), PLACE, BEGIN - 1)) == []
    assert list(chains_in_file(file([elsewhere, {"digestS3Object": head["digestS3Object"]}]), PLACE, EVER)) == []


@pytest.mark.parametrize("prefix", ["", "CloudTrail-Digest/of"])
def test_a_bucket_names_the_chains_of_a_trail(prefix):
    chains, heads = organization()
    objects = {}
    for chain, head in heads:
        objects |= laid(chain, head, f"{prefix}/" if prefix else "")
    found = chains_in_bucket(InMemory(objects), "heads", prefix, place_of(chains[2]))
    assert found == [place_of(chain) for chain in chains]
    assert chains_in_bucket(InMemory(objects), "heads", prefix, PLACE) == [PLACE]
    with pytest.raises(CouldNotRead):
        chains_in_bucket(InMemory(objects, unlistable=("heads",)), "heads", prefix, PLACE)


def test_a_chain_whose_heads_are_set_apart_is_named():
    """Two chains' digests of one name, in two buckets: their heads lie in one."""
    objects = laid(CHAIN, made_head(CHAIN, CHAIN.digests[0]))
    (bucket, key), made = objects.popitem()
    apart = {(bucket, key.replace("Z.json", "Z_0a1b2c3d.json")): made}
    assert chains_in_bucket(InMemory(apart), "heads", "", PLACE) == [PLACE]
