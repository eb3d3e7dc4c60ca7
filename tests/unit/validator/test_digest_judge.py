"""The public keys that digests are judged with."""

import base64
import functools

import pytest

from opentrail_validator import Checks, Kind, NoPublicKeys, PinnedKeys, PublicKey
from opentrail_validator.readers.port import ApiNotReached
from tests.evidence_maker import in_memory
from tests.evidence_maker.in_memory import BEGIN, pinned, wrong
from tests.evidence_maker.maker import HOUR, Chain, MadeObject, listed_key, private_key

findings_of = functools.partial(in_memory.findings_of, checks=Checks(coverage=False, unlisted=False))


def test_without_any_public_key_nothing_is_said():
    with pytest.raises(NoPublicKeys) as caught:
        findings_of(Chain().hours(1), keys=PinnedKeys({}))
    assert (caught.value.start, caught.value.end) == (BEGIN, BEGIN + 50 * HOUR)


class AskedKeys:
    """Keys by the time that is asked for; remembers what was asked."""

    def origin(self):
        return "a test"

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []

    def between(self, start, end):
        self.asked.append((start, end))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def der(number):
    entry = listed_key(private_key(number))
    return {entry["Fingerprint"]: PublicKey(base64.b64decode(entry["Value"]))}


def backfilled():
    chain = Chain().hours(1)
    return chain, Chain(chain.objects, backfill=True, key_number=1, now=chain.now - HOUR).hours(1)


def test_the_key_of_a_backfill_digest_is_asked_for_the_time_when_it_was_made():
    chain, late = backfilled()
    keys = AskedKeys(der(0), der(1))
    assert wrong(findings_of(chain, keys=keys)) == []
    made = late.now + 86400
    assert keys.asked[1] == (made - HOUR, made + HOUR)


@pytest.mark.parametrize(
    ("answer", "kind"), [({}, Kind.UNKNOWN_KEY), (ApiNotReached("connection reset"), Kind.NOT_CHECKED)]
)
def test_a_backfill_digest_without_its_key(answer, kind):
    chain, late = backfilled()
    findings = findings_of(chain, keys=AskedKeys(der(0), answer))
    assert wrong(findings) == [(kind, late.digests[0])]


NO_TIMES = ["some day", "0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "9999-12-31T23:59:59Z"]


@pytest.mark.parametrize("metadata", [{}, *({"backfill-generation-timestamp": time} for time in NO_TIMES)])
def test_a_backfill_digest_that_does_not_say_when_it_was_made(metadata):
    chain, late = backfilled()
    made = late.objects[late.digests[0]]
    kept = {name: text for name, text in made.metadata.items() if name.startswith("signature")}
    chain.objects[late.digests[0]] = MadeObject(made.body, kept | metadata)
    ((kind, place),) = wrong(findings_of(chain, keys=AskedKeys(der(0))))
    assert place == late.digests[0]
    assert kind is (Kind.UNKNOWN_KEY if metadata else Kind.MALFORMED)


def test_a_key_under_the_fingerprint_of_another_is_refused():
    chain = Chain().hours(1)
    other = base64.b64decode(listed_key(private_key(1))["Value"])
    findings = findings_of(chain, keys=pinned(listed_key(private_key(0), der=other)))
    assert wrong(findings) == [(Kind.MALFORMED_KEY, chain.digests[0])]
