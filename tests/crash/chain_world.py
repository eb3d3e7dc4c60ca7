"""Digest chains by themselves: the real ledger and rules, a clock that is moved by hand, buckets in memory."""

from __future__ import annotations

import gzip
import hashlib
import itertools
import json
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from opentrail.evidence.object_keys import log_file_key
from opentrail.trails.configuration import Kind, Organization, organization_body, trail_body
from opentrail.trails.trail import Trail
from opentrail_backends.key_management import open_key_management
from opentrail_backends.key_management.port import KeyManagement
from opentrail_backends.object_store.port import PutOptions
from opentrail_backends.state import open_state_store
from opentrail_backends.state.port import IntendedFile, Intent, NewCall, NewChange, Parking, StateStore
from opentrail_delivery.bucket_health import BucketHealth
from opentrail_delivery.checked_store import CheckedStore
from opentrail_delivery.configuration_feed import ConfigurationFeed
from opentrail_delivery.digest_builder import BuilderTools, DigestBuilder
from opentrail_delivery.digest_put import DigestPublisher, PublisherTools
from opentrail_delivery.key_ring import KeyRing
from opentrail_delivery.metrics import DeliveryMetrics
from opentrail_delivery.settings import DeliverySettings
from opentrail_delivery.signed_heads import HeadSigner, HeadTools, SignedHeads
from opentrail_delivery.status import DeliveryStatus
from tests.crash.chain_evidence import (
    ACCOUNT,
    BEGINNING,
    HEADS_BUCKET,
    HEADS_PREFIX,
    HOUR,
    REGION,
    Buckets,
    ChainEvidence,
    Clock,
)
from tests.crash.chain_ports import Bus, Inline

SETTINGS = DeliverySettings(heads_bucket=f"{HEADS_BUCKET}/{HEADS_PREFIX}")


@dataclass
class ChainWorld(ChainEvidence):
    """Stores that outlive a builder."""

    state: StateStore
    keys: KeyManagement
    clock: Clock
    store: Buckets = field(default_factory=Buckets)
    bus: Bus = field(default_factory=lambda: Bus(REGION))
    settings: DeliverySettings = SETTINGS
    delivered: list[tuple[str, str]] = field(default_factory=list)
    """Bucket and key of all files that a digest is to name."""
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    @classmethod
    @contextmanager
    def opened(cls, folder: Path) -> Iterator[ChainWorld]:
        """A world on SQLite in memory."""
        clock = Clock()
        state = open_state_store("sqlite://", secret_key=b"k" * 32, clock=clock)
        state.migrate()
        yield cls(state, open_key_management(f"file://{folder}/keys"), clock)
        state.close()

    # --- trails -----------------------------------------------------------------------------------

    def add_trail(self, name: str = "audit", **changes: Any) -> Trail:
        return self.put_trail(self._trail(name, **changes))

    def _trail(self, name: str, bucket: str = "first-bucket", **changes: Any) -> Trail:
        trail = Trail(
            incarnation=str(uuid.UUID(int=next(self._numbers))),  # the same chains, so the same ends, in each run
            name=name,
            account_id=ACCOUNT,
            home_region=REGION,
            s3_bucket_name=bucket,
            log_file_validation_enabled=True,
            is_logging=True,
            logging_session=1,
            started_logging_at=self.clock.milliseconds,
        )
        return replace(trail, **changes)

    def add_trails(self, names: Iterable[str], **changes: Any) -> list[Trail]:
        """In one change, each with a prefix that is its name."""
        trails = [self._trail(name, **{"s3_key_prefix": name, **changes}) for name in names]
        self._apply(trails)
        return trails

    def put_trail(self, trail: Trail, **changes: Any) -> Trail:
        trail = replace(trail, **changes)
        self._apply([trail])
        return trail

    def _apply(self, trails: Sequence[Trail]) -> None:
        for trail in trails:
            self.store.create_bucket(trail.s3_bucket_name)
        self.state.configuration.apply(
            [NewChange(Kind.TRAIL, trail.incarnation, trail_body(trail)) for trail in trails]
        )

    def stop(self, trail: Trail) -> Trail:
        return self.put_trail(trail, is_logging=False)

    def start(self, trail: Trail, **changes: Any) -> Trail:
        """StartLogging, or validation switched on: a new session."""
        changes = {"is_logging": True, "log_file_validation_enabled": True, **changes}
        return self.put_trail(
            trail,
            logging_session=trail.logging_session + 1,
            started_logging_at=self.clock.milliseconds,
            **changes,
        )

    def delete_trail(self, trail: Trail, *, by_a_call_of: str | None = None, region: str = REGION) -> None:
        """By an account's call of the API, which waits to be put on the bus; or by other means."""
        calls = [NewCall(by_a_call_of, region, b"{}")] if by_a_call_of else []
        self.state.configuration.apply([NewChange(Kind.TRAIL, trail.incarnation, None)], calls=calls)

    def put_organization(self, *members: str) -> Organization:
        organization = Organization("o-exampleorg1", ACCOUNT, frozenset({ACCOUNT, *members}))
        change = NewChange(Kind.ORGANIZATION, organization.id, organization_body(organization))
        self.state.configuration.apply([change])
        return organization

    # --- files ------------------------------------------------------------------------------------

    def publish(self, count: int = 1, region: str = REGION) -> None:
        """Messages on the bus that delivery has not passed."""
        self.bus.ends[region] += count

    def call(self, account: str, region: str = REGION) -> None:
        """A call of the API that changes nothing, and waits to be put on the bus."""
        self.state.calls.record([NewCall(account, region, b"{}")])

    def publish_calls(self) -> None:
        """What waits of the API's own calls is on the bus now."""
        calls = self.state.calls.claim(1_000, 1_000)
        self.publish(len(calls))
        self.state.calls.done([call.id for call in calls])

    def deliver(self, trail: Trail, count: int = 1, account: str = ACCOUNT, **how: Any) -> list[IntendedFile]:
        """One window with so many files of a trail: put and delivered, or parked (`parked=True`)."""
        region = how.get("region", REGION)
        self.state.ledger.record_topic(region, self.bus.of_region[region].id, 1)
        files = [self._file(trail, account, region, part) for part in range(count)]
        lease, _ = self.state.ledger.own(region, 0, 0)
        self.bus.ends[region] = max(self.bus.ends[region], lease.next_offset + 1)
        intent = Intent(lease.last_intent + 1, lease.next_offset, self.bus.ends[region], {"format": 1}, files)
        lease = self.state.ledger.write_intent(lease, intent)
        parked = {}
        if how.get("parked"):
            parked = {file.object_key: Parking(100, "AccessDenied", is_answered=True) for file in files}
        else:
            self._put(files)
        self.state.ledger.deliver(lease, intent, parked)
        return files

    def deliver_before_refusal(self, trail: Trail) -> None:
        """A file that its bucket took, though it takes no digest."""
        refusing, self.store.refusing = self.store.refusing, set()
        self.deliver(trail)
        self.store.refusing = refusing

    def deliver_parked(self) -> int:
        """All parked files are put now."""
        files = self.state.ledger.parked_files(1000)
        for file in files:
            self._put([file])
            assert self.state.ledger.deliver_parked(file)
        return len(files)

    def _file(self, trail: Trail, account: str, region: str, part: int) -> IntendedFile:
        key = log_file_key(
            account_id=account,
            region=region,
            seconds=self.clock.milliseconds // 1000,
            unique=uuid.uuid4().hex[:16],
            prefix=trail.s3_key_prefix,
            organization_id=trail.organization_id,
        )
        return IntendedFile(
            incarnation=trail.incarnation,
            logging_session=trail.logging_session,
            account_id=account,
            part=part,
            bucket=trail.s3_bucket_name,
            object_key=key,
            sha256=hashlib.sha256(_records(key)).hexdigest(),
            events=1,
            oldest_event_time=BEGINNING,
            newest_event_time=BEGINNING,
            trail_arn=trail.arn,
            owner=trail.organization_id or trail.account_id,
            is_digested=trail.log_file_validation_enabled,
        )

    def _put(self, files: Any) -> None:
        for file in files:
            self.store.put(file.bucket, file.object_key, gzip.compress(_records(file.object_key)), PutOptions())
            if getattr(file, "is_digested", True):
                self.delivered.append((file.bucket, file.object_key))

    # --- processes --------------------------------------------------------------------------------

    def process(self, **replaced: Any) -> Process:
        return Process(self, **replaced)

    def waiting(self) -> int:
        """How many digests are built and not put."""
        return len(self.state.chains.unpublished(10_000))

    def ended(self, trail: Trail) -> bool:
        """Whether it has its last digests, and all are put."""
        chains = [chain for chain in self.state.chains.all_chains() if chain.incarnation == trail.incarnation]
        return bool(chains) and all(chain.ended for chain in chains) and not self.waiting()


class Process:
    """One delivery process's builder and publisher."""

    def __init__(self, world: ChainWorld, *, executor: Executor | None = None, **replaced: Any) -> None:
        self.world = world
        state = world.state
        chains = replaced.get("chains", state.chains)
        key_ring = KeyRing(
            state.public_keys, replaced.get("keys", world.keys), valid_seconds=world.settings.key_seconds
        )
        store = CheckedStore(replaced.get("store", world.store))
        self.status = DeliveryStatus()
        self.metrics = DeliveryMetrics()
        self.health = BucketHealth(world.settings.parked_retry_seconds, clock=world.clock.seconds)
        signer = HeadSigner(chains, key_ring, self.metrics, world.settings.parked_retry_seconds, world.clock.seconds)
        self.builder = DigestBuilder(
            BuilderTools(
                chains=chains,
                calls=replaced.get("calls", state.calls),
                ledger=state.ledger,
                feed=ConfigurationFeed(state.configuration),
                event_bus=world.bus,  # type: ignore[arg-type]  # as much of one as it asks for
                key_ring=key_ring,
                settings=world.settings,
            )
        )
        self.publisher = DigestPublisher(
            PublisherTools(
                chains=chains,
                public_keys=state.public_keys,
                key_ring=key_ring,
                store=store,
                health=self.health,
                putter=executor or Inline(),
                metrics=self.metrics,
                status=self.status,
                signer=signer,
                threads=replaced.get("threads", 4),
            ),
            world.clock.seconds,
        )
        self.heads = SignedHeads(
            HeadTools(chains, state.public_keys, signer, store, executor or Inline(), self.metrics),
            world.settings.heads_bucket,
            world.settings.parked_retry_seconds,
            world.clock.seconds,
        )

    def turn(self) -> None:
        self.builder.run_once()
        self.publisher.run_once()
        self.heads.run_once()

    def run(self, seconds: float, step: float = 300.0) -> None:
        """Rounds while the clock moves on."""
        for _ in range(int(seconds / step)):
            self.world.clock.move(step)
            self.turn()

    def run_until(self, done: Callable[[], bool], seconds: float = 4 * HOUR, step: float = 60.0) -> None:
        for _ in range(int(seconds / step)):
            if done():
                return
            self.run(step, step)
        raise AssertionError(f"did not come about in {seconds} s: {self.status.snapshot()}")


def _records(key: str) -> bytes:
    return json.dumps({"Records": [{"eventID": key}]}).encode()
