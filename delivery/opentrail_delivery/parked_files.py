"""Parked files: tried again until their bucket takes them, for 30 days.

A parked file keeps the bucket, key and KMS key of its intent; only if every put there was answered by a refusal it goes
to its trail's new target instead. It is in a digest only once it is delivered.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field, replace

import structlog

from opentrail.evidence.object_keys import LogFileKey, parse_key
from opentrail.trails.configuration import Configuration
from opentrail_backends.object_store.port import ObjectNotFound, ObjectStoreError
from opentrail_backends.state.port import Ledger, LedgerLost, ParkedFailure, ParkedFile, StateError
from opentrail_delivery.bucket_health import error_code
from opentrail_delivery.configuration_feed import ConfigurationFeed
from opentrail_delivery.file_names import another_key
from opentrail_delivery.log_file_put import KeyTaken, PutResult, PutTools, put_once
from opentrail_delivery.rate_limits import RateLimits
from opentrail_delivery.settings import DeliverySettings
from opentrail_delivery.spool import DamagedCopy, LogFilePut, aimed_at

_log = structlog.get_logger("opentrail.delivery")

_PAGE = 1_000
_QUEUE = 1_000
"""So many files of one bucket wait in memory for their try; more are read later."""
_CHUNK = 20
_CHUNK_BYTES = 16 * 1024 * 1024
"""Copies that are read from the spool together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParkedTools:
    """What trying parked files needs beside what all puts need."""

    ledger: Ledger
    puts: PutTools
    feed: ConfigurationFeed
    executor: Executor
    limits: RateLimits = field(default_factory=RateLimits)
    settings: DeliverySettings = field(default_factory=DeliverySettings)
    stop: threading.Event = field(default_factory=threading.Event)


class ParkedFiles:
    """All parked files of the deployment. Several processes may try them: the ledger lets one deliver each.

    Each bucket's files are tried by one thread at a time; buckets that fail get half of the threads at most, so that
    those that do not answer hold up no other's files.
    """

    def __init__(self, tools: ParkedTools) -> None:
        self._tools = tools
        self._lock = threading.Lock()
        self._queues: OrderedDict[str, dict[int, ParkedFile]] = OrderedDict()
        self._under_way: dict[str, Future[int]] = {}
        self._delivered = 0
        self._is_cut = False

    @property
    def has_more(self) -> bool:
        """Whether more files wait than fit into the queues, and one of these is empty: another round is due."""
        return self._is_cut and len(self._under_way) < len(self._queues)

    def run_once(self) -> int:
        """One round: a try for each parked file that is worth one; returns how many were delivered since the last.

        Raises StateError. What a bucket does not take of a trail is left alone for the rest of the round. Tries may
        go on after the return.
        """
        tools = self._tools
        self._collect()
        expired = tools.ledger.expire_parked(int(tools.settings.parked_expire_seconds * 1000))
        if expired:
            _log.error("parked files have expired: mend the bucket, then `opentrail redrive`", files=expired)
        configuration = tools.feed.refresh()
        waiting = 0
        self._is_cut = False
        for file in self._all_parked():
            waiting += 1
            self._enqueue(self._aim(file, configuration))
        self._start_tries()
        self._collect()
        delivered, self._delivered = self._delivered, 0
        tools.puts.metrics.parked_files.set(waiting - delivered)
        return delivered

    def _all_parked(self) -> Iterator[ParkedFile]:
        after = 0
        while page := self._tools.ledger.parked_files(_PAGE, after):
            yield from page
            after = page[-1].id

    def _aim(self, file: ParkedFile, configuration: Configuration) -> ParkedFile:
        """The file as it is to be put: at its trail's new target, if it can never appear at its old one."""
        trail = configuration.trails.get(file.incarnation)
        key = parse_key(file.object_key)
        if trail is None or not file.is_answered or file.error is None or not isinstance(key, LogFileKey):
            return file
        moved = replace(key, prefix=trail.s3_key_prefix, organization_id=trail.organization_id)
        target = (trail.s3_bucket_name, str(moved), trail.kms_key_id)
        if target == (file.bucket, file.object_key, file.kms_key_id):
            return file
        if not self._tools.ledger.reaim_parked(file, *target):
            return file
        self._tools.puts.metrics.reaimed_files.inc()
        _log.info("a parked file goes to its trail's new target", old=file.bucket, new=target[0], key=target[1])
        return replace(file, bucket=target[0], object_key=target[1], kms_key_id=target[2])

    # --- who is tried when ------------------------------------------------------------------------

    def _enqueue(self, file: ParkedFile) -> None:
        with self._lock:
            queue = self._queues.setdefault(file.bucket, {})
            if len(queue) < _QUEUE:
                queue.setdefault(file.id, file)
            else:
                self._is_cut = True

    def _start_tries(self) -> None:
        """Buckets that work first; those that wait for longest come first next time."""
        health, failing = self._tools.puts.health, 0
        with self._lock:
            failing = sum(health.is_failing(bucket) for bucket in self._under_way)
            idle = [bucket for bucket, queue in self._queues.items() if queue and bucket not in self._under_way]
        for bucket in sorted(idle, key=health.is_failing):
            if health.is_failing(bucket):
                if failing >= max(1, self._tools.settings.parked_threads // 2):
                    break
                failing += 1
            self._queues.move_to_end(bucket)
            self._under_way[bucket] = self._tools.executor.submit(self._try_bucket, bucket)

    def _collect(self) -> None:
        """Counts what the ended tries delivered; a fault of ours in one of them is raised."""
        ended = [bucket for bucket, future in self._under_way.items() if future.done()]
        for bucket in ended:
            self._delivered += self._under_way.pop(bucket).result()

    def _try_bucket(self, bucket: str) -> int:
        with self._lock:
            files = self._queues[bucket]
            self._queues[bucket] = {}
        by_trail: dict[tuple[str, str], list[ParkedFile]] = {}
        for file in files.values():
            by_trail.setdefault((file.incarnation, file.trail_arn), []).append(file)
        delivered = 0
        for of_trail in by_trail.values():
            if self._tools.stop.is_set():
                break
            try:
                delivered += self._try_trail(bucket, of_trail)
            except StateError as error:
                _log.warning("digests, parked files or notifications wait", error=str(error))
                break
        return delivered

    # --- one trail's files in one bucket ----------------------------------------------------------

    def _try_trail(self, bucket: str, files: Sequence[ParkedFile]) -> int:
        """One file, then more at a time as long as they are taken. Raises StateError."""
        delivered = tried = 0
        while tried < len(files) and not self._tools.stop.is_set():
            if not self._tools.puts.health.may_try(bucket, files[0].trail_arn):
                break
            chunk = files[tried : tried + (_CHUNK if delivered else 1)]
            if self._tools.limits.is_on:
                chunk = chunk[:1]
            try:
                copies = self._read(chunk)
            except ObjectStoreError as error:
                _log.warning("the spool does not give parked files back", error=str(error))
                break
            tried += max(len(copies), 1)
            done, failure = self._put(copies)
            delivered += done
            if failure is not None:
                _log.info("parked files still wait", bucket=bucket, trail=files[0].trail_arn, error=failure)
                self._let_age(files[tried:], failure)
                break
        return delivered

    def _read(self, files: Sequence[ParkedFile]) -> dict[int, LogFilePut | None]:
        """The copies of the first of the files, as many as memory allows; None: it cannot be read."""
        copies: dict[int, LogFilePut | None] = {}
        size = 0
        for file in files:
            try:
                copies[file.id] = self._tools.puts.spool_or_fail().parked(file)
            except (DamagedCopy, ObjectNotFound) as error:
                copies[file.id] = None
                if isinstance(error, ObjectNotFound) and not self._is_still_parked(file):
                    continue  # another process delivered it meanwhile
                _log.error("a parked file's copy in the spool is damaged", key=file.object_key, error=str(error))
                self._tools.puts.metrics.damaged_copies.inc()
            size += file.size
            if size > _CHUNK_BYTES:
                break
        return copies

    def _is_still_parked(self, file: ParkedFile) -> bool:
        return any(found.id == file.id for found in self._tools.ledger.parked_files(1, after=file.id - 1))

    def _put(self, copies: dict[int, LogFilePut | None]) -> tuple[int, str | None]:
        """Puts these; returns how many were delivered, and the error of the first that was not. Raises StateError."""
        tools = self._tools
        begun = tools.ledger.begin_parked([id_ for id_, copy in copies.items() if copy is not None])
        delivered = 0
        for index, file in enumerate(begun):
            copy = copies[file.id]
            assert copy is not None
            tools.stop.wait(tools.limits.reserve(file.bucket, file.incarnation, len(copy.body)) or 0.0)
            started_at = tools.puts.monotonic()
            try:
                delivered += self._deliver(file, aimed_at(copy, file))
            except LedgerLost:
                continue  # another process renamed or delivered it
            except ObjectStoreError as error:
                if not isinstance(error, KeyTaken):
                    tools.puts.health.failed(file.bucket, file.trail_arn, error, started_at)
                tools.puts.metrics.put_failures.labels(type(error).__name__).inc()
                code = error.code if isinstance(error, KeyTaken) else error_code(error)
                failures = [ParkedFailure(file.id, code, error.answered)]
                failures += [ParkedFailure(other.id, code, is_answered=True) for other in begun[index + 1 :]]
                tools.ledger.fail_parked(failures)
                return delivered, code
        return delivered, None

    def _deliver(self, file: ParkedFile, put: LogFilePut) -> bool:
        """Puts a file, under another key if something else lies at its own. Raises ObjectStoreError, StateError."""
        tools = self._tools
        while put_once(tools.puts.store, put) is PutResult.OTHER_OBJECT:
            renamed = replace(file, object_key=another_key(file.object_key))
            tools.ledger.rename_parked(file, renamed.object_key)
            file, put = renamed, aimed_at(put, renamed)
        tools.puts.health.succeeded(file.bucket, file.trail_arn)
        # A crash here: the file is put again, found to be there, and delivered then.
        if not tools.ledger.deliver_parked(file):
            return False
        try:
            # A crash before this: a copy too many, which `opentrail fsck` finds.
            tools.puts.spool_or_fail().forget(file)
        except ObjectStoreError as error:
            _log.warning("a delivered file's copy stays in the spool", key=file.object_key, error=str(error))
        return True

    def _let_age(self, files: Sequence[ParkedFile], error: str) -> None:
        """Files that only our own limit held so far: their bucket fails now, and that has an end."""
        ageless = [file.id for file in files if file.failing_since is None]
        begun = self._tools.ledger.begin_parked(ageless) if ageless else ()
        if begun:
            self._tools.ledger.fail_parked([ParkedFailure(file.id, error, is_answered=True) for file in begun])
