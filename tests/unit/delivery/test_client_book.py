import pytest

from opentrail.events.batch import EventBatch, SelectorClass, group_of, numbers_of, ranges_of, record_views
from opentrail.events.client_numbers import MAX_CLIENTS, MAX_HOLES, MAX_UNSEEN_MS, ClientNumbers
from opentrail_backends.event_bus.port import Message, Partition
from opentrail_delivery.client_book import ClientBook, DeadLetter, GivenUpHoles

CLIENT, OTHER = b"c" * 16, b"o" * 16
CLASSES = [SelectorClass("Management", "ec2.amazonaws.com", name, "AwsApiCall", False, ()) for name in ("A", "B")]


class Ledger:
    """What step 5 has written, and how often it was asked for."""

    def __init__(self):
        self.known = {}
        self.reads = 0

    def read(self, account):
        self.reads += 1
        return {client: n for (a, client), n in self.known.items() if a == account}

    def write(self, window):
        for key, numbers in window.changed.items():
            if numbers is None:
                self.known.pop(key, None)
            else:
                self.known[key] = numbers


def batch(*numbers, client=CLIENT, account="111122223333"):
    groups = []
    for selector_class, chosen in zip(CLASSES, (numbers[::2], numbers[1::2]), strict=True):
        if chosen:
            texts = [str(n).encode() for n in chosen]
            groups.append(group_of(selector_class, texts, map(len, texts), [0] * len(texts), (), chosen))
    return EventBatch(account, "eu-central-1", groups, client, ranges_of(numbers))


def message(at=1):
    return Message(Partition("eu-central-1", 0), at, at, b"")


def numbers_in(batch):
    found = sorted(n for group in batch.groups for n in numbers_of(group))
    assert found == sorted(int(bytes(view)) for group in batch.groups for view in record_views(group))
    assert list(batch.number_ranges) == ranges_of(found)
    return found


@pytest.fixture
def ledger():
    return Ledger()


@pytest.fixture
def book(ledger):
    return ClientBook(ledger.read)


def test_a_batch_that_is_sent_again_gives_nothing(book):
    window = book.window()
    assert numbers_in(window.without_repeats(message(), batch(0, 1, 2))) == [0, 1, 2]
    assert numbers_in(window.without_repeats(message(), batch(0, 1, 2))) == []
    assert window.repeats == 3


def test_a_retry_that_is_split_differently_gives_what_is_new(book):
    window = book.window()
    window.without_repeats(message(), batch(0, 1, 5, 6))
    assert numbers_in(window.without_repeats(message(), batch(1, 2, 3, 6, 7))) == [2, 3, 7]
    assert numbers_in(window.without_repeats(message(), batch(4))) == [4]
    assert window.changed == {("111122223333", CLIENT): ClientNumbers(7, (), 0, 1, repeats=2)}


def test_clients_and_accounts_do_not_touch_each_other(book):
    window = book.window()
    window.without_repeats(message(), batch(0, 1))
    assert numbers_in(window.without_repeats(message(), batch(0, 1, client=OTHER))) == [0, 1]
    assert numbers_in(window.without_repeats(message(), batch(0, 1, account="444455556666"))) == [0, 1]


def test_unnumbered_events_pass_and_ask_nothing(book, ledger):
    plain = EventBatch("111122223333", "eu-central-1", [group_of(CLASSES[0], [b"1"], [1], [0])])
    assert book.window().without_repeats(message(), plain) is plain
    assert ledger.reads == 0


def test_the_next_window_goes_on_before_the_first_is_delivered(book, ledger):
    first = book.window()
    first.without_repeats(message(), batch(0, 1))
    book.accept(first)
    assert numbers_in(book.window().without_repeats(message(), batch(1, 2))) == [2]
    assert ledger.known == {}


def test_a_window_that_was_not_accepted_changed_nothing(book):
    book.window().without_repeats(message(), batch(0, 1))
    assert numbers_in(book.window().without_repeats(message(), batch(0, 1))) == [0, 1]


def test_a_redo_starts_from_the_state_after_the_window_before_it(ledger):
    owner = ClientBook(ledger.read)
    delivered, lost = owner.window(), owner.window()
    delivered.without_repeats(message(), batch(0, 1))
    owner.accept(delivered)
    ledger.write(delivered)
    lost.without_repeats(message(), batch(1, 2))
    owner.accept(lost)
    again = ClientBook(ledger.read).window()
    assert numbers_in(again.without_repeats(message(), batch(1, 2))) == [2]
    assert again.changed == lost.changed


def test_a_number_below_a_hole_that_was_given_up_is_kept_as_a_dead_letter(book, ledger):
    ledger.known["111122223333", CLIENT] = ClientNumbers(9, ((7, 7),), floor=5, seen_at=1)
    window = book.window()
    assert numbers_in(window.without_repeats(message(3), batch(4, 6, 7, 10))) == [7, 10]
    assert window.dead_letters == [DeadLetter(message(3), ((4, 4),))]
    assert window.repeats == 1


def test_the_client_seen_least_recently_is_forgotten_in_the_ledger_too(book, ledger):
    for index in range(MAX_CLIENTS):
        ledger.known["111122223333", index.to_bytes(16)] = ClientNumbers(1, seen_at=10 + index)
    window = book.window()
    window.without_repeats(message(5000), batch(0, client=CLIENT))
    ledger.write(window)
    assert len(ledger.known) == MAX_CLIENTS
    assert ("111122223333", (0).to_bytes(16)) not in ledger.known
    assert ("111122223333", CLIENT) in ledger.known


def test_clients_that_come_and_are_forgotten_in_one_window_are_nothing_to_the_ledger(book, ledger):
    """Who draws a new id for each batch has as many clients as messages: step 5 must not forget each in the ledger."""
    ledger.known["111122223333", CLIENT] = ClientNumbers(0, seen_at=1)
    window = book.window()
    ids = [n.to_bytes(16) for n in range(MAX_CLIENTS + 50)]
    for at, client in enumerate(ids):
        window.without_repeats(message(10 + at), batch(0, client=client))
    assert window.changed["111122223333", CLIENT] is None, "this one the ledger knows"
    assert {client for _, client in window.changed} == {CLIENT, *ids[50:]}
    ledger.write(window)
    assert {client for _, client in ledger.known} == set(ids[50:])


def test_holes_that_are_given_up_are_told_with_the_message_that_was_taken_then(book, ledger):
    holes = tuple((2 * n, 2 * n) for n in range(MAX_HOLES))
    ledger.known["111122223333", OTHER] = ClientNumbers(2 * MAX_HOLES, holes, seen_at=1)
    window = book.window()
    window.without_repeats(message(7), batch(1, client=CLIENT))
    assert window.given_up == [GivenUpHoles(message(7), "111122223333", OTHER, ((0, 0),))]
    ledger.write(window)
    assert ledger.known["111122223333", OTHER].given_up == 1
    assert ledger.known["111122223333", OTHER].floor == 1
    letter = ClientBook(ledger.read).window()
    assert numbers_in(letter.without_repeats(message(8), batch(0, 2, client=OTHER))) == [2]
    assert letter.dead_letters == [DeadLetter(message(8), ((0, 0),))]


def test_a_client_that_was_not_seen_for_five_weeks_of_append_time_is_forgotten(book, ledger):
    ledger.known["111122223333", OTHER] = ClientNumbers(1, seen_at=10)
    for at, is_known in ((10 + MAX_UNSEEN_MS, True), (11 + MAX_UNSEEN_MS, False)):
        window = book.window()
        window.without_repeats(message(at), batch(0, client=CLIENT))
        ledger.write(window)
        assert (("111122223333", OTHER) in ledger.known) == is_known
