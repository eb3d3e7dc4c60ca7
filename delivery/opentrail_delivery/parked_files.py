"""Parked files: tried again until their bucket takes them, for as long as it takes.

A parked file keeps the bucket, key and KMS key of its intent. It is in a digest only once it is delivered.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import structlog

from opentrail_backends.object_store.port import ObjectStoreError
from opentrail_backends.state.port import Ledger, LedgerLost, ParkedFile
from opentrail_delivery.file_names import another_key
from opentrail_delivery.log_file_put import PutResult, PutTools, put_once
from opentrail_delivery.spool import LogFilePut

_log = structlog.get_logger("opentrail.delivery")

_PAGE = 500


@dataclass(frozen=True, slots=True)
class ParkedFiles:
    """All parked files of the deployment. Several processes may try them: the ledger lets one deliver each."""

    ledger: Ledger
    tools: PutTools

    def run_once(self) -> int:
        """One round over all parked files; returns how many were delivered. Raises StateError.

        What a bucket does not take of a trail is left alone for the rest of the round.
        """
        delivered = waiting = after = 0
        failing: set[tuple[str, str]] = set()
        while page := self.ledger.parked_files(_PAGE, after):
            delivered += self._deliver(page, failing)
            after = page[-1].id
            waiting += len(page)
        self.tools.metrics.parked_files.set(waiting - delivered)
        return delivered

    def _deliver(self, page: Sequence[ParkedFile], failing: set[tuple[str, str]]) -> int:
        delivered = 0
        for file in page:
            if (file.bucket, file.incarnation) in failing:
                continue
            try:
                put = self._put(file)
            except LedgerLost:
                continue  # another process renamed or delivered it
            except ObjectStoreError as error:
                _log.info("parked files still wait", bucket=file.bucket, key=file.object_key, error=str(error))
                failing.add((file.bucket, file.incarnation))
                continue
            self.tools.health.succeeded(file.bucket, put.trail_arn)
            # A crash here: the file is put again, found to be there, and delivered then.
            delivered += self.ledger.deliver_parked(replace(file, object_key=put.key))
        return delivered

    def _put(self, file: ParkedFile) -> LogFilePut:
        """Puts a file, under another key if something else lies at its own; returns what was put.

        Raises ObjectStoreError, StateError.
        """
        put = self.tools.spool_or_fail().parked(file)
        while put_once(self.tools.store, put) is PutResult.OTHER_OBJECT:
            renamed = replace(file, object_key=another_key(file.object_key))
            self.ledger.rename_parked(file, renamed.object_key)
            file, put = renamed, replace(put, key=renamed.object_key)
        return put
