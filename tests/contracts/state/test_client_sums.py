"""What is known of clients, in sums: how an operator learns that one lost events."""

from __future__ import annotations

from opentrail.events.client_numbers import ClientNumbers
from opentrail_backends.state.port import ClientsOfAccount, StateStore
from tests.contracts.state.samples import ACCOUNT, REGION, intent

OTHER = "444455556666"


def test_clients_missing_numbers_and_repeats_of_each_account_and_region(store: StateStore) -> None:
    assert store.ledger.clients() == []
    first = {
        (ACCOUNT, b"a" * 16): ClientNumbers(9, ((0, 1), (4, 4)), 0, 5, repeats=2, given_up=1),
        (ACCOUNT, b"b" * 16): ClientNumbers(2**62, ((10, 2**61),), 3, 6, repeats=0, given_up=2**61),
        (OTHER, b"a" * 16): ClientNumbers(1, repeats=7),
    }
    for region in (REGION, "eu-west-1"):
        lease, _ = store.ledger.own(region, 0, 0)
        numbers = first if region == REGION else {(OTHER, b"a" * 16): ClientNumbers(1)}
        window = intent(1, 0, 10)
        lease = store.ledger.deliver(store.ledger.write_intent(lease, window), window, numbers=numbers)

    assert store.ledger.client_numbers(REGION, ACCOUNT) == {key: n for (of, key), n in first.items() if of == ACCOUNT}
    ours = ClientsOfAccount(
        region=REGION, account_id=ACCOUNT, clients=2, missing=2**61 - 9 + 3, repeats=2, given_up=2**61 + 1
    )
    other = ClientsOfAccount(region=REGION, account_id=OTHER, clients=1, missing=0, repeats=7, given_up=0)
    there = ClientsOfAccount(region="eu-west-1", account_id=OTHER, clients=1, missing=0, repeats=0, given_up=0)
    assert store.ledger.clients() == [there, ours, other]

    lease, _ = store.ledger.own(REGION, 0, 0)
    window = intent(2, 10, 20)
    changed = {(ACCOUNT, b"a" * 16): ClientNumbers(9, ((4, 4),), repeats=3), (ACCOUNT, b"b" * 16): None}
    store.ledger.deliver(store.ledger.write_intent(lease, window), window, numbers=changed)
    assert store.ledger.clients()[1] == ClientsOfAccount(
        region=REGION, account_id=ACCOUNT, clients=1, missing=1, repeats=3, given_up=0
    )


def test_clients_that_count_as_far_as_they_may_do_not_hide_the_others(store: StateStore) -> None:
    """SQLite refuses a sum above 64 bits: then no operator would see anything any more."""
    numbers = {(ACCOUNT, bytes([n]) * 16): ClientNumbers(2**63 - 1, ((0, 2**63 - 2),), repeats=3) for n in range(3)}
    lease, _ = store.ledger.own(REGION, 0, 0)
    window = intent(1, 0, 10)
    store.ledger.deliver(store.ledger.write_intent(lease, window), window, numbers=numbers)
    (clients,) = store.ledger.clients()
    assert (clients.clients, clients.missing, clients.repeats, clients.given_up) == (3, 3 * (2**63 - 1), 9, 0)
