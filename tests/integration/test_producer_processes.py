"""Several producer processes on one port, with the embedded bus and SQLite."""

import signal
import subprocess
import sys
from pathlib import Path

import grpc
import pytest

from opentrail_backends.event_bus import open_event_bus
from opentrail_producer.client import Accepted, ProducerClient
from opentrail_producer.generated import producer_pb2_grpc
from opentrail_producer.workers import reserve_port
from tests.integration.producer_service import TOKEN, Request, bearer, new_store, records_on, results
from tests.unit.producer.fakes import REGION, record

ROOT = Path(__file__).parents[2]


@pytest.fixture
def bus_url(tmp_path):
    url = f"embedded://{tmp_path}/bus.db"
    bus = open_event_bus(url)
    bus.ensure_topic(REGION, 4)
    bus.close()
    return url


@pytest.fixture
def start_worker(tmp_path, bus_url):
    new_store(tmp_path).close()
    processes = []

    def start(address):
        command = [sys.executable, "-m", "tests.integration.producer_worker"]
        process = subprocess.Popen(
            [*command, f"sqlite:///{tmp_path}/state.db", bus_url, address],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        assert process.stdout.readline().split()[0] == "ready"
        return process

    yield start
    for process in processes:
        process.kill()
        process.wait()
        process.stdout.close()


def test_two_processes_share_a_port_and_drain_when_told(start_worker, bus_url):
    with reserve_port("127.0.0.1:0") as holder:
        address = "{}:{}".format(*holder.getsockname())
        workers = [start_worker(address) for _ in range(2)]
        for number in range(40):  # each connection goes to one of the two
            with grpc.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
                call = producer_pb2_grpc.ProducerStub(channel).PublishEvents
                request = Request(events=[record(number), b"bad"], region=REGION)
                answer = results(call(request, metadata=bearer(TOKEN), timeout=20))
                assert answer == [f"00000000-0000-4000-8000-{number:012}", "MALFORMED_JSON"]
        for worker in workers:
            worker.send_signal(signal.SIGTERM)
        reports = [worker.communicate(timeout=30)[0].split() for worker in workers]
    assert [report[2] for report in reports] == ["True", "True"]
    counts = [int(report[1]) for report in reports]
    assert sum(counts) == 40
    assert min(counts) > 0
    assert [worker.returncode for worker in workers] == [0, 0]
    assert records_on(bus_url, 40) == [f"00000000-0000-4000-8000-{number:012}" for number in range(40)]


def test_no_accepted_event_is_missing_when_a_process_ends_under_load(start_worker, bus_url):
    with reserve_port("127.0.0.1:0") as holder:
        address = "{}:{}".format(*holder.getsockname())
        first = start_worker(address)
        with ProducerClient(address, region=REGION, token=TOKEN) as client:
            outcomes = [client.send(record(number)) for number in range(1000)]
            assert outcomes[0].result(30)
            start_worker(address)
            first.send_signal(signal.SIGTERM)
            outcomes += [client.send(record(number)) for number in range(1000, 3000)]
        assert first.wait(30) == 0
    ids = [f"00000000-0000-4000-8000-{number:012}" for number in range(3000)]
    assert [outcome.result(0) for outcome in outcomes] == [Accepted(event_id) for event_id in ids]
    assert sorted(set(records_on(bus_url, 3000))) == ids
