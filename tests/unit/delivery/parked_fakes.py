"""A ledger of parked files in memory, and a world around it."""

from dataclasses import replace

from opentrail.trails.configuration import Configuration
from opentrail_backends.state.port import LedgerLost
from opentrail_delivery.parked_files import ParkedFiles, ParkedTools
from opentrail_delivery.settings import DeliverySettings
from tests.crash.world import Inline
from tests.unit.delivery.putting import Putting, log_file
from tests.unit.delivery.test_spool import parked_row


class Ledger:
    """Rows of parked files, with the count of puts that were not answered."""

    def __init__(self):
        self.rows = {}
        self.unanswered = {}
        self.delivered = []
        self.expired = 0
        self.expire_after = None

    def add(self, row, unanswered=0):
        self.rows[row.id] = row
        self.unanswered[row.id] = unanswered

    def _seen(self, id_):
        return replace(self.rows[id_], is_answered=self.unanswered[id_] == 0)

    def parked_files(self, limit, after=0):
        return [self._seen(id_) for id_ in sorted(self.rows) if id_ > after][:limit]

    def begin_parked(self, ids):
        found = [self._seen(id_) for id_ in sorted(ids) if id_ in self.rows]
        for file in found:
            self.unanswered[file.id] += 1
        return found

    def fail_parked(self, failures):
        for failure in failures:
            row = self.rows[failure.id]
            self.rows[failure.id] = replace(row, error=failure.error, failing_since=row.failing_since or 9)
            self.unanswered[failure.id] -= failure.is_answered

    def rename_parked(self, file, new_key):
        if self.rows[file.id].object_key != file.object_key:
            raise LedgerLost("renamed meanwhile")
        self.rows[file.id] = replace(self.rows[file.id], object_key=new_key)

    def reaim_parked(self, file, bucket, object_key, kms_key_id):
        if self.unanswered[file.id]:
            return False
        row = replace(self.rows[file.id], bucket=bucket, object_key=object_key, kms_key_id=kms_key_id)
        self.rows[file.id] = replace(row, failing_since=None, error=None)
        return True

    def deliver_parked(self, file):
        row = self.rows.get(file.id)
        if row is None or (row.bucket, row.object_key) != (file.bucket, file.object_key):
            return False
        self.delivered.append(self.rows.pop(file.id))
        return True

    def expire_parked(self, failing_ms):
        self.expire_after = failing_ms
        return self.expired


class Feed:
    configuration = Configuration(revision=1, trails={}, organizations={})

    def refresh(self):
        return self.configuration


class World(Putting):
    def __post_init__(self):
        super().__post_init__()
        self.ledger, self.feed = Ledger(), Feed()
        self.parked = self.make()

    def make(self, **changes):
        tools = {
            "ledger": self.ledger,
            "puts": self.tools,
            "feed": self.feed,
            "executor": Inline(),
            "settings": DeliverySettings(parked_threads=4),
        }
        return ParkedFiles(ParkedTools(**(tools | changes)))

    def park(self, number, unanswered=0, row=None, **changes):
        file = log_file(number, **changes)
        self.spool.park(file)
        self.ledger.add(parked_row(file, id=number + 1, **(row or {})), unanswered)
        return file

    def stored(self, bucket="good"):
        return [info.key for info in self.store.list(bucket)]
