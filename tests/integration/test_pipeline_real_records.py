"""The real records, sent twice in shuffled batches: what lies in the bucket is exactly what was accepted.

What each trail should have is told by a naive filter over the source records, written here by itself.
"""

from __future__ import annotations

import gzip
import json
import random
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from opentrail.evidence.object_keys import DigestKey, parse_key
from opentrail.trails.event_selectors import EventSelectors
from tests.crash.world import Evidence, assert_chains_unforked
from tests.pipeline.pipeline import Pipeline, pipeline

pytestmark = pytest.mark.real_records

Record = dict[str, Any]
ACCOUNT, REGION = "123837392027", "us-east-1"
OWNED = ["eventID", "eventTime", "awsRegion", "recipientAccountId", "eventVersion", "eventCategory", "managementEvent"]
"""What the service fills in where a record lacks it (design, 2.2)."""
BATCH = 400


@pytest.fixture(scope="module")
def sources(real_records: Path) -> list[Record]:
    """Every record of the 55 log files, and data events made of some, which the files have none of."""
    files = sorted((real_records / "log-files").glob("*.json.gz"))
    assert len(files) == 55
    records = [record for file in files for record in json.loads(gzip.decompress(file.read_bytes()))["Records"]]
    assert len(records) == 2900
    return records + [data_event(record, number) for number, record in enumerate(records[::20])]


def data_event(record: Record, number: int) -> Record:
    """An S3 object call by whom a real record names."""
    bucket = ["payroll", "payroll-archive", "website"][number % 3]
    arn = f"arn:aws:s3:::{bucket}/2023/{number}.csv"
    return record | {
        "eventID": str(uuid.UUID(int=number)),
        "eventSource": "s3.amazonaws.com",
        "eventName": ["GetObject", "PutObject"][number % 2],
        "readOnly": number % 2 == 0,
        "managementEvent": False,
        "eventCategory": "Data",
        "eventType": "AwsApiCall",
        "requestParameters": {"bucketName": bucket},
        "resources": [
            {"type": "AWS::S3::Object", "ARN": arn},
            {"accountId": ACCOUNT, "type": "AWS::S3::Bucket", "ARN": f"arn:aws:s3:::{bucket}"},
        ],
    }


# --- The trails, and what each wants, told twice: to OpenTrail, and naively


def is_management(record: Record) -> bool:
    return bool(record["eventCategory"] == "Management")


def touches_payroll(record: Record) -> bool:
    return any(
        resource.get("type") == "AWS::S3::Object" and resource["ARN"].startswith("arn:aws:s3:::payroll/")
        for resource in record.get("resources") or []
    )


def by_a_role(record: Record) -> bool:
    return "assumed-role" in record["userIdentity"].get("arn", "")


def advanced(*selectors: dict[str, Any]) -> EventSelectors:
    """Each selector: the fields and, of each, its operators."""
    return EventSelectors.from_api(
        None, [{"FieldSelectors": [{"Field": name, **of} for name, of in one.items()]} for one in selectors]
    )


TRAILS: dict[str, tuple[EventSelectors, Callable[[Record], bool]]] = {
    "management": (EventSelectors(), is_management),
    "writes": (
        EventSelectors.from_api([{"ReadWriteType": "WriteOnly"}]),
        lambda r: is_management(r) and r["readOnly"] is False,
    ),
    "without-kms": (
        EventSelectors.from_api([{"ExcludeManagementEventSources": ["kms.amazonaws.com"]}]),
        lambda r: is_management(r) and r["eventSource"] != "kms.amazonaws.com",
    ),
    "payroll": (
        advanced(
            {
                "eventCategory": {"Equals": ["Data"]},
                "resources.type": {"Equals": ["AWS::S3::Object"]},
                "resources.ARN": {"StartsWith": ["arn:aws:s3:::payroll/"]},
            },
            {"eventCategory": {"Equals": ["Management"]}, "readOnly": {"Equals": ["false"]}},
        ),
        lambda r: touches_payroll(r) or (is_management(r) and r["readOnly"] is False),
    ),
    "puts-but-not-by-roles": (
        EventSelectors.from_api(
            None,
            [
                {
                    "FieldSelectors": [
                        {"Field": "eventCategory", "Equals": ["Data"]},
                        {"Field": "resources.type", "Equals": ["AWS::S3::Object"]},
                        {"Field": "eventName", "StartsWith": ["Put"]},
                        {"Field": "userIdentity.arn", "NotStartsWith": [f"arn:aws:sts::{ACCOUNT}:assumed-role/"]},
                    ]
                }
            ],
        ),
        lambda r: r["eventCategory"] == "Data" and r["eventName"] == "PutObject" and not by_a_role(r),
    ),
}


# --- Sending


def stripped(record: Record, number: int) -> Record:
    """Some records lack some of what the service owns: it must fill in what the naive filter knows."""
    lacking = OWNED[: number % 7 + 1] if number % 3 == 0 and is_management(record) else []
    return {name: value for name, value in record.items() if name not in lacking}


def send_twice(running: Pipeline, sources: list[Record]) -> list[tuple[str, Record, Record]]:
    """Sends whole copies and partly stripped ones; (accepted id, what was sent, its source) of each."""
    copies = [(source, source) for source in sources]
    copies += [(stripped(source, number), source) for number, source in enumerate(sources)]
    random.Random(55).shuffle(copies)
    accepted = []
    for start in range(0, len(copies), BATCH):
        batch = copies[start : start + BATCH]
        ids = running.publish_over_grpc([sent for sent, _ in batch], ACCOUNT, REGION)
        accepted += [(id_, sent, source) for id_, (sent, source) in zip(ids, batch, strict=True)]
    return accepted


def canonical(record: Record) -> str:
    return json.dumps(record, sort_keys=True)


def as_sent(delivered: Iterable[Record], sent_by_id: dict[str, Record]) -> Iterator[str]:
    """Each delivered record without what the service added, which may only be what it owns."""
    for record in delivered:
        sent = sent_by_id[record["eventID"]]
        added = record.keys() - sent.keys()
        assert added <= set(OWNED)
        assert not added or record["awsRegion"] == REGION
        assert not added or record["recipientAccountId"] == ACCOUNT
        yield canonical({name: value for name, value in record.items() if name in sent or name == "eventID"})


def records_of(evidence: Evidence, trail_name: str) -> list[Record]:
    """The records in the log files of a trail, each of which one digest names."""
    keys = [key for key in evidence.log_files if key.startswith(f"{trail_name}/")]
    assert evidence.digested(trail_name) == Counter(keys)
    return [record for key in keys for record in evidence.log_files[key]]


@pytest.fixture(params=["embedded", pytest.param("kafka", marks=[pytest.mark.kafka, pytest.mark.s3])])
def running(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Pipeline]:
    servers: dict[str, Any] = {}
    if request.param == "kafka":
        servers = {name: request.getfixturevalue(fixture) for name, fixture in SERVERS.items()}
    with pipeline(tmp_path, regions=(REGION,), partitions=3, **servers) as opened:
        yield opened


SERVERS = {"kafka": "kafka_bootstrap", "s3": "minio"}


def test_each_trail_has_exactly_what_was_accepted_and_it_wants(running: Pipeline, sources: list[Record]) -> None:
    trails = {
        name: running.add_trail(
            name, account_id=ACCOUNT, home_region=REGION, s3_key_prefix=name, event_selectors=selectors
        )
        for name, (selectors, _) in TRAILS.items()
    }
    running.start_delivery()
    accepted = send_twice(running, sources)
    sent_by_id = {id_: sent for id_, sent, _ in accepted}
    for id_, sent, _ in accepted:
        assert sent.get("eventID", id_) == id_
    expected = {
        name: Counter(canonical(sent | {"eventID": id_}) for id_, sent, source in accepted if wants(source))
        for name, (_, wants) in TRAILS.items()
    }
    for name, wanted in expected.items():
        running.wait_until_digested(wanted.total(), trails[name])
    running.stop_delivery()
    evidence = running.seen()
    sizes = {name: wanted.total() for name, wanted in expected.items()}
    assert sizes["management"] == 5800
    assert len(set(sizes.values())) == len(TRAILS), "trails that want the same prove little"
    assert min(sizes.values()) > 0
    for name, wanted in expected.items():
        assert Counter(as_sent(records_of(evidence, name), sent_by_id)) == wanted
    assert {key.trail_name for key in map(parse_key, evidence.digests) if isinstance(key, DigestKey)} == set(TRAILS)
    assert_chains_unforked(evidence)


def test_of_records_that_do_not_conform_exactly_the_accepted_are_delivered(
    running: Pipeline, real_records: Path, sources: list[Record]
) -> None:
    """Bad and good events in the same batches: each is judged by itself, and what was refused is nowhere."""
    trail = running.add_trail(
        "everything",
        account_id=ACCOUNT,
        home_region=REGION,
        event_selectors=advanced(
            {"eventCategory": {"Equals": ["Management"]}},
            {"eventCategory": {"Equals": ["Data"]}, "resources.type": {"Equals": ["AWS::S3::Object"]}},
        ),
    )
    lines = gzip.decompress((real_records / "nonconforming.jsonl.gz").read_bytes()).splitlines()
    bad = [without_place(line) for line in lines] + [b"{", b"[]", b"\xff", b'{"a":NaN}', b"[" * 1000, b'{"a":1,"a":2}']
    good = [json.dumps(record).encode() for record in sources[:200]]
    mixed = bad + good
    random.Random(217).shuffle(mixed)
    answers = running.offer(mixed, ACCOUNT, REGION)
    accepted = {id_: json.loads(text) for id_, text in zip(answers, mixed, strict=True) if id_ is not None}
    assert {record["eventID"] for record in sources[:200]} <= accepted.keys()
    assert len(bad) > answers.count(None) > 100
    wanted = {id_: sent for id_, sent in accepted.items() if is_wanted_by_everything(sent)}
    running.start_delivery()
    running.wait_until_digested(len(wanted), trail)
    running.stop_delivery()
    delivered = [record for records in running.seen().log_files.values() for record in records]
    assert Counter(record["eventID"] for record in delivered) == Counter(wanted.keys())
    for record in delivered:
        sent = wanted[record["eventID"]]
        assert {name: record[name] for name in sent} == sent
        assert record.keys() - sent.keys() <= set(OWNED)


def without_place(line: bytes) -> bytes:
    """A record that names no account and region but the caller's."""
    record = json.loads(line)
    return json.dumps({**record, "recipientAccountId": ACCOUNT, "awsRegion": REGION}).encode()


def is_wanted_by_everything(sent: Record) -> bool:
    """Naively, for the records at hand: management events, and data events on S3 objects."""
    if sent.get("eventCategory") == "NetworkActivity":
        return False
    is_data = sent.get("eventCategory") == "Data" or sent.get("managementEvent") is False
    # One of them says neither, and is known by its name.
    is_data |= "managementEvent" not in sent and sent["eventName"] == "PutObject"
    return not is_data or any(resource.get("type") == "AWS::S3::Object" for resource in sent.get("resources") or [])
