"""Several producer processes on one port, with the embedded bus and SQLite."""

import signal
import sqlite3
import subprocess
import sys
import threading
from collections import Counter, deque
from pathlib import Path

import grpc
import pytest

from opentrail_backends.event_bus import open_event_bus
from opentrail_producer.client import Accepted, ProducerClient
from opentrail_producer.event_ids import numbered_event_id
from opentrail_producer.generated import producer_pb2_grpc
from opentrail_producer.generated.producer_pb2 import EventNumbers
from opentrail_producer.workers import reserve_port
from tests.integration.producer_service import TOKEN, Request, bearer, new_store, records_on, results
from tests.unit.producer.fakes import ACCOUNT, REGION, record

ROOT = Path(__file__).parents[2]
CLIENT = bytes(range(16))


def wait_for(condition, seconds=30.0):
    pause = threading.Event()
    return any(condition() or pause.wait(0.01) for _ in range(int(seconds * 100)))


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

    def start(address, *more):
        command = [sys.executable, "-m", "tests.integration.producer_worker"]
        process = subprocess.Popen(
            [*command, f"sqlite:///{tmp_path}/state.db", bus_url, address, *more],
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


class Streamer:
    """A client of its own making that streams numbered batches, and opens another stream when one ends.

    Its first stream pauses after so many batches until it may go on, and has none of the last third: so the first
    process neither has answered all before the second one is there, nor at the moment when it is told to stop.
    """

    PAUSE = 100

    def __init__(self, address, batches):
        self.address = address
        self.batches = batches
        self.unanswered = deque((number, [record(number, eventID=None)]) for number in range(batches))
        self.answers = {}
        self.streams = 0
        self.ends = []
        self.go_on = threading.Event()

    def run(self):
        while self.unanswered:
            self.streams += 1
            with grpc.insecure_channel(self.address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
                try:
                    self._stream(producer_pb2_grpc.ProducerStub(channel))
                except grpc.RpcError as error:
                    self.ends.append(error.code())

    def _stream(self, stub):
        ended = threading.Event()
        requests = self._requests(list(self.unanswered), ended, is_first=self.streams == 1)
        try:
            for response in stub.StreamEvents(requests, metadata=bearer(TOKEN), timeout=120):
                number, _ = self.unanswered.popleft()
                (self.answers[number],) = results(response)
        finally:
            ended.set()

    def _requests(self, unanswered, ended, *, is_first):
        for number, events in unanswered:
            if is_first and number == self.PAUSE:
                self.go_on.wait(60)
            if is_first and number == self.batches * 2 // 3:
                ended.wait(60)
                return
            yield Request(events=events, region=REGION, numbers=EventNumbers(client_id=CLIENT, first=number))


def test_a_stream_under_load_is_answered_what_was_taken_and_goes_on_with_another_process(start_worker, bus_url):
    with reserve_port("127.0.0.1:0") as holder:
        address = "{}:{}".format(*holder.getsockname())
        first = start_worker(address)
        streamer = Streamer(address, 3000)
        streaming = threading.Thread(target=streamer.run)
        streaming.start()
        assert wait_for(lambda: len(streamer.answers) == streamer.PAUSE)
        second = start_worker(address)
        streamer.go_on.set()
        assert wait_for(lambda: len(streamer.answers) > streamer.PAUSE)
        first.send_signal(signal.SIGTERM)
        streaming.join(120)
        assert not streaming.is_alive()
        second.send_signal(signal.SIGTERM)
        reports = [worker.communicate(timeout=30)[0].split() for worker in (first, second)]
    assert [report[2] for report in reports] == ["True", "True"], "all calls finished"
    counts = [int(report[1]) for report in reports]
    assert min(counts) > 50, "both took a part"
    assert grpc.StatusCode.UNAVAILABLE in streamer.ends
    ids = {number: numbered_event_id(ACCOUNT, REGION, CLIENT, number) for number in range(3000)}
    assert streamer.answers == ids
    on_bus = Counter(records_on(bus_url, sum(counts)))
    assert set(on_bus) == set(ids.values())
    # A process that is told to stop answers all that it took: nothing had to be sent twice.
    assert sum(counts) == len(ids)


def test_a_process_that_cannot_finish_in_time_says_so_and_ends(start_worker, bus_url, tmp_path):
    database = sqlite3.connect(f"{tmp_path}/bus.db", isolation_level=None)
    with reserve_port("127.0.0.1:0") as holder:
        address = "{}:{}".format(*holder.getsockname())
        worker = start_worker(address, "1.0")
        with grpc.insecure_channel(address) as channel:
            publish = producer_pb2_grpc.ProducerStub(channel).PublishEvents
            publish(Request(events=[record(1)], region=REGION), metadata=bearer(TOKEN), timeout=20)
            database.execute("BEGIN IMMEDIATE")  # the bus confirms nothing from here on
            call = publish.future(Request(events=[record(2)], region=REGION), metadata=bearer(TOKEN), timeout=50)
            assert not wait_for(call.done, 0.5)
            worker.send_signal(signal.SIGTERM)
            assert call.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}
        assert worker.communicate(timeout=60)[0].split() == ["accepted", "1", "False"]
        database.close()
    assert worker.returncode == 0
