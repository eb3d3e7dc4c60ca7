"""Which number each record of a file is sent under: the same in each run, whatever tokens there are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opentrail_cli import ingest
from opentrail_cli.ingest import Ingestion, UnknownAccount
from opentrail_cli.record_files import FoundRecord, UnreadableFile
from opentrail_producer.client import Accepted, Outcome

A, B = "111122223333", "444455556666"
JOURNAL_ID = bytes(range(16))
Sent = dict[tuple[str, bytes, str, int], bytes]


class Clients:
    """Stand-ins for the producer's client; keeps what was sent as (token, client id, region, number)."""

    def __init__(self) -> None:
        self.sent: Sent = {}
        self.made = 0

    def __call__(self, target: str, *, token: str, client_id: bytes | None, **_: Any) -> Any:
        self.made += 1
        sent, mine = self.sent, b"random-%d" % self.made if client_id is None else client_id
        next_number: dict[str, int] = defaultdict(int)

        class Client:
            def send(
                self, record: bytes, *, region: str, number: int | None, on_outcome: Callable[[Future[Outcome]], None]
            ) -> None:
                number = next_number[region] if number is None else number
                next_number[region] = number + 1
                assert (token, mine, region, number) not in sent, "two records under one number"
                sent[token, mine, region, number] = record
                outcome: Future[Outcome] = Future()
                outcome.set_result(Accepted("id"))
                on_outcome(outcome)

            def close(self) -> None:
                pass

        return Client()


def run(
    records: Iterable[FoundRecord],
    token_for: Callable[[str | None], str],
    monkeypatch: pytest.MonkeyPatch,
    client_id: bytes | None = JOURNAL_ID,
) -> tuple[Sent, Ingestion]:
    clients = Clients()
    monkeypatch.setattr(ingest, "ProducerClient", clients)
    ingestion = Ingestion("nowhere", token_for, client_id=client_id)
    ingestion.send(records)
    ingestion.close()
    return clients.sent, ingestion


def tokens_of(known: set[str]) -> Callable[[str | None], str]:
    """As LocalTokens: an account's own token; one for records without an account only if there is one account."""

    def token_for(account_id: str | None) -> str:
        if account_id is None:
            if len(known) != 1:
                raise UnknownAccount("more than one account")
            (account_id,) = known
        if account_id not in known:
            raise UnknownAccount("not known")
        return f"token of {account_id}"

    return token_for


def found(*shapes: tuple[str | None, str | None]) -> list[FoundRecord]:
    file = Path("a.json")
    return [FoundRecord(file, n, b"%d" % n, account, region) for n, (account, region) in enumerate(shapes, 1)]


def test_each_account_has_its_own_numbers_under_the_journals_id(monkeypatch: pytest.MonkeyPatch) -> None:
    records = found((A, "eu-west-1"), (B, "eu-west-1"), (A, "eu-west-1"), (A, None), (B, "eu-west-1"))
    sent, ingestion = run(records, tokens_of({A, B}), monkeypatch)
    assert sent == {
        (f"token of {A}", JOURNAL_ID, "eu-west-1", 0): b"1",
        (f"token of {B}", JOURNAL_ID, "eu-west-1", 0): b"2",
        (f"token of {A}", JOURNAL_ID, "eu-west-1", 1): b"3",
        (f"token of {A}", JOURNAL_ID, "us-east-1", 0): b"4",
        (f"token of {B}", JOURNAL_ID, "eu-west-1", 1): b"5",
    }
    assert ingestion.summary.accepted == 5


def test_without_a_journal_the_ids_are_random(monkeypatch: pytest.MonkeyPatch) -> None:
    sent, _ = run(found((A, None), (B, None), (None, None)), lambda account: account or A, monkeypatch, None)
    assert {client_id for _, client_id, _, _ in sent} == {b"random-1", b"random-2", b"random-3"}


def test_one_token_for_all_needs_two_clients_however_many_accounts_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    records = found(*[(f"{number:012}", "eu-west-1") for number in range(500)], (None, "eu-west-1"))
    sent, _ = run(records, lambda _account: "given", monkeypatch)
    assert len({client_id for _, client_id, _, _ in sent}) == 2
    assert len(sent) == 501


@given(
    st.lists(
        st.tuples(st.sampled_from([A, B, None]), st.sampled_from(["eu-west-1", "us-east-1", None])),
        min_size=1,
        max_size=25,
    ),
    st.lists(st.sets(st.sampled_from([A, B])), min_size=2, max_size=4),
    st.booleans(),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_record_has_the_same_number_in_each_run_whatever_accounts_are_known(
    monkeypatch: pytest.MonkeyPatch,
    shapes: list[tuple[str | None, str | None]],
    known_in: list[set[str]],
    adds: bool,
) -> None:
    records = found(*shapes)
    together: Sent = {}
    for known in known_in:
        accounts = set(known)
        token_for = tokens_of(accounts)

        def adding(
            account_id: str | None, accounts: set[str] = accounts, token_for: Callable[[str | None], str] = token_for
        ) -> str:
            if adds and account_id is not None:
                accounts.add(account_id)
            return token_for(account_id)

        sent, _ = run(records, adding, monkeypatch)
        for place, record in sent.items():
            assert together.setdefault(place, record) == record, "another record under a number that was used"
    for account in (A, B):
        named = [record for (token, *_), record in together.items() if token == f"token of {account}"]
        assert len(named) == len(set(named)), "one record under two numbers"


def test_a_file_that_cannot_be_read_stops_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Iterable[FoundRecord]:
        yield found((A, None))[0]
        raise UnreadableFile("it is no whole gzip file")

    monkeypatch.setattr(ingest, "ProducerClient", Clients())
    ingestion = Ingestion("nowhere", lambda _account: "given", client_id=JOURNAL_ID)
    done: list[int] = []
    files = [(Path("a.json"), broken()), (Path("b.json"), found((A, None)))]
    summary = ingestion.send_files(files, lambda: done.append(1))
    assert summary.accepted == 2
    assert summary.unreadable == [(Path("a.json"), "it is no whole gzip file")]
    assert done == [1, 1]
    assert not summary.is_clean
