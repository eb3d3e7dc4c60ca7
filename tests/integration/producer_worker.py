"""One producer process of several on a port.

    python -m tests.integration.producer_worker STATE_URL BUS_URL ADDRESS [DRAIN_SECONDS]

Prints `ready <port>` once it serves and `accepted <count> <all finished>` once it has drained.
"""

from __future__ import annotations

import sys

from prometheus_client import CollectorRegistry

from opentrail_backends.event_bus import open_event_bus
from opentrail_backends.state import open_state_store
from opentrail_producer.server import ProducerServer, serve
from opentrail_producer.settings import Listener, ProducerSettings
from opentrail_producer.workers import run_worker


def main(state_url: str, bus_url: str, address: str, drain_seconds: str = "30") -> None:
    registry = CollectorRegistry()

    def build() -> ProducerServer:
        store = open_state_store(state_url)
        settings = ProducerSettings(
            listeners=(Listener(address=address),), share_port=True, drain_seconds=float(drain_seconds)
        )
        return serve(settings, store.configuration, open_event_bus(bus_url), ledger=store.ledger, registry=registry)

    finished = run_worker(build, lambda port: print(f"ready {port}", flush=True))
    accepted = registry.get_sample_value("opentrail_producer_events_accepted_total") or 0
    print(f"accepted {accepted:.0f} {finished}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
