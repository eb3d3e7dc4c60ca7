"""`opentrail settle` knows an event of a log file in the messages of the bus, and the other way round."""

from collections import Counter

import pytest

from opentrail.events.batch import EventBatch, group_of, record_views
from opentrail_backends.object_store.in_memory import InMemoryObjectStore
from opentrail_backends.object_store.port import PutOptions
from opentrail_delivery.settle_files import event_hash, found_in_bucket
from tests.unit.delivery.test_window_build import REGION, build, history, management, messages, trail

ACCOUNT = "111122223333"


@pytest.mark.parametrize("around", [b"", b" ", b"\r\n\t "], ids=repr)
def test_an_event_is_the_same_in_its_message_and_in_its_file(around):
    """Else it would be delivered again: space that a client sent around it is in the file, but not in what is read."""
    records = [around + b'{"eventID":"%d"}' % number + around for number in range(3)]
    selector_class = management("Run", read_only=False).groups[0].selector_class
    group = group_of(selector_class, records, [len(record) for record in records], [0] * 3)
    (file,) = build(messages(EventBatch(ACCOUNT, REGION, [group])), history(trail()))
    store = InMemoryObjectStore()
    store.create_bucket("trail-logs")
    store.put("trail-logs", "key", file.log_file.body, PutOptions())
    found = found_in_bucket(store, "trail-logs", "key")
    assert found is not None
    assert found.events == Counter(event_hash(record) for record in record_views(group))
    assert (found.sha256, found.records_root) == (file.log_file.sha256, file.log_file.records_root)
