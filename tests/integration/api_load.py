"""Clients of the API that ask as fast as they can, and what is counted of their answers."""

from __future__ import annotations

import http
import http.client
import json
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from botocore.exceptions import ClientError

Call = Callable[[], object]


class Answer(NamedTuple):
    """One call: it was let through, or throttled, at some moment between its two times (seconds)."""

    began: float
    ended: float
    taken: bool


class Replay:
    """What boto3 sends, sent again as it is: a client that costs this machine next to nothing.

    A signature holds for a quarter of an hour, however often the request comes.
    """

    def __init__(self, client: Any, method: str, **members: Any) -> None:
        client.meta.events.register("before-send", self._keep)
        with suppress(_NotSent):
            getattr(client, method)(**members)
        parts = urlsplit(self._signed.url)
        self._target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        self._connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=30)

    def __call__(self) -> dict[str, Any]:
        """The answer. Raises ClientError for a refusal, as boto3 does."""
        signed = self._signed
        self._connection.request(signed.method, self._target, body=signed.body, headers=dict(signed.headers))
        response = self._connection.getresponse()
        answer: dict[str, Any] = json.loads(response.read())
        if response.status == http.HTTPStatus.OK:
            return answer
        raise ClientError({"Error": {"Code": answer["__type"], "Message": answer["message"]}}, "replayed")

    def close(self) -> None:
        self._connection.close()

    def _keep(self, request: Any, **_: Any) -> None:
        self._signed = request
        raise _NotSent


class _NotSent(Exception):
    """Ends boto3's call before it is sent."""


def ask(call: Call) -> Answer:
    """Makes a call. Any other refusal than ThrottlingException fails the test."""
    began = time.monotonic()
    try:
        call()
    except ClientError as error:
        if error.response["Error"]["Code"] != "ThrottlingException":
            raise
        return Answer(began, time.monotonic(), taken=False)
    return Answer(began, time.monotonic(), taken=True)


def ask_for(seconds: float, calls: Sequence[Call], pause: float = 0.0, at_least: int = 1) -> list[Answer]:
    """Each of the calls by a thread of its own, again and again; `pause` is between an answer and the next call.

    On a machine that stood still a thread goes on beyond the time, until it has asked `at_least` so often.
    """
    end = time.monotonic() + seconds

    def keep_asking(call: Call) -> list[Answer]:
        answers: list[Answer] = []
        while time.monotonic() < end or len(answers) < at_least:
            answers.append(ask(call))
            time.sleep(pause)
        return answers

    with ThreadPoolExecutor(len(calls)) as threads:
        return [answer for answers in threads.map(keep_asking, calls) for answer in answers]


def ask_at_once(calls: Sequence[Call], count: int) -> list[Answer]:
    """So many calls in all, begun together, shared out among the given ones."""
    ready = threading.Barrier(min(len(calls), count))

    def ask_all(share: tuple[Call, int]) -> list[Answer]:
        call, times = share
        ready.wait()
        return [ask(call) for _ in range(times)]

    shares = [(call, count // len(calls) + (index < count % len(calls))) for index, call in enumerate(calls)]
    with ThreadPoolExecutor(len(calls)) as threads:
        return [answer for answers in threads.map(ask_all, [s for s in shares if s[1]]) for answer in answers]


def span(answers: Iterable[Answer]) -> float:
    """Seconds from the first call's beginning to the last one's end: within them all were judged."""
    answers = list(answers)
    return max(answer.ended for answer in answers) - min(answer.began for answer in answers)


def unfounded(answers: Iterable[Answer], limit: int, seconds: float) -> list[Answer]:
    """Calls that were throttled though fewer than `limit` can have been let through in the stretch before.

    A process remembers a refusal from when it has the store's answer: it may last longer by the time of that question.
    """
    answers = list(answers)
    taken = [answer for answer in answers if answer.taken]
    throttled = [answer for answer in answers if not answer.taken]
    before = seconds + max((answer.ended - answer.began for answer in throttled), default=0.0)
    return [
        one
        for one in throttled
        if sum(one.began - before < other.ended and other.began < one.ended for other in taken) < limit
    ]


def taken_within(answers: Iterable[Answer], seconds: float) -> int:
    """How many calls were let through that certainly fell into one stretch of this length, at most.

    When exactly a call was judged its client does not know: only one that lay wholly in the stretch counts.
    """
    taken = sorted(answer for answer in answers if answer.taken)
    return max(
        (sum(first.began <= one.began and one.ended < first.began + seconds for one in taken) for first in taken),
        default=0,
    )
