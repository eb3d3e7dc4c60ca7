"""Evidence for the validator's benchmark: the chain of the tests' own maker, with log files of realistic records."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from collections.abc import Sequence
from itertools import cycle, islice
from typing import Any

from opentrail_cli.realistic_events import realistic_events
from tests.evidence_maker.maker import HOUR, START, Chain, MadeObject, iso, stamp

RECORDS_FOR_10_KB = 70
RECORDS_FOR_1_MB = 9_000
"""In a log file that is compressed by zlib's default level."""
_EVENTS = 60_000


class RealisticChain(Chain):
    """A chain whose log files hold `records` records each; the account and region are those of the records."""

    def __init__(self, records: int, **fields: Any) -> None:
        account, region, found = _records_of_one_place()
        super().__init__(account=account, region=region, home=region, **fields)
        self._records = cycle(found)
        self._count = records

    def _log_file(self, delivered: int, number: int) -> dict[str, Any]:
        records = list(islice(self._records, self._count))
        data = b'{"Records":[' + b",".join(records) + b"]}"
        times = sorted(json.loads(record)["eventTime"] for record in records)
        unique = base64.b32encode(hashlib.sha256(data + b"%d" % number).digest())[:16].decode()
        name = f"{self.account}_CloudTrail_{self.region}_{stamp(delivered, '%Y%m%dT%H%MZ')}_{unique}.json.gz"
        place = (self.bucket, f"{self._folder('CloudTrail', delivered)}/{name}")
        self.objects[place] = MadeObject(gzip.compress(data, 6, mtime=0), {})
        self.logs.append(place)
        return {
            "s3Bucket": place[0],
            "s3Object": place[1],
            "hashValue": hashlib.sha256(data).hexdigest(),
            "hashAlgorithm": "SHA-256",
            "newestEventTime": times[-1],
            "oldestEventTime": times[0],
        }

    def hour(self, logs: int = 2, **changes: Any) -> tuple[str, str]:
        """One more digest; its log files were delivered one after the other over the hour."""
        start, self.now = self.now, self.now + HOUR
        files = [self._log_file(start + HOUR * number // logs, number) for number in range(logs)]
        return self.put_digest(self._digest(start, self.now, files) | changes)

    @property
    def span(self) -> tuple[str, str]:
        """The time that its digests cover."""
        return iso(int(START.timestamp())), iso(self.now)

    def sizes(self) -> tuple[float, float]:
        """Mean bytes of a log file, compressed and not."""
        bodies = [self.objects[place].body for place in self.logs]
        inflated = sum(int.from_bytes(body[-4:], "little") for body in bodies)
        return sum(map(len, bodies)) / len(bodies), inflated / len(bodies)


def _records_of_one_place() -> tuple[str, str, Sequence[bytes]]:
    """The account and region with the most records, and these."""
    by_place: dict[tuple[str, str], list[bytes]] = {}
    for event in realistic_events(1, int(START.timestamp()) - 6 * HOUR, events=_EVENTS):
        if json.loads(event.record).get("awsRegion") == event.region:
            by_place.setdefault((event.account_id, event.region), []).append(event.record)
    (account, region), found = max(by_place.items(), key=lambda item: len(item[1]))
    return account, region, found
