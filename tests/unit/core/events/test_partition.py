from __future__ import annotations

from collections import Counter

import pytest

from opentrail.events.partition import partition_of


# Worked out by `printf 111122223333 | sha256sum`, first 16 digits, modulo the count. Client libraries check the same.
@pytest.mark.parametrize(
    ("account_id", "partitions", "partition"),
    [
        ("111122223333", 1, 0),
        ("111122223333", 12, 0),
        ("111122223333", 64, 52),
        ("000000000000", 1, 0),
        ("000000000000", 12, 3),
        ("000000000000", 64, 3),
        ("123456789012", 1, 0),
        ("123456789012", 12, 10),
        ("123456789012", 64, 10),
    ],
)
def test_every_client_library_computes_the_same_partition(account_id, partitions, partition):
    assert partition_of(account_id, partitions) == partition


def test_accounts_are_spread_evenly():
    counts = Counter(partition_of(f"{i:012}", 16) for i in range(16_000))
    assert len(counts) == 16
    assert max(counts.values()) < 1.15 * min(counts.values())


def test_a_topic_without_partitions_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        partition_of("111122223333", 0)
