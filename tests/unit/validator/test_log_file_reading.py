"""Many log files are under way at once, and yet no more of the walk is done than there is room for."""

from opentrail_validator import Sources, Subject
from opentrail_validator.chain_validation import ChainValidation
from tests.evidence_maker.in_memory import InMemory, pinned, question_of, wrong
from tests.evidence_maker.maker import Chain, listed_key, private_key

KEYS = pinned(listed_key(private_key(0)))


def run(chain, hours, *, known=None, heads=None, objects=None, **changes):
    """The findings and the result."""
    question = question_of(chain, hours, **changes)
    sources = Sources(objects=objects or InMemory(chain.objects), public_keys=KEYS, heads=heads)
    validation = ChainValidation(question, sources, known)
    return list(validation.findings()), validation.result


class Counting(InMemory):
    """Draws `ahead` places before it gives the first result, as a reader does that reads many at a time."""

    def __init__(self, objects, ahead):
        super().__init__(objects)
        self.ahead = ahead
        self.most = 0

    def read_all(self, places, look):
        waiting = []
        for place in places:
            waiting.append(place)
            self.most = max(self.most, len(waiting))
            if len(waiting) > self.ahead:
                yield from super().read_all([waiting.pop(0)], look)
        yield from super().read_all(waiting, look)


def test_log_files_of_many_digests_are_under_way_at_once_and_told_in_order():
    chain = Chain().hours(30, logs=2)
    expected = [(f.kind, f.key) for f in run(chain, 30)[0]]
    objects = Counting(chain.objects, 40)
    assert [(f.kind, f.key) for f in run(chain, 30, objects=objects)[0]] == expected
    assert objects.most == 41


def test_no_more_of_the_walk_is_done_than_there_is_room_for():
    chain = Chain().hours(40, logs=3)
    objects = Counting(chain.objects, 5)
    sources = Sources(objects=objects, public_keys=KEYS)
    findings = ChainValidation(question_of(chain, 40), sources).findings()
    assert next(findings).subject is Subject.DIGEST
    assert len([place for place in objects.read if place in set(chain.digests)]) <= 12


def test_very_many_digests_without_log_files_are_told_on_the_way(monkeypatch):
    monkeypatch.setattr("opentrail_validator.log_file_reading._MOST_WAITING", 4)
    chain = Chain().hours(1).hours(30, logs=0).hours(2)
    findings, _ = run(chain, 33)
    assert wrong(findings) == []
    assert [f.key for f in findings if f.subject is Subject.DIGEST] == [key for _, key in reversed(chain.digests)]
    sources = Sources(objects=Counting(chain.objects, 1), public_keys=KEYS)
    told = ChainValidation(question_of(chain, 33), sources).findings()
    for _ in range(7):  # two digests with their log files, and one without
        next(told)
    assert len([place for place in sources.objects.read if place in set(chain.digests)]) <= 12
