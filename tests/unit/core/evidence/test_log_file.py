"""Log files of shared segments: what a reader sees, and the tree over a file's records."""

import gzip
import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opentrail.evidence import log_file
from opentrail.evidence.log_file import MAX_FILE_BYTES, MalformedLogFile, Segment, assemble, read_log_file
from opentrail.evidence.records_tree import leaf_hash, tree_root

record = st.integers(0, 10**6).map(lambda number: b'{"n":%d}' % number)
texts = st.lists(record, min_size=1, max_size=12)


def segment(records, runs=1):
    """Its records in so many runs."""
    step = -(-len(records) // runs)
    pieces = [b",".join(records[start : start + step]) for start in range(0, len(records), step)]
    return Segment(pieces, [len(one) for one in records])


def root(records):
    return tree_root([leaf_hash(one) for one in records]).hex()


@given(st.lists(texts, max_size=8), st.data())
def test_files_of_shared_segments_have_the_roots_of_their_own_records(all_records, data):
    segments = [segment(records, data.draw(st.integers(1, 3))) for records in all_records]
    chosen = data.draw(
        st.lists(st.lists(st.integers(0, max(len(segments) - 1, 0)), unique=True), max_size=6)
        if segments
        else st.just([[]])
    )
    files = assemble([[segments[index] for index in indexes] for indexes in chosen])
    for indexes, file in zip(chosen, files, strict=True):
        records = [one for index in indexes for one in all_records[index]]
        text = read_log_file(file.body)
        assert text == b'{"Records":[' + b",".join(records) + b"]}"
        assert (file.sha256, file.size) == (hashlib.sha256(text).hexdigest(), len(text))
        assert (file.record_count, file.records_root) == (len(records), root(records))


def test_leaves_are_hashed_once_however_many_files_want_them(monkeypatch):
    hashed = []
    leaf_hashes = log_file.leaf_hashes
    monkeypatch.setattr(
        log_file, "leaf_hashes", lambda text, lengths: hashed.append(len(lengths)) or leaf_hashes(text, lengths)
    )
    shared, other = segment([b"{}"] * 3), segment([b'{"a":1}'] * 2)
    files = assemble([[shared], [shared, other], [other], [other, shared]])
    assert sorted(hashed) == [2, 3]
    assert len({file.records_root for file in files}) == 4


def test_nodes_of_a_common_beginning_are_hashed_once(monkeypatch):
    """Two files that begin with the same segments share the trees over them."""
    nodes = 0
    tree = log_file.tree_root

    def counted(leaves):
        nonlocal nodes
        nodes += len(leaves) - 1
        return tree(leaves)

    monkeypatch.setattr(log_file, "tree_root", counted)
    large, small = segment([b"{}"] * 1000), segment([b"[]"] * 3)
    assemble([[large], [large, small], [large], [large, small]])
    assert nodes < 1100


def test_a_file_without_segments_has_the_empty_tree():
    (file,) = assemble([[]])
    assert json.loads(read_log_file(file.body)) == {"Records": []}
    assert (file.record_count, file.records_root) == (0, hashlib.sha256(b"").hexdigest())


@pytest.mark.parametrize("lengths", [None, [], [2], [2, 3], [2, 2, 2]])
def test_without_the_right_lengths_there_is_the_file_and_no_root(lengths):
    known, unknown = segment([b"[1]"]), Segment([b"{},{}"], lengths)
    alone, both = assemble([[known], [known, unknown]])
    assert json.loads(read_log_file(both.body)) == {"Records": [[1], {}, {}]}
    assert (both.record_count, both.records_root) == (None, None)
    assert (alone.record_count, alone.records_root) == (1, root([b"[1]"]))


def test_what_inflates_to_more_than_any_file_of_ours_is_malformed():
    """Whoever may write to a bucket may put a bomb where delivery looks: 130 KB that inflate to 128 MiB and a byte."""
    bomb = gzip.compress(bytes(MAX_FILE_BYTES + 1))
    with pytest.raises(MalformedLogFile, match="more than"):
        read_log_file(bomb)
