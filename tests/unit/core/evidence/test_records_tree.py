"""The tree against RFC 9162 itself: its recursive definitions, written down here once more, and known vectors."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opentrail.evidence.records_tree import (
    HASH_BYTES,
    MalformedPath,
    inclusion_path,
    leaf_hash,
    leaf_hashes,
    root_of_path,
    tree_root,
)

# The leaves, roots and paths that Certificate Transparency's implementations have in their tests.
KNOWN_LEAVES = [
    bytes.fromhex(text)
    for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
KNOWN_ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
KNOWN_PATHS = {
    (0, 1): [],
    (0, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (5, 8): [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 3): ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
}

records = st.lists(st.binary(max_size=20), max_size=40)


def sha256(data):
    return hashlib.sha256(data).digest()


def split(count):
    """The largest power of two smaller than `count`."""
    k = 1
    while 2 * k < count:
        k *= 2
    return k


def mth(entries):
    """RFC 9162 §2.1.1."""
    if not entries:
        return sha256(b"")
    if len(entries) == 1:
        return sha256(b"\x00" + entries[0])
    k = split(len(entries))
    return sha256(b"\x01" + mth(entries[:k]) + mth(entries[k:]))


def path_of(m, entries):
    """RFC 9162 §2.1.3.1."""
    if len(entries) == 1:
        return []
    k = split(len(entries))
    if m < k:
        return [*path_of(m, entries[:k]), mth(entries[k:])]
    return [*path_of(m - k, entries[k:]), mth(entries[:k])]


@pytest.mark.parametrize("size", range(9))
def test_known_roots(size):
    leaves = [leaf_hash(record) for record in KNOWN_LEAVES[:size]]
    assert tree_root(leaves).hex() == KNOWN_ROOTS[size]
    assert mth(KNOWN_LEAVES[:size]).hex() == KNOWN_ROOTS[size]


@pytest.mark.parametrize("place", KNOWN_PATHS)
def test_known_paths(place):
    index, size = place
    leaves = [leaf_hash(record) for record in KNOWN_LEAVES[:size]]
    path = inclusion_path(leaves, index)
    assert [step.hex() for step in path] == KNOWN_PATHS[place]
    assert root_of_path(leaves[index], index, size, path).hex() == KNOWN_ROOTS[size]


@given(records)
def test_roots_and_paths_are_those_of_the_recursive_definition(entries):
    leaves = [leaf_hash(entry) for entry in entries]
    assert tree_root(leaves) == mth(entries)
    for index in range(len(entries)):
        path = inclusion_path(leaves, index)
        assert path == path_of(index, entries)
        assert root_of_path(leaves[index], index, len(entries), path) == mth(entries)


@given(st.lists(st.binary(max_size=30), min_size=1, max_size=20), st.sampled_from([b"", b" ", b"\r\n\t "]))
def test_leaves_of_a_joined_text(entries, around):
    """Space around a record is none of its bytes: no reader of JSON gives it back."""
    entries = [b"{%b}" % entry for entry in entries]
    spaced = [around + entry + around for entry in entries]
    found = leaf_hashes(b",".join(spaced), [len(entry) for entry in spaced])
    assert found == [leaf_hash(entry) for entry in entries] == [sha256(b"\x00" + entry) for entry in entries]


@given(st.data())
def test_a_path_proves_no_other_record_place_or_size(data):
    entries = data.draw(st.lists(st.binary(max_size=8), min_size=2, max_size=33, unique=True))
    leaves = [leaf_hash(entry) for entry in entries]
    index = data.draw(st.integers(0, len(entries) - 1))
    path, root = inclusion_path(leaves, index), tree_root(leaves)
    other = data.draw(st.integers(0, len(entries) - 1).filter(lambda other: other != index))
    assert root_of_path(leaves[other], index, len(entries), path) != root
    flipped = data.draw(st.integers(0, len(path) - 1))
    step = bytearray(path[flipped])
    step[data.draw(st.integers(0, HASH_BYTES - 1))] ^= data.draw(st.integers(1, 255))
    assert (
        root_of_path(leaves[index], index, len(entries), [*path[:flipped], bytes(step), *path[flipped + 1 :]]) != root
    )
    try:
        assert root_of_path(leaves[index], other, len(entries), path) != root
    except MalformedPath:
        assert len(path) != len(inclusion_path(leaves, other))


@given(st.integers(1, 70), st.data())
def test_a_path_of_another_length_is_malformed(size, data):
    leaves = [leaf_hash(b"%d" % number) for number in range(size)]
    index = data.draw(st.integers(0, size - 1))
    path = inclusion_path(leaves, index)
    with pytest.raises(MalformedPath, match="too long"):
        root_of_path(leaves[index], index, size, [*path, bytes(HASH_BYTES)])
    for length in range(len(path)):
        with pytest.raises(MalformedPath, match="too short"):
            root_of_path(leaves[index], index, size, path[:length])


@pytest.mark.parametrize(("index", "size"), [(0, 0), (1, 1), (-1, 3), (3, 3)])
def test_there_is_no_path_to_a_leaf_that_is_not_there(index, size):
    with pytest.raises(MalformedPath):
        root_of_path(bytes(HASH_BYTES), index, size, [])
    with pytest.raises(IndexError):
        inclusion_path([bytes(HASH_BYTES)] * size, index)


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_step_that_is_no_hash_is_malformed(length):
    with pytest.raises(MalformedPath, match="not 32 bytes"):
        root_of_path(bytes(HASH_BYTES), 0, 2, [bytes(length)])
