"""Thousand accounts with five trails each for 60 days: the state store's size levels off.

    .venv/bin/pytest -s tests/contracts/state/test_forgetting_sizes.py

prints rows and bytes day by day.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from opentrail.trails.configuration import Kind
from opentrail_backends.state import open_state_store
from opentrail_backends.state.port import NewChange
from tests.contracts.state.many_trails import DAY, ManyTrails
from tests.contracts.state.samples import REGION, START, Clock, digest, dump

KEPT_MS = 35 * DAY * 1000
LEVEL = 44
"""From this day on nothing grows: 35 days, one more for the configuration, and the days between two looks."""
SHOWN = ("file", "digest", "chain", "place", "client_numbers", "configuration_change", "worker", "token")


@pytest.fixture
def many(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[ManyTrails]:
    accounts, trails = getattr(request, "param", (1000, 5))
    clock = Clock()
    with closing(open_state_store(f"sqlite:///{tmp_path}/state.db", clock=clock)) as store:
        store.migrate()
        yield ManyTrails(store, clock, accounts, trails)
    for path in tmp_path.iterdir():
        path.unlink()  # hundreds of megabytes


def test_the_state_store_levels_off(many: ManyTrails, soak: bool) -> None:
    step = 1 if soak else 2
    trails = [incarnation for _, incarnation in many.names()]
    many.store.configuration.apply([NewChange(Kind.TRAIL, trail, {"name": trail}) for trail in trails])
    many.start_chains()
    sizes: dict[int, int] = {}
    rows: dict[int, dict[str, int]] = {}
    print("\nday " + "".join(f"{name:>21}" for name in (*SHOWN, "bytes")))
    for day in range(step, 61, step):
        many.clock.move(step * DAY)
        a_day(many, day, trails)
        while many.store.forget(KEPT_MS):
            pass
        sizes[day], rows[day] = many.bytes_used(), many.rows()
        print(f"{day:3} " + "".join(f"{count:21,}" for count in (*(rows[day][name] for name in SHOWN), sizes[day])))

    assert sizes[10] * 2 < sizes[LEVEL], "it grows as long as nothing is old"
    assert sizes[60] < sizes[LEVEL] * 1.03
    for table, count in rows[60].items():
        assert count <= rows[LEVEL][table] * 1.03, table
    kept = 36 // step
    assert kept * 5000 * 0.9 < rows[60]["file"] < kept * 5000 * 1.1
    assert kept * 5000 * 0.9 < rows[60]["digest"] < kept * 5000 * 1.1
    assert kept * 1000 * 0.9 < rows[60]["client_numbers"] < kept * 1000 * 1.1
    assert rows[60]["chain"] > 5000
    assert sum(account.clients for account in many.store.ledger.clients()) == rows[60]["client_numbers"]


def a_day(many: ManyTrails, day: int, trails: list[str]) -> None:
    """Files and digests of all trails, and everything else that may come and go."""
    store, some = many.store, trails[day * 50 % 5000 : day * 50 % 5000 + 50]
    late = store.ledger.parked_files(1000)
    many.deliver(parked=20)
    for file in late:
        assert store.ledger.deliver_parked(file)
    many.clock.move(1)
    many.digest(ended=some)  # StopLogging, and StartLogging at once
    for trail in some:
        many.sessions[trail] += 1
    many.start_chains()
    store.configuration.apply([NewChange(Kind.TRAIL, trail, {"name": trail, "day": day}) for trail in some])
    store.configuration.apply([NewChange(Kind.ACCOUNT, f"{day}", {}), NewChange(Kind.ACCOUNT, f"{day}", None)])
    store.ledger.report_worker(f"worker-{day}", {"batch": 1})
    store.configuration.add_token(day.to_bytes(32, "big"), "1", "t", expires_at=many.clock.milliseconds + 1000)


@pytest.mark.parametrize("many", [(3, 2)], indirect=True)
def test_digests_in_bulk_leave_the_rows_that_the_store_itself_leaves(many: ManyTrails) -> None:
    """Else the test above would measure something that delivery does not write."""
    with closing(open_state_store("sqlite://", clock=many.clock)) as store:
        store.migrate()
        by_one = ManyTrails(store, many.clock, 3, 2)
        for all_of_them in (many, by_one):
            all_of_them.start_chains()
        for turn in range(3):
            many.clock.move(DAY)
            for all_of_them in (many, by_one):
                all_of_them.deliver()
            many.clock.move(1)
            some = [incarnation for _, incarnation in many.names()][:1] if turn == 1 else []
            many.digest(ended=some)
            for head in by_one.store.chains.all_chains():
                if head.ended:
                    continue
                built = by_one._digest(head, many.clock.milliseconds // 1000)
                assert built.sequence == digest(head).sequence
                ids = [file.id for file in store.chains.undigested(head, built.end)]
                assert store.chains.append(head, built, ids, built.end + 3600, ended=head.incarnation in some)
                store.chains.mark_published(head.id, built.sequence)
        rows, expected = dump(many.store), dump(store)
    for table in ("file", "digest", "chain", "place", "client_numbers", "trail_delivery", "clock"):
        assert rows[table] == expected[table], table
        assert rows[table]
    assert {row["region"] for row in rows["file"]} == {REGION}
    assert min(row["published_at"] for row in rows["digest"]) > START * 1000
